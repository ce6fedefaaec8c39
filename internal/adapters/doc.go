// Package adapters holds package adapt against the real stores of the libraries
// that it adapts. It is a module of its own so that nobody else needs them.
package adapters

// Package adapters holds package adapt against the real stores of the libraries
// that it adapts.
package adapters

// Package frameworks proves that the routers that people use work with package
// bff. Its tests are the examples to copy.
package frameworks

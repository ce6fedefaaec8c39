// Package frameworks proves that the routers that people use work with package
// bff. Its tests are the examples to copy. The module is no part of the
// workspace, because its dependencies would raise those of the others; run its
// tests with GOWORK=off.
package frameworks

// Package repocheck holds tests about the repository itself: that what it says is
// held by a test.
//
// FAULTS.md lists faults that users of the SDK found, each with the tests that fail
// without its mend. promises.tsv lists each sentence of the documentation that says
// every, never, only, always or at most, with the test that holds it.
package repocheck

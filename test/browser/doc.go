// Package browser walks the pages of examples/bff in a browser, as a person would:
// pages on a desk and on a phone, two visitors at once, and a customer
// whose replica is killed.
//
// The tests need Chromium, and one of them a Redis server; Debian's packages are
// chromium and redis-server. Without them they are skipped, or fail where
// EMPORIX_REQUIRE_ENGINES=1 says that they must run. Pictures of the pages are
// left in a folder that git ignores.
package browser

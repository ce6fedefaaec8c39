// Package postgres runs stores/postgres against a real PostgreSQL, with both
// drivers that are in use, so that the root module needs none.
//
// The server is the initdb and postgres of the PATH or of Debian's packages, in a
// temporary folder and on a free port of loopback. Where there is none, the
// tests are skipped and say so; with EMPORIX_REQUIRE_ENGINES=1 they fail.
package postgres

// Package redis holds the tests and benchmarks of stores/redis, so that the
// store itself depends on nothing but go-redis.
//
// They run over miniredis, and over real servers where redis-server and
// redis-cli are on the PATH: one, a Cluster of three, and a primary with a
// replica and Sentinel. Where they are not, miniredis stands in, and the log
// says so; with EMPORIX_REQUIRE_ENGINES=1 that is a failure.
package redis

package postgres_test

import (
	"testing"
)

// Every way in which the drivers send parameters carries the same: those without
// prepared statements are what poolers in transaction mode need.
func TestExecModes(t *testing.T) {
	t.Parallel()
	dsn := start(t)
	for name, mode := range map[string]struct{ driver, parameter string }{
		"pgx, cache_describe":   {"pgx", "default_query_exec_mode=cache_describe"},
		"pgx, describe_exec":    {"pgx", "default_query_exec_mode=describe_exec"},
		"pgx, exec":             {"pgx", "default_query_exec_mode=exec"},
		"pgx, simple_protocol":  {"pgx", "default_query_exec_mode=simple_protocol"},
		"pq, binary_parameters": {"postgres", "binary_parameters=yes"},
	} {
		t.Run(name, func(t *testing.T) { conforms(t, connect(t, mode.driver, dsn+"&"+mode.parameter)) })
	}
}

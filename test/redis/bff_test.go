package redis_test

import (
	"testing"

	"github.com/emporix-community/emporix-go/internal/bffproof"
)

// What package bff promises about visitor IDs holds over a real server.
func TestSecurityWrites(t *testing.T) {
	t.Parallel() // it waits most of its time
	e := single(t)
	t.Logf("over %s", e.name)
	bffproof.SecurityWrites(t, newStore(t, e.client))
}

func TestARollOutOfBFF(t *testing.T) {
	e := single(t)
	t.Logf("over %s", e.name)
	bffproof.RollOut(t, newStore(t, e.client))
}

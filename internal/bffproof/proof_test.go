package bffproof

import (
	"testing"
	"testing/synctest"

	emporix "github.com/emporix-community/emporix-go"
)

func memory(t *testing.T) emporix.LeaseTokenStore {
	t.Helper()
	store, leases := emporix.NewMemoryStore(0).(emporix.LeaseTokenStore)
	if !leases {
		t.Fatal("the memory store lends no rows")
	}
	return store
}

func TestSecurityWritesOverMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { SecurityWrites(t, memory(t)) })
}

func TestARollOutOverMemory(t *testing.T) { RollOut(t, memory(t)) }

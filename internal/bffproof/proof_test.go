package bffproof

import (
	"testing"
	"testing/synctest"

	emporix "github.com/emporix-community/emporix-go"
)

func TestSecurityWritesOverMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { SecurityWrites(t, emporix.NewMemoryStore(0)) })
}

func TestARollOutOverMemory(t *testing.T) { RollOut(t, emporix.NewMemoryStore(0)) }

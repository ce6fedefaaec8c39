package adapters_test

import (
	"testing"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gofiber/storage/memory/v2"

	"github.com/emporix-community/emporix-go/stores/adapt"
	"github.com/emporix-community/emporix-go/stores/storetest"
)

// What the libraries promise of every store of theirs is what adapt takes.
var (
	_ adapt.SCSStore = scs.Store(nil)
	_ interface {
		adapt.SCSStore
		adapt.SCSContextStore
	} = scs.CtxStore(nil)

	_ interface {
		adapt.FiberStorage
		adapt.FiberContextStorage
	} = (*memory.Storage)(nil)
)

func TestStoresOfSCS(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store {
		return adapt.SCS(memstore.NewWithCleanupInterval(0))
	}, storetest.WithVirtualTime())
}

// Its clock is a goroutine of the library that ticks in real seconds.
func TestStoragesOfFiber(t *testing.T) {
	storage := memory.New()
	t.Cleanup(func() { _ = storage.Close() })
	storetest.Run(t, func(*testing.T) storetest.Store { return adapt.Fiber(storage) })
}

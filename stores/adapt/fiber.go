package adapt

import (
	"bytes"
	"context"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// FiberStorage is a storage of github.com/gofiber/storage. Get
// returns nil for what is absent, and a time to live of 0 has no end.
type FiberStorage interface {
	Get(key string) ([]byte, error)
	Set(key string, value []byte, ttl time.Duration) error
	Delete(key string) error
}

// FiberContextStorage is what those for Fiber 3 have besides.
type FiberContextStorage interface {
	GetWithContext(ctx context.Context, key string) ([]byte, error)
	SetWithContext(ctx context.Context, key string, value []byte, ttl time.Duration) error
	DeleteWithContext(ctx context.Context, key string) error
}

// Fiber makes a token store of a storage of gofiber. It uses the methods with a
// context if storage has them. For a nil storage it returns nil, which
// WithTokenStore refuses.
func Fiber(storage FiberStorage) emporix.TokenStore {
	if isNil(storage) {
		return nil
	}
	if c, ok := storage.(FiberContextStorage); ok {
		return fiber{c}
	}
	return fiber{fiberPlain{storage}}
}

type fiber struct{ storage FiberContextStorage }

func (f fiber) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	data, err := f.storage.GetWithContext(ctx, key)
	if err != nil || len(data) == 0 {
		return nil, false, err
	}
	return bytes.Clone(data), true, nil // in memory it is the storage's own
}

func (f fiber) Save(ctx context.Context, key string, data []byte, _ uint64, ttl time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.storage.SetWithContext(ctx, key, bytes.Clone(data), wholeSeconds(ttl))
}

func (f fiber) Delete(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.storage.DeleteWithContext(ctx, key)
}

// fiberPlain is for storages that know no context.
type fiberPlain struct{ FiberStorage }

func (f fiberPlain) GetWithContext(_ context.Context, key string) ([]byte, error) { return f.Get(key) }

func (f fiberPlain) SetWithContext(_ context.Context, key string, value []byte, ttl time.Duration) error {
	return f.Set(key, value, ttl)
}

func (f fiberPlain) DeleteWithContext(_ context.Context, key string) error {
	return f.FiberStorage.Delete(key)
}

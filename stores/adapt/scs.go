package adapt

import (
	"bytes"
	"context"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// SCSStore is a store of github.com/alexedwards/scs.
type SCSStore interface {
	Find(token string) (data []byte, found bool, err error)
	Commit(token string, data []byte, expiry time.Time) error
	Delete(token string) error
}

// SCSContextStore is what some have besides; their other methods may panic.
type SCSContextStore interface {
	FindCtx(ctx context.Context, token string) (data []byte, found bool, err error)
	CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error
	DeleteCtx(ctx context.Context, token string) error
}

// SCS makes a token store of a store of scs. It uses the methods with a context
// if store has them. For a nil store it returns nil, which WithTokenStore refuses.
func SCS(store SCSStore) emporix.TokenStore {
	if isNil(store) {
		return nil
	}
	if c, ok := store.(SCSContextStore); ok {
		return scs{c}
	}
	return scs{scsPlain{store}}
}

type scs struct{ store SCSContextStore }

func (s scs) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	data, found, err := s.store.FindCtx(ctx, key)
	if err != nil || !found {
		return nil, false, err
	}
	return bytes.Clone(data), true, nil // in memory it is the store's own
}

func (s scs) Save(ctx context.Context, key string, data []byte, _ uint64, ttl time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.store.CommitCtx(ctx, key, bytes.Clone(data), time.Now().Add(wholeSeconds(ttl)))
}

func (s scs) Delete(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.store.DeleteCtx(ctx, key)
}

// scsPlain is for stores that know none.
type scsPlain struct{ SCSStore }

func (w scsPlain) FindCtx(_ context.Context, token string) ([]byte, bool, error) {
	return w.Find(token)
}

func (w scsPlain) CommitCtx(_ context.Context, token string, data []byte, expiry time.Time) error {
	return w.Commit(token, data, expiry)
}

func (w scsPlain) DeleteCtx(_ context.Context, token string) error { return w.SCSStore.Delete(token) }

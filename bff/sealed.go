package bff

import (
	"context"

	emporix "github.com/emporix-community/emporix-go"
)

// CookieStore keeps sessions in cookies.
type CookieStore struct{ emporix.TokenStore }

type sealedKeeper struct {
	b     *BFF
	store *CookieStore
}

func (k *sealedKeeper) open(context.Context, string) (*visitor, error)  { return nil, nil }
func (k *sealedKeeper) issue(context.Context, record) (*visitor, error) { return nil, nil }
func (k *sealedKeeper) update(context.Context, *visitor, func(*record)) (*visitor, error) {
	return nil, nil
}
func (k *sealedKeeper) supersede(context.Context, *visitor) error { return nil }
func (k *sealedKeeper) discard(context.Context, *visitor) error   { return nil }
func (k *sealedKeeper) prepare(context.Context, *visitor, *emporix.Session) (*visitor, error) {
	return nil, nil
}
func (k *sealedKeeper) cookie(*visitor) (string, bool, error) { return "", false, nil }

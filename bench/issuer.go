package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/oauth2"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// renewals issues tokens: a first one that may be old already, and renewed ones
// that outlive every benchmark.
type renewals struct {
	life    time.Duration // of the first token
	age     time.Duration // how long ago it was issued
	latency time.Duration // of a renewal
	fail    int           // how many renewals fail first

	mu    sync.Mutex
	began []time.Time
	spent time.Duration // by the last renewal, as it was
}

var errOutage = errors.New("the token service is out of order")

func (r *renewals) first() (token string, until, sentAt time.Time) {
	sentAt = time.Now().Add(-r.age)
	return accessToken, sentAt.Add(r.life), sentAt
}

// renew takes its time and perhaps fails.
func (r *renewals) renew() error {
	began := time.Now()
	r.mu.Lock()
	r.began = append(r.began, began)
	n := len(r.began)
	r.mu.Unlock()
	time.Sleep(r.latency)
	r.mu.Lock()
	r.spent = time.Since(began)
	r.mu.Unlock()
	if n <= r.fail {
		return errOutage
	}
	return nil
}

func (r *renewals) seen() (began []time.Time, spent time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Time(nil), r.began...), r.spent
}

// Anonymous is how a lifecycle.Manager gets the first token.
func (r *renewals) Anonymous(context.Context, lifecycle.SessionContext) (lifecycle.Grant, error) {
	token, until, sentAt := r.first()
	return grant(token, sentAt, until.Sub(sentAt)), nil
}

// RefreshAnonymous is how it gets the next one.
func (r *renewals) RefreshAnonymous(context.Context, secret.Secret) (lifecycle.Grant, error) {
	sentAt := time.Now()
	if err := r.renew(); err != nil {
		return lifecycle.Grant{}, &failure.Failure{Token: failure.Failed, Err: err}
	}
	return grant(accessToken, sentAt, time.Hour), nil
}

// RefreshCustomer is not part of any benchmark.
func (r *renewals) RefreshCustomer(context.Context, secret.Secret, secret.Secret, string) (lifecycle.Grant, error) {
	return lifecycle.Grant{}, errors.ErrUnsupported
}

// Employee is not part of any benchmark.
func (r *renewals) Employee(context.Context) (lifecycle.Grant, error) {
	return lifecycle.Grant{}, errors.ErrUnsupported
}

// Revoke does nothing.
func (r *renewals) Revoke(context.Context, secret.Secret) error { return nil }

func grant(token string, sentAt time.Time, life time.Duration) lifecycle.Grant {
	return lifecycle.Grant{SentAt: sentAt, Token: wire.Token{
		Access: secret.New(token), Refresh: secret.New("refresh"), SessionID: sessionID,
		ExpiresIn:        wire.Lifetime{Duration: life, Known: true},
		RefreshExpiresIn: wire.Lifetime{Duration: 24 * time.Hour, Known: true},
	}}
}

// manager returns the SDK's token life cycle over an issuer, without HTTP.
func manager(issuer lifecycle.Issuer) (*lifecycle.Manager, *lifecycle.Visitor) {
	manager := lifecycle.New(lifecycle.Config{
		Scope: tenant, Store: emporix.NewMemoryStore(0), Issuer: issuer, RefreshLimit: 30 * time.Second, StoreLimit: 2 * time.Second,
	})
	visitor := new(lifecycle.Visitor)
	visitor.Init(manager, "visitor/", "benchmark")
	return manager, visitor
}

type oauthSource func() (*oauth2.Token, error)

// Token calls the function.
func (f oauthSource) Token() (*oauth2.Token, error) { return f() }

// reuse returns x/oauth2's caching source over the same tokens.
func (r *renewals) reuse() oauth2.TokenSource {
	started := false
	return oauth2.ReuseTokenSourceWithExpiry(nil, oauthSource(func() (*oauth2.Token, error) {
		if !started { // called under the caching source's mutex
			started = true
			token, until, _ := r.first()
			return &oauth2.Token{AccessToken: token, Expiry: until}, nil
		}
		if err := r.renew(); err != nil {
			return nil, err
		}
		return &oauth2.Token{AccessToken: accessToken, Expiry: time.Now().Add(time.Hour)}, nil
	}), time.Nanosecond)
}

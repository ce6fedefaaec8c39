package lifecycle

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL02_AnActiveCustomerStaysLoggedIn(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.customer("jo")
		for range 60 {
			for _, pause := range []time.Duration{time.Minute, 11 * time.Hour, 11 * time.Hour, 119 * time.Minute} {
				w.token(visitor("jo"), WantCustomer)
				time.Sleep(pause)
			}
		}
		assert.Equal(t, Customer, w.info("jo").Kind)
		assert.InDelta(t, 90, w.tokenServer.count(refreshCustomer), 30)
		assert.Equal(t, 1, w.tokenServer.count(login))
	})
}

func TestL02_AnIdleCustomerUsesTheAccessToken(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		time.Sleep(25 * time.Hour)
		assert.Equal(t, "C2", w.token(v, WantCustomer))
		r := w.info("jo")
		assert.False(t, r.CanRenew())
		assert.Zero(t, w.tokenServer.count(refreshCustomer))
		err := w.m.at(v).Refresh(t.Context(), nil)
		require.ErrorIs(t, err, sentinel.NotRefreshable)

		time.Sleep(29 * 24 * time.Hour)
		_, err = w.m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		_, err = w.m.at(visitor("jo")).Token(t.Context(), WantAny)
		require.ErrorIs(t, err, sentinel.SessionExpired, "until a customer logs in or out")
		assert.Contains(t, w.told(), EventExpired)
		assert.Zero(t, w.tokenServer.count(refreshCustomer))
	})
}

// Renewals follow the lifetimes of the response, whatever the flow.
func TestL02_LifetimesComeFromTheAnswer(t *testing.T) {
	tests := map[string]struct {
		access, refresh time.Duration
		from, to        time.Duration // when the renewal is due
	}{
		"anonymous":          {anonymousLife, refreshLife, anonymousLife - 5*time.Minute, anonymousLife - 150*time.Second},
		"customer":           {customerLife, refreshLife, refreshLife * 45 / 100, refreshLife / 2},
		"exchange":           {14399 * time.Second, 15551999 * time.Second, 14399*time.Second - 5*time.Minute, 14399*time.Second - 150*time.Second},
		"a very short life":  {30 * time.Second, time.Hour, 27 * time.Second, 28500 * time.Millisecond},
		"refresh ends first": {time.Hour, 10 * time.Minute, 270 * time.Second, 5 * time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			seen := map[time.Time]bool{}
			for i := range 1000 {
				r := &Record{Generation: 7, Kind: Customer, Issued: issued, AccessUntil: issued.Add(tt.access),
					Refresh: secret.New("r"), RefreshUntil: issued.Add(tt.refresh)}
				at := r.renewAt(fmt.Sprint("visitor-", i))
				require.WithinRange(t, at, issued.Add(tt.from), issued.Add(tt.to))
				require.Equal(t, use, r.plan(fmt.Sprint("visitor-", i), at.Add(-1)))
				require.Equal(t, renewEarly, r.plan(fmt.Sprint("visitor-", i), at))
				seen[at] = true
			}
			assert.Greater(t, len(seen), 900)
		})
	}
}

func TestL02_ShortTokensAreNotRenewedPerCall(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
			g.ExpiresIn.Duration = 30 * time.Second
			return nil
		})
		v := visitor("jo")
		for range 600 {
			w.token(v, WantAnonymous)
			time.Sleep(time.Second)
		}
		assert.InDelta(t, 600/29, w.tokenServer.count(refreshAnonymous), 2)
	})
}

func TestL02_ThirtyDaysOfTrafficKeepOneSession(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.tokenServer.script(time.Second, nil)
		v := visitor("jo")
		for range 30 * 24 * 30 {
			w.token(v, WantAnonymous)
			time.Sleep(2 * time.Minute)
		}
		assert.Equal(t, "S1", w.info("jo").SessionID)
		assert.Equal(t, 1, w.tokenServer.count(anonymous))
		assert.InDelta(t, 770, w.tokenServer.count(refreshAnonymous), 20)
	})
}

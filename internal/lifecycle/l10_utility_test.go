package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL10_OneUtilitySessionAuthorisesAllRefreshes(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		var visitors []*Visitor
		for i := range 20 {
			visitors = append(visitors, w.customer(fmt.Sprint("jo", i)))
		}
		own := w.tokenServer.count(anonymous)
		time.Sleep(13 * time.Hour)
		var all sync.WaitGroup
		for _, v := range visitors {
			all.Go(func() { assert.NoError(t, w.m.at(v).Refresh(t.Context(), nil)) })
		}
		all.Wait()
		assert.Equal(t, 20, w.tokenServer.count(refreshCustomer))
		assert.Equal(t, own+1, w.tokenServer.count(anonymous))
		for _, c := range w.tokenServer.of(refreshCustomer) {
			assert.Equal(t, w.tokenServer.of(refreshCustomer)[0].bearer, c.bearer)
		}
		for i := range visitors {
			assert.Equal(t, fmt.Sprint("S", 2*i+1), w.info(fmt.Sprint("jo", i)).SessionID)
		}
	})
}

func TestL10_ARefusedUtilityBearerIsReplaced(t *testing.T) {
	for _, sessionToo := range []bool{false, true} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("jo")
			require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
			dead := w.tokenServer.of(refreshCustomer)[0].bearer
			w.tokenServer.script(time.Second, func(_ context.Context, c tokenCall, _ *Grant) error {
				switch {
				case c.op == refreshCustomer && c.bearer == dead:
					return &failure.Failure{Token: failure.BearerRefused, Err: errWire}
				case c.op == refreshAnonymous && sessionToo:
					return &failure.Failure{Token: failure.Refused, Err: errWire}
				}
				return nil
			})
			require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
			assert.Equal(t, "S1", w.info("jo").SessionID)
			assert.Equal(t, Customer, w.info("jo").Kind)
			assert.NotContains(t, w.told(), EventRefreshFailed)
			calls := w.tokenServer.of(refreshCustomer)
			assert.Regexp(t, "^A", calls[len(calls)-1].bearer, "the second one is anonymous too")
			assert.Len(t, calls, 3)
		})
	}
}

// No utility bearer to be had is no news about the customer's refresh token.
func TestL10_WithoutABearerTheCustomerKeepsTheSession(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		w.tokenServer.script(0, failing(map[string]failure.Outcome{anonymous: failure.Refused}))
		require.ErrorIs(t, w.m.at(v).Refresh(t.Context(), nil), errWire)
		r := w.info("jo")
		assert.Equal(t, "C2", r.Access.Reveal())
		assert.False(t, r.Suspect)
		assert.False(t, r.Refresh.IsZero())
	})
}

// Neither is a bearer that is refused and can't be replaced.
func TestL10_ARefusedBearerThatCannotBeReplaced(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		w.token(w.m.utility, WantAnonymous)
		w.tokenServer.script(0, failing(map[string]failure.Outcome{refreshCustomer: failure.BearerRefused, refreshAnonymous: failure.Refused, anonymous: failure.Refused}))
		require.ErrorIs(t, w.m.at(v).Refresh(t.Context(), nil), errWire)
		r := w.row("jo")
		assert.Equal(t, Customer, r.Kind)
		assert.False(t, r.Suspect)
		assert.False(t, r.Refresh.IsZero())
		assert.Equal(t, 1, w.tokenServer.count(refreshCustomer))
	})
}

// What is left of a renewal's time when the bearer is there at last may not be
// enough for the response: then the refresh token stays for the next time.
func TestL10_AUtilityBearerThatComesTooLate(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		time.Sleep(customerDue)
		w.tokenServer.script(0, func(ctx context.Context, c tokenCall, _ *Grant) error {
			took := 9 * time.Second
			if c.op == anonymous {
				took = 22 * time.Second
			}
			if !pause(ctx, took) {
				return &failure.Failure{Token: failure.Unknown, Err: context.Cause(ctx)}
			}
			return nil
		})
		err := w.m.at(v).Refresh(t.Context(), nil)
		require.ErrorIs(t, err, sentinel.Unavailable)
		require.ErrorContains(t, err, "before the refresh token was used")
		assert.Zero(t, w.tokenServer.count(refreshCustomer))
		assert.False(t, w.row("jo").Suspect)
		require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
		assert.Equal(t, 1, w.tokenServer.count(refreshCustomer))
	})
}

// Who gives up waiting for the bearer gives the lease back in time: nobody is to
// think that the refresh token may have been sent.
func TestL10_AUtilityBearerThatNeverComes(t *testing.T) {
	for _, limit := range []time.Duration{time.Second, 30 * time.Second, time.Minute} {
		inShop(t, 1, func(t *testing.T, s *shop) {
			w := s.replicas[0]
			w.m.cfg.RefreshLimit = limit
			w.customer("jo")
			time.Sleep(customerDue)
			require.NoError(t, w.m.private.Delete(t.Context(), w.m.at(w.m.utility).key()))
			w.m.at(w.m.utility).epoch().Add(1)
			s.slow(anonymous, time.Hour)
			err := w.m.at(visitor("jo")).Refresh(t.Context(), nil)
			require.ErrorIs(t, err, sentinel.Unavailable)
			require.ErrorContains(t, err, "before the refresh token was used")
			assert.Zero(t, s.tokenServer.count(refreshCustomer))
			s.tokenServer.script(0, nil)
			time.Sleep(time.Minute)
			require.NoError(t, w.m.at(visitor("jo")).Refresh(t.Context(), nil))
			assert.False(t, w.row("jo").Suspect)
		})
	}
}

// Neither does whoever waits for another bearer, because the first was refused.
func TestL10_AnotherUtilityBearerThatNeverComes(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		w := s.replicas[0]
		w.customer("jo")
		time.Sleep(customerDue)
		s.tokenServer.script(0, func(ctx context.Context, c tokenCall, _ *Grant) error {
			if c.op == refreshCustomer {
				return &failure.Failure{Token: failure.BearerRefused, Err: errWire}
			}
			pause(ctx, time.Hour)
			return &failure.Failure{Token: failure.Unknown, Err: context.Cause(ctx)}
		})
		err := w.m.at(visitor("jo")).Refresh(t.Context(), nil)
		require.ErrorIs(t, err, sentinel.Unavailable)
		require.ErrorContains(t, err, "before the refresh token was used")
		s.tokenServer.script(0, nil)
		time.Sleep(time.Minute)
		require.NoError(t, w.m.at(visitor("jo")).Refresh(t.Context(), nil))
		assert.False(t, w.row("jo").Suspect)
	})
}

// Where the server wants the customer's own bearer, it is tried when two anonymous
// ones were refused, and comes first from then on, until an anonymous one works.
func TestL10_TheCustomersOwnBearer(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v, entity := w.customer("jo"), "company"
		for i, step := range []struct {
			takes    string // the first letter of the bearers that the server takes
			to       *string
			bearers  string // that are sent
			refusals bool
		}{
			{"C", nil, "AAC", false}, {"C", nil, "C", false}, {"C", &entity, "C", false}, {"A", nil, "CA", false}, {"A", &entity, "A", false},
			{"C", &entity, "AAC", false}, {"none", nil, "CAA", true}, {"A", nil, "CA", false}, {"none", &entity, "AAC", true},
		} {
			w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
				if c.op == refreshCustomer && c.bearer[:1] != step.takes {
					return &failure.Failure{Token: failure.BearerRefused, Err: errWire}
				}
				return nil
			})
			sent := w.tokenServer.count(refreshCustomer)
			err := w.m.at(v).Refresh(t.Context(), step.to)
			if step.refusals {
				require.ErrorIs(t, err, sentinel.Unavailable, "it says nothing about the session")
			} else {
				require.NoError(t, err)
			}
			bearers := ""
			for _, c := range w.tokenServer.of(refreshCustomer)[sent:] {
				bearers += c.bearer[:1]
			}
			assert.Equal(t, step.bearers, bearers, i)
			r := w.row("jo")
			assert.False(t, r.Suspect || r.Refresh.IsZero())
			time.Sleep(time.Minute)
		}
	})
}

// What the server says to the customer's own bearer counts, but for a refusal of it.
func TestL10_WhatTheOwnBearerComesTo(t *testing.T) {
	for outcome, then := range map[failure.Outcome]func(*Record) bool{
		failure.Refused: func(r *Record) bool { return !r.Suspect && !r.Refresh.IsZero() }, // perhaps of the bearer, which was a guess
		failure.Unknown: func(r *Record) bool { return r.Suspect },
		failure.Failed:  func(r *Record) bool { return !r.Suspect && !r.Refresh.IsZero() },
	} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("jo")
			w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
				switch {
				case c.op == refreshCustomer && c.bearer[:1] == "A":
					return &failure.Failure{Token: failure.BearerRefused, Err: errors.New("the bearer")}
				case c.op == refreshCustomer:
					return &failure.Failure{Token: outcome, Err: errWire}
				}
				return nil
			})
			require.ErrorIs(t, w.m.at(v).Refresh(t.Context(), nil), errWire)
			assert.True(t, then(w.row("jo")), outcome)
			assert.Equal(t, 3, w.tokenServer.count(refreshCustomer))
			w.tokenServer.script(0, nil)
			if outcome != failure.Unknown { // it is not what worked
				require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
				calls := w.tokenServer.of(refreshCustomer)
				assert.Equal(t, "A", calls[3].bearer[:1])
			}
		})
	}
}

package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL10_OneUtilitySessionAuthorisesAllRefreshes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var visitors []*Visitor
		for i := range 20 {
			visitors = append(visitors, w.customer(fmt.Sprint("jo", i)))
		}
		own := w.office.count(anonymous)
		time.Sleep(13 * time.Hour)
		var all sync.WaitGroup
		for _, v := range visitors {
			all.Go(func() { assert.NoError(t, w.m.Refresh(t.Context(), v, nil)) })
		}
		all.Wait()
		assert.Equal(t, 20, w.office.count(refreshCustomer))
		assert.Equal(t, own+1, w.office.count(anonymous))
		for _, c := range w.office.of(refreshCustomer) {
			assert.Equal(t, w.office.of(refreshCustomer)[0].bearer, c.bearer)
		}
		for i := range visitors {
			assert.Equal(t, fmt.Sprint("S", 2*i+1), w.info(fmt.Sprint("jo", i)).SessionID)
		}
	})
}

func TestL10_ARefusedUtilityBearerIsReplaced(t *testing.T) {
	for _, sessionToo := range []bool{false, true} {
		bubble(t, func(t *testing.T, w *world) {
			v := w.customer("jo")
			require.NoError(t, w.m.Refresh(t.Context(), v, nil))
			dead := w.office.of(refreshCustomer)[0].bearer
			w.office.script(time.Second, func(_ context.Context, c tokenCall, _ *Grant) error {
				switch {
				case c.op == refreshCustomer && c.bearer == dead:
					return &CallError{Outcome: BearerRefused, Err: errWire}
				case c.op == refreshAnonymous && sessionToo:
					return &CallError{Outcome: Refused, Err: errWire}
				}
				return nil
			})
			require.NoError(t, w.m.Refresh(t.Context(), v, nil))
			assert.Equal(t, "S1", w.info("jo").SessionID)
			assert.Equal(t, Customer, w.info("jo").Kind)
			assert.NotContains(t, w.told(), EventRefreshFailed)
			calls := w.office.of(refreshCustomer)
			assert.Regexp(t, "^A", calls[len(calls)-1].bearer, "the second one is anonymous too")
			assert.Len(t, calls, 3)
		})
	}
}

// No utility bearer to be had is no news about the customer's refresh token.
func TestL10_WithoutABearerTheCustomerKeepsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		w.office.script(0, failing(map[string]Outcome{anonymous: Refused}))
		require.ErrorIs(t, w.m.Refresh(t.Context(), v, nil), errWire)
		r := w.info("jo")
		assert.Equal(t, "C2", r.Access.Reveal())
		assert.False(t, r.Suspect)
		assert.False(t, r.Refresh.IsZero())
	})
}

// Neither is a bearer that is refused and can't be replaced.
func TestL10_ARefusedBearerThatCannotBeReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		w.token(w.m.utility, WantAnonymous)
		w.office.script(0, failing(map[string]Outcome{refreshCustomer: BearerRefused, refreshAnonymous: Refused, anonymous: Refused}))
		require.ErrorIs(t, w.m.Refresh(t.Context(), v, nil), errWire)
		r := w.row("jo")
		assert.Equal(t, Customer, r.Kind)
		assert.False(t, r.Suspect)
		assert.False(t, r.Refresh.IsZero())
		assert.Equal(t, 1, w.office.count(refreshCustomer))
	})
}

// What is left of a renewal's time when the bearer is there at last may not be
// enough for the answer: then the refresh token stays for the next time.
func TestL10_AUtilityBearerThatComesTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		time.Sleep(customerDue)
		w.office.script(0, func(ctx context.Context, c tokenCall, _ *Grant) error {
			took := 9 * time.Second
			if c.op == anonymous {
				took = 22 * time.Second
			}
			if !pause(ctx, took) {
				return &CallError{Outcome: Unknown, Err: context.Cause(ctx)}
			}
			return nil
		})
		err := w.m.Refresh(t.Context(), v, nil)
		require.ErrorIs(t, err, sentinel.Unavailable)
		require.ErrorContains(t, err, "before the refresh token was used")
		assert.Zero(t, w.office.count(refreshCustomer))
		assert.False(t, w.row("jo").Suspect)
		require.NoError(t, w.m.Refresh(t.Context(), v, nil))
		assert.Equal(t, 1, w.office.count(refreshCustomer))
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
			require.NoError(t, w.m.private.Delete(t.Context(), w.m.key(w.m.utility)))
			w.m.epoch(w.m.utility).Add(1)
			s.slow(anonymous, time.Hour)
			err := w.m.Refresh(t.Context(), visitor("jo"), nil)
			require.ErrorIs(t, err, sentinel.Unavailable)
			require.ErrorContains(t, err, "before the refresh token was used")
			assert.Zero(t, s.office.count(refreshCustomer))
			s.office.script(0, nil)
			time.Sleep(time.Minute)
			require.NoError(t, w.m.Refresh(t.Context(), visitor("jo"), nil))
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
		s.office.script(0, func(ctx context.Context, c tokenCall, _ *Grant) error {
			if c.op == refreshCustomer {
				return &CallError{Outcome: BearerRefused, Err: errWire}
			}
			pause(ctx, time.Hour)
			return &CallError{Outcome: Unknown, Err: context.Cause(ctx)}
		})
		err := w.m.Refresh(t.Context(), visitor("jo"), nil)
		require.ErrorIs(t, err, sentinel.Unavailable)
		require.ErrorContains(t, err, "before the refresh token was used")
		s.office.script(0, nil)
		time.Sleep(time.Minute)
		require.NoError(t, w.m.Refresh(t.Context(), visitor("jo"), nil))
		assert.False(t, w.row("jo").Suspect)
	})
}

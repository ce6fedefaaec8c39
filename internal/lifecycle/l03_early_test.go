package lifecycle

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestL03_EarlyRenewalsDelayNobody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := visitor("jo")
		w.token(v, WantAnonymous)
		time.Sleep(anonymousLife - time.Minute)
		w.office.script(20*time.Second, nil)
		for range 10 {
			assert.Zero(t, elapsed(func() { assert.Equal(t, "A1", w.token(v, WantAnonymous)) }))
			time.Sleep(time.Second)
		}
		time.Sleep(15 * time.Second)
		assert.Equal(t, "A2", w.token(v, WantAnonymous))
		assert.Equal(t, 1, w.office.count(refreshAnonymous))
	})
}

func TestL03_AFailedEarlyRenewalIsNotTriedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := visitor("jo")
		w.token(v, WantAnonymous)
		time.Sleep(anonymousLife - 5*time.Minute)
		w.office.script(0, failing(map[string]Outcome{refreshAnonymous: Failed}))
		for range 299 {
			assert.Equal(t, "A1", w.token(v, WantAnonymous))
			time.Sleep(time.Second)
		}
		calls := w.office.of(refreshAnonymous)
		require.NotEmpty(t, calls)
		assert.LessOrEqual(t, len(calls), 4)
		for i := range calls[1:] {
			assert.GreaterOrEqual(t, calls[i+1].at.Sub(calls[i].at), 29*time.Second)
		}
		w.told()

		time.Sleep(time.Minute) // over: the error shows, and the next call tries again
		_, err := w.m.Token(t.Context(), v, WantAnonymous)
		require.ErrorIs(t, err, errWire)
		w.office.script(0, nil)
		assert.NotEqual(t, "A1", w.token(v, WantAnonymous))
		assert.Equal(t, "S1", w.info("jo").SessionID)
	})
}

func TestL03_ARetryAfterIsHeeded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		time.Sleep(13 * time.Hour)
		w.office.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
			if c.op == refreshCustomer {
				return &CallError{Outcome: NotSent, RetryAfter: 20 * time.Minute, Err: errWire}
			}
			return nil
		})
		for range 60 {
			w.token(v, WantCustomer)
			time.Sleep(time.Minute)
		}
		assert.LessOrEqual(t, w.office.count(refreshCustomer), 3)
	})
}

// Ten thousand sessions that begin together are not renewed together: neither those
// of many visitors, nor one that many processes keep under the same name.
func TestL03_AFleetDoesNotRenewInStep(t *testing.T) {
	issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, of := range map[string]func(i int) (key string, generation uint64){
		"visitors":  func(i int) (string, uint64) { return fmt.Sprint("acme/visitor-", i), 7 },
		"processes": func(i int) (string, uint64) { return "utility", uint64(issued.UnixMicro()) + uint64(i) },
	} {
		t.Run(name, func(t *testing.T) {
			var bins [10]int
			for i := range 10000 {
				key, generation := of(i)
				r := &Record{Generation: generation, Kind: Anonymous, Issued: issued, AccessUntil: issued.Add(anonymousLife)}
				early := r.AccessUntil.Sub(r.renewAt(key))
				require.GreaterOrEqual(t, early, 150*time.Second)
				require.Less(t, early, 301*time.Second)
				bins[min(int((early-150*time.Second)/(15*time.Second)), 9)]++
			}
			for _, n := range bins {
				assert.InDelta(t, 1000, n, 500)
			}
		})
	}
}

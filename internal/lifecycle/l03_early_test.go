package lifecycle

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
)

func TestL03_EarlyRenewalsDelayNobody(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		w.token(v, WantAnonymous)
		time.Sleep(anonymousLife - time.Minute)
		w.tokenServer.script(20*time.Second, nil)
		for range 10 {
			assert.Zero(t, elapsed(func() { assert.Equal(t, "A1", w.token(v, WantAnonymous)) }))
			time.Sleep(time.Second)
		}
		time.Sleep(15 * time.Second)
		assert.Equal(t, "A2", w.token(v, WantAnonymous))
		assert.Equal(t, 1, w.tokenServer.count(refreshAnonymous))
	})
}

func TestL03_AFailedEarlyRenewalIsNotTriedAtOnce(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		w.token(v, WantAnonymous)
		time.Sleep(anonymousLife - 5*time.Minute)
		w.tokenServer.script(0, failing(map[string]failure.Outcome{refreshAnonymous: failure.Failed}))
		for range 299 {
			assert.Equal(t, "A1", w.token(v, WantAnonymous))
			time.Sleep(time.Second)
		}
		calls := w.tokenServer.of(refreshAnonymous)
		require.NotEmpty(t, calls)
		assert.LessOrEqual(t, len(calls), 4)
		for i := range calls[1:] {
			assert.GreaterOrEqual(t, calls[i+1].at.Sub(calls[i].at), 29*time.Second)
		}
		w.told()

		time.Sleep(time.Minute) // over: the error shows, and the next call tries again
		_, err := w.m.at(v).Token(t.Context(), WantAnonymous)
		require.ErrorIs(t, err, errWire)
		w.tokenServer.script(0, nil)
		assert.NotEqual(t, "A1", w.token(v, WantAnonymous))
		assert.Equal(t, "S1", w.info("jo").SessionID)
	})
}

// A pause that the server asks for is kept, but not until the refresh token has ended.
func TestL03_ARetryAfterIsHeeded(t *testing.T) {
	for name, tt := range map[string]struct {
		want           Want
		op             string
		due            time.Duration
		asked, between time.Duration
	}{
		"a customer's":           {WantCustomer, refreshCustomer, 13 * time.Hour, 20 * time.Minute, 20 * time.Minute},
		"a month":                {WantCustomer, refreshCustomer, 13 * time.Hour, 30 * 24 * time.Hour, 5*time.Hour + 30*time.Minute},
		"less than it is anyhow": {WantCustomer, refreshCustomer, 13 * time.Hour, time.Second, 30 * time.Second},
		"the employee's":         {WantEmployee, employee, 4*time.Hour - 150*time.Second, 2 * time.Minute, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := w.customer("jo")
				w.token(v, tt.want)
				before := w.tokenServer.count(tt.op)
				time.Sleep(tt.due)
				w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					if c.op == tt.op {
						return &failure.Failure{Token: failure.NotSent, RetryAfter: tt.asked, Err: errWire}
					}
					return nil
				})
				for end := time.Now().Add(tt.between + 9*time.Second); time.Now().Before(end); time.Sleep(time.Second) {
					w.token(v, tt.want)
				}
				calls := w.tokenServer.of(tt.op)[before:]
				require.Len(t, calls, 2)
				assert.InDelta(t, tt.between, calls[1].at.Sub(calls[0].at), float64(2*time.Second))
			})
		})
	}
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

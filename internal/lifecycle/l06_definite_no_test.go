package lifecycle

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL06_OnlyADefiniteNoEndsASession(t *testing.T) {
	const keep, replaced, over = "the session", "another session", "no session"
	for _, tt := range []struct {
		kind    Kind
		outcome failure.Outcome
		alive   bool // the access token is
		want    string
	}{
		{Anonymous, failure.Unknown, true, keep},
		{Anonymous, failure.Unknown, false, keep},
		{Anonymous, failure.Failed, true, keep},
		{Anonymous, failure.Failed, false, keep},
		{Anonymous, failure.NotSent, false, keep},
		{Anonymous, failure.BearerRefused, false, keep},
		{Anonymous, failure.Refused, true, keep},
		{Anonymous, failure.Refused, false, replaced},
		{Customer, failure.Unknown, true, keep},
		{Customer, failure.Unknown, false, keep},
		{Customer, failure.Failed, true, keep},
		{Customer, failure.Failed, false, keep},
		{Customer, failure.NotSent, false, keep},
		{Customer, failure.Refused, true, keep},
		{Customer, failure.Refused, false, over},
		{Customer, failure.BearerRefused, true, keep},
		{Customer, failure.BearerRefused, false, keep}, // twice, the second time with a brand-new bearer
		{Customer, failure.Undecided, true, keep},
		{Customer, failure.Undecided, false, keep}, // once; see TestL06_TheSameRefusalAgainAndAgain
		{Anonymous, failure.Undecided, true, keep},
		{Anonymous, failure.Undecided, false, replaced}, // twice, with an anonymous login in between
	} {
		t.Run(fmt.Sprintf("%v %v alive=%v", tt.kind, tt.outcome, tt.alive), func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				// The refresh token outlives the access token, or the other way round.
				w.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
					if !tt.alive {
						g.ExpiresIn.Duration = time.Hour
					}
					return nil
				})
				v, want, op := visitor("jo"), WantAnonymous, refreshAnonymous
				w.token(v, WantAnonymous)
				if tt.kind == Customer {
					want, op = WantCustomer, refreshCustomer
					w.logIn(v)
				}
				session := w.info("jo").SessionID
				if tt.alive {
					time.Sleep(map[Kind]time.Duration{Anonymous: anonymousLife - 2*time.Minute, Customer: 13 * time.Hour}[tt.kind])
				} else {
					time.Sleep(90 * time.Minute)
				}
				w.told()
				w.tokenServer.script(0, failing(map[string]failure.Outcome{op: tt.outcome}))
				_, err := w.m.at(v).Token(t.Context(), want)
				synctest.Wait()
				w.tokenServer.script(0, nil)
				assert.NotZero(t, w.tokenServer.count(op))
				r := w.info("jo")
				switch tt.want {
				case keep:
					assert.Equal(t, tt.kind, r.Kind)
					assert.Equal(t, session, r.SessionID)
					if tt.alive {
						require.NoError(t, err)
						sent := w.tokenServer.count(op)
						assert.Equal(t, tt.outcome == failure.Refused && tt.kind == Customer, r.Refresh.IsZero(), "a guest's is kept until its replacement is in the store")
						for range 2 {
							w.token(v, want)
							time.Sleep(30 * time.Second)
						}
						if tt.outcome == failure.Refused {
							assert.Equal(t, sent, w.tokenServer.count(op), "a refused token is not sent again")
						}
					} else {
						require.ErrorIs(t, err, errWire)
						w.token(v, want) // a better answer, and all is well
					}
					assert.Equal(t, session, w.info("jo").SessionID)
					events := w.told()
					assert.Contains(t, events, EventRefreshFailed)
					assert.NotContains(t, events, EventExpired)
					assert.NotContains(t, events, EventReplaced)
				case replaced:
					require.NoError(t, err)
					assert.NotEqual(t, session, r.SessionID)
					assert.Equal(t, []EventKind{EventReplaced}, w.told())
				case over:
					require.ErrorIs(t, err, sentinel.SessionExpired)
					assert.True(t, r.Ended)
					assert.Equal(t, []EventKind{EventExpired}, w.told())
					w.token(v, WantAnonymous) // anonymous calls go on
					_, err = w.m.at(v).Token(t.Context(), WantCustomer)
					require.ErrorIs(t, err, sentinel.SessionExpired)
					w.logIn(v)
					w.token(v, WantCustomer)
				}
			})
		})
	}
}

// A customer whom an employee disabled: the refresh says no, the access token
// lasts as long as it lasts, and nothing loops.
func TestL06_ARefusedRefreshTokenIsNeverSentAgain(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		w.tokenServer.script(0, failing(map[string]failure.Outcome{refreshCustomer: failure.Refused}))
		for range 29 * 24 {
			w.token(v, WantCustomer)
			time.Sleep(time.Hour)
		}
		assert.Equal(t, 1, w.tokenServer.count(refreshCustomer))
		time.Sleep(26 * time.Hour)
		_, err := w.m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		assert.Equal(t, 1, w.tokenServer.count(refreshCustomer))
	})
}

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/wire"
)

func TestL01_AThousandCallersMakeOneRenewal(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.token(visitor("jo"), WantAnonymous)
		time.Sleep(2 * time.Hour)
		w.office.script(3*time.Second, nil)
		tokens := make([]string, 1000)
		var all sync.WaitGroup
		for i := range tokens {
			all.Go(func() { tokens[i] = w.token(visitor("jo"), WantAnonymous) })
		}
		all.Wait()
		for _, token := range tokens {
			require.Equal(t, "A2", token)
		}
		assert.Equal(t, 1, w.office.count(refreshAnonymous))
		assert.Equal(t, 1, w.office.count(anonymous))
		assert.Zero(t, w.size("flights"))
	})
}

// Two replicas that renew at the same moment end with one truth.
func TestL01_TwoReplicasAgree(t *testing.T) {
	bubble(t, func(t *testing.T, a *world) {
		b := newWorld(t, a.office, a.shelf)
		a.customer("jo")
		time.Sleep(13 * time.Hour)
		a.office.script(3*time.Second, nil)
		a.token(visitor("jo"), WantCustomer)
		b.token(visitor("jo"), WantCustomer)
		time.Sleep(time.Minute)
		assert.Equal(t, a.row("jo").Access.Reveal(), a.token(visitor("jo"), WantCustomer))
		assert.Equal(t, a.row("jo").Access.Reveal(), b.token(visitor("jo"), WantCustomer))
		assert.Zero(t, a.office.count(revoke), "the loser's token shares its session with the winner's")
	})
}

// lateShelf is the same shelf as seen by a slow replica.
type lateShelf struct{ *shelf }

func (s lateShelf) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	time.Sleep(1500 * time.Millisecond)
	return s.shelf.SaveIf(ctx, key, data, expected, generation, ttl)
}

// A replica whose refresh token was used up by another's renewal, which is still
// under way, takes nothing from the session: neither if the renewal is written
// first nor if the refusal is.
func TestL01_ARefusalThatAnotherReplicaCausedEndsNothing(t *testing.T) {
	for _, alive := range []bool{true, false} {
		for _, late := range []bool{true, false} {
			t.Run(fmt.Sprintf("alive=%v late=%v", alive, late), func(t *testing.T) {
				bubble(t, func(t *testing.T, a *world) {
					var store Store = a.shelf
					if late {
						store = lateShelf{a.shelf}
					}
					b := newWorldOver(t, a.office, a.shelf, store)
					used := map[string]bool{}
					a.office.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
						if c.op != refreshCustomer {
							if !alive {
								g.ExpiresIn.Duration = time.Hour
							}
							return nil
						}
						a.office.mu.Lock()
						reused := used[c.refresh]
						used[c.refresh] = true
						a.office.mu.Unlock()
						if reused {
							return &CallError{Outcome: Refused, Err: errWire}
						}
						time.Sleep(time.Second) // the winner's answer takes longer
						return nil
					})
					a.customer("jo")
					time.Sleep(13 * time.Hour)
					var both sync.WaitGroup
					both.Go(func() { a.token(visitor("jo"), WantCustomer) })
					synctest.Wait()
					both.Go(func() {
						_, err := b.m.Token(t.Context(), visitor("jo"), WantCustomer)
						assert.Equal(t, alive || late, err == nil)
					})
					both.Wait()
					time.Sleep(time.Minute)
					r := b.info("jo")
					assert.Equal(t, Customer, r.Kind)
					assert.NotEqual(t, "C2", r.Access.Reveal())
					assert.True(t, r.CanRenew())
					assert.Zero(t, a.office.count(revoke))
					if late {
						assert.NotContains(t, b.told(), EventExpired)
					}
				})
			})
		}
	}
}

func TestL02_AnActiveCustomerStaysLoggedIn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.customer("jo")
		for range 60 {
			for _, pause := range []time.Duration{time.Minute, 11 * time.Hour, 11 * time.Hour, 119 * time.Minute} {
				w.token(visitor("jo"), WantCustomer)
				time.Sleep(pause)
			}
		}
		assert.Equal(t, Customer, w.info("jo").Kind)
		assert.InDelta(t, 90, w.office.count(refreshCustomer), 30)
		assert.Equal(t, 1, w.office.count(login))
	})
}

func TestL02_AnIdleCustomerUsesTheAccessToken(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		time.Sleep(25 * time.Hour)
		assert.Equal(t, "C2", w.token(v, WantCustomer))
		r := w.info("jo")
		assert.False(t, r.CanRenew())
		assert.Zero(t, w.office.count(refreshCustomer))
		err := w.m.Refresh(t.Context(), v, nil)
		require.ErrorIs(t, err, sentinel.NotRefreshable)

		time.Sleep(29 * 24 * time.Hour)
		_, err = w.m.Token(t.Context(), v, WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		_, err = w.m.Token(t.Context(), visitor("jo"), WantAny)
		require.ErrorIs(t, err, sentinel.SessionExpired, "until somebody logs in or out")
		assert.Contains(t, w.told(), EventExpired)
		assert.Zero(t, w.office.count(refreshCustomer))
	})
}

// Renewals follow the lifetimes of the answer, whatever the flow.
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
	bubble(t, func(t *testing.T, w *world) {
		w.office.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
			g.ExpiresIn.Duration = 30 * time.Second
			return nil
		})
		v := visitor("jo")
		for range 600 {
			w.token(v, WantAnonymous)
			time.Sleep(time.Second)
		}
		assert.InDelta(t, 600/29, w.office.count(refreshAnonymous), 2)
	})
}

func TestL02_ThirtyDaysOfTrafficKeepOneSession(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.office.script(time.Second, nil)
		v := visitor("jo")
		for range 30 * 24 * 30 {
			w.token(v, WantAnonymous)
			time.Sleep(2 * time.Minute)
		}
		assert.Equal(t, "S1", w.info("jo").SessionID)
		assert.Equal(t, 1, w.office.count(anonymous))
		assert.InDelta(t, 770, w.office.count(refreshAnonymous), 20)
	})
}

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

// Ten thousand sessions that begin together are not renewed together.
func TestL03_AFleetDoesNotRenewInStep(t *testing.T) {
	issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var bins [10]int
	for i := range 10000 {
		r := &Record{Generation: 7, Kind: Anonymous, Issued: issued, AccessUntil: issued.Add(anonymousLife)}
		early := r.AccessUntil.Sub(r.renewAt(fmt.Sprint("acme/visitor-", i)))
		require.GreaterOrEqual(t, early, 150*time.Second)
		require.Less(t, early, 301*time.Second)
		bins[min(int((early-150*time.Second)/(15*time.Second)), 9)]++
	}
	for _, n := range bins {
		assert.InDelta(t, 1000, n, 500)
	}
}

func TestL04_WhoeverLeavesBreaksNothing(t *testing.T) {
	type key struct{}
	tests := map[string]func(t *testing.T, w *world, began time.Time){
		"the leader leaves, waiters get the token": func(t *testing.T, w *world, began time.Time) {
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "the caller's"))
			var all sync.WaitGroup
			all.Go(func() {
				_, err := w.m.Token(ctx, visitor("jo"), WantAnonymous)
				assert.ErrorIs(t, err, context.Canceled)
				assert.Equal(t, time.Second, time.Since(began))
			})
			synctest.Wait()
			for range 10 {
				all.Go(func() { assert.Equal(t, "A2", w.token(visitor("jo"), WantAnonymous)) })
			}
			time.Sleep(time.Second)
			cancel()
			synctest.Wait()
			all.Go(func() { assert.Equal(t, "A2", w.token(visitor("jo"), WantAnonymous), "not poisoned") })
			all.Wait()
		},
		"a waiter's deadline": func(t *testing.T, w *world, began time.Time) {
			var all sync.WaitGroup
			all.Go(func() { w.token(visitor("jo"), WantAnonymous) })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := w.m.Token(ctx, visitor("jo"), WantAnonymous)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 2*time.Second, time.Since(began))
			all.Wait()
		},
		"all leave": func(t *testing.T, w *world, _ time.Time) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					_, err := w.m.Token(ctx, visitor("jo"), WantAnonymous)
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				})
			}
			all.Wait()
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.token(visitor("jo"), WantAnonymous)
				time.Sleep(2 * time.Hour)
				w.office.script(5*time.Second, func(ctx context.Context, _ tokenCall, _ *Grant) error {
					assert.Nil(t, ctx.Value(key{}), "the renewal is nobody's own")
					return nil
				})
				test(t, w, time.Now())
				time.Sleep(10 * time.Second)
				assert.Equal(t, 1, w.office.count(refreshAnonymous))
				assert.Equal(t, "A2", w.row("jo").Access.Reveal())
				assert.Zero(t, w.size("running"))
			})
		})
	}
}

func TestL04_ARenewalHasItsOwnTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.token(visitor("jo"), WantAnonymous)
		time.Sleep(2 * time.Hour)
		w.office.script(time.Hour, nil)
		assert.Equal(t, 30*time.Second, elapsed(func() {
			_, err := w.m.Token(t.Context(), visitor("jo"), WantAnonymous)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		}))
		w.office.script(0, nil)
		w.token(visitor("jo"), WantAnonymous)
		assert.Equal(t, "S1", w.info("jo").SessionID)
	})
}

func TestL06_OnlyADefiniteNoEndsASession(t *testing.T) {
	const keep, replaced, over = "the session", "another session", "no session"
	for _, tt := range []struct {
		kind    Kind
		outcome Outcome
		alive   bool // the access token is
		want    string
	}{
		{Anonymous, Unknown, true, keep},
		{Anonymous, Unknown, false, keep},
		{Anonymous, Failed, true, keep},
		{Anonymous, Failed, false, keep},
		{Anonymous, NotSent, false, keep},
		{Anonymous, BearerRefused, false, keep},
		{Anonymous, Refused, true, keep},
		{Anonymous, Refused, false, replaced},
		{Customer, Unknown, true, keep},
		{Customer, Unknown, false, keep},
		{Customer, Failed, true, keep},
		{Customer, Failed, false, keep},
		{Customer, NotSent, false, keep},
		{Customer, Refused, true, keep},
		{Customer, Refused, false, over},
		{Customer, BearerRefused, false, over}, // twice, the second time with a brand-new bearer
	} {
		t.Run(fmt.Sprintf("%v %v alive=%v", tt.kind, tt.outcome, tt.alive), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				// The refresh token outlives the access token, or the other way round.
				w.office.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
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
				w.office.script(0, failing(map[string]Outcome{op: tt.outcome}))
				_, err := w.m.Token(t.Context(), v, want)
				synctest.Wait()
				w.office.script(0, nil)
				assert.NotZero(t, w.office.count(op))
				r := w.info("jo")
				switch tt.want {
				case keep:
					assert.Equal(t, tt.kind, r.Kind)
					assert.Equal(t, session, r.SessionID)
					if tt.alive {
						require.NoError(t, err)
						assert.Equal(t, tt.outcome == Refused, r.Refresh.IsZero(), "a refused token is not sent again")
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
					_, err = w.m.Token(t.Context(), v, WantCustomer)
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
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		w.office.script(0, failing(map[string]Outcome{refreshCustomer: Refused}))
		for range 29 * 24 {
			w.token(v, WantCustomer)
			time.Sleep(time.Hour)
		}
		assert.Equal(t, 1, w.office.count(refreshCustomer))
		time.Sleep(26 * time.Hour)
		_, err := w.m.Token(t.Context(), v, WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		assert.Equal(t, 1, w.office.count(refreshCustomer))
	})
}

func TestL07_AnAnonymousRefreshIsSentOnceMore(t *testing.T) {
	for _, graceful := range []bool{true, false} {
		t.Run(fmt.Sprint("grace ", graceful), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				v := visitor("jo")
				w.token(v, WantAnonymous)
				time.Sleep(2 * time.Hour)
				lost := false
				w.office.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					switch {
					case c.op != refreshAnonymous || lost && graceful:
						return nil
					case lost:
						return &CallError{Outcome: Refused, Err: errWire}
					}
					lost = true
					return &CallError{Outcome: Unknown, Err: errWire}
				})
				w.token(v, WantAnonymous)
				calls := w.office.of(refreshAnonymous)
				require.Len(t, calls, 2)
				assert.Equal(t, calls[0].refresh, calls[1].refresh)
				assert.Equal(t, graceful, w.info("jo").SessionID == "S1")
			})
		})
	}
}

func TestL07_ACustomersLostRefreshIsHeldBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.office.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
			g.ExpiresIn.Duration, g.RefreshExpiresIn.Duration = 48*time.Hour, 60*time.Hour
			if c.op == refreshCustomer {
				return &CallError{Outcome: Unknown, Err: errWire}
			}
			return nil
		})
		v := w.customer("jo")
		for range 47 {
			assert.Equal(t, "C2", w.token(v, WantCustomer))
			time.Sleep(time.Hour)
		}
		assert.Equal(t, 1, w.office.count(refreshCustomer), "a strict server would end the session")
		r := w.info("jo")
		assert.True(t, r.Suspect)
		assert.False(t, r.Refresh.IsZero())

		time.Sleep(2 * time.Hour) // nothing to lose now
		w.office.script(0, nil)
		w.token(v, WantCustomer)
		calls := w.office.of(refreshCustomer)
		require.Len(t, calls, 2)
		assert.Equal(t, calls[0].refresh, calls[1].refresh)
		assert.False(t, w.info("jo").Suspect)
	})
}

// rejectedBy sends 401 for old tokens: what a service does with a token.
func useWith(w *world, v *Visitor, want Want, good func(string) bool) (calls int, err error) {
	token, err := w.m.Token(w.t.Context(), v, want)
	if err != nil {
		return 0, err
	}
	if good(token.Access.Reveal()) {
		return 1, nil
	}
	again, ok, err := w.m.Renew(w.t.Context(), v, want, token)
	if err != nil || !ok {
		return 1, errors.Join(err, errWire)
	}
	if good(again.Access.Reveal()) {
		return 2, nil
	}
	return 2, errWire
}

func TestL08_FiftyRejectionsMakeOneRenewal(t *testing.T) {
	for _, want := range []Want{WantAnonymous, WantCustomer} {
		bubble(t, func(t *testing.T, w *world) {
			v := visitor("jo")
			if want == WantCustomer {
				w.logIn(v)
			}
			old := w.token(v, want)
			w.office.script(5*time.Second, nil)
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					token, err := w.m.Token(t.Context(), visitor("jo"), want)
					assert.NoError(t, err)
					time.Sleep(time.Duration(i) * 200 * time.Millisecond) // the 401s come one after the other
					again, ok, err := w.m.Renew(t.Context(), visitor("jo"), want, token)
					if assert.NoError(t, err) && assert.True(t, ok, "call %d has no token to try again with", i) {
						assert.NotEqual(t, old, again.Access.Reveal())
					}
				})
			}
			all.Wait()
			assert.Equal(t, 1, w.office.count(refreshAnonymous)+w.office.count(refreshCustomer))
		})
	}
}

func TestL08_ALateRejectionOfTheLastTokenRenewsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := visitor("jo")
		old, err := w.m.Token(t.Context(), v, WantAnonymous)
		require.NoError(t, err)
		require.NoError(t, w.m.Refresh(t.Context(), v, nil))
		again, ok, err := w.m.Renew(t.Context(), v, WantAnonymous, old)
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, "A2", again.Access.Reveal())
		assert.Equal(t, 1, w.office.count(refreshAnonymous))
	})
}

// Another replica has renewed what this one still holds.
func TestL08_ARejectedTokenThatAnotherReplicaReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, a *world) {
		b := newWorld(t, a.office, a.shelf)
		v := a.customer("jo")
		old, err := a.m.Token(t.Context(), v, WantCustomer)
		require.NoError(t, err)
		require.NoError(t, b.m.Refresh(t.Context(), visitor("jo"), nil))
		again, ok, err := a.m.Renew(t.Context(), v, WantCustomer, old)
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, a.row("jo").Access.Reveal(), again.Access.Reveal())
		assert.Equal(t, 1, a.office.count(refreshCustomer))
	})
}

// That a forced renewal comes too soon is the news of whoever asked for it.
func TestL08_OthersAreNotTooSoon(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.office.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
			g.ExpiresIn.Duration = 20 * time.Second
			return nil
		})
		v := visitor("jo")
		_, err := useWith(w, v, WantAnonymous, func(string) bool { return false })
		require.ErrorIs(t, err, errWire)
		rejected, err := w.m.Token(t.Context(), v, WantAnonymous)
		require.NoError(t, err)
		time.Sleep(21 * time.Second)
		w.shelf.fail(func(string) trip { time.Sleep(time.Second); return works })
		var both sync.WaitGroup
		both.Go(func() {
			_, _, err := w.m.Renew(t.Context(), v, WantAnonymous, rejected)
			assert.NoError(t, err)
		})
		synctest.Wait()
		both.Go(func() { assert.Equal(t, "A3", w.token(v, WantAnonymous)) })
		both.Wait()
	})
}

// A row that changed without a new access token is still about that token.
func TestL08_ARejectionCountsWhileTheAccessTokenIsTheSame(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		old, err := w.m.Token(t.Context(), v, WantCustomer)
		require.NoError(t, err)
		w.office.script(0, failing(map[string]Outcome{refreshCustomer: Unknown}))
		require.Error(t, w.m.Refresh(t.Context(), v, nil))
		w.office.script(0, nil)
		_, ok, err := w.m.Renew(t.Context(), v, WantCustomer, old)
		require.NoError(t, err)
		assert.True(t, ok)
	})
}

func TestL08_AServerThatRejectsForeverIsNotFlooded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		for range 120 {
			calls, err := useWith(w, v, WantCustomer, func(string) bool { return false })
			require.Error(t, err)
			assert.LessOrEqual(t, calls, 2)
			time.Sleep(time.Second)
		}
		assert.InDelta(t, 4, w.office.count(refreshCustomer), 1)
		assert.Equal(t, Customer, w.info("jo").Kind)
		calls, err := useWith(w, v, WantCustomer, func(string) bool { return true })
		require.NoError(t, err)
		assert.Equal(t, 1, calls)
	})
}

func TestL08_ARejectedTokenWithoutARefreshToken(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.office.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
			g.Refresh, g.RefreshExpiresIn = secret.Secret{}, wire.Lifetime{}
			return nil
		})
		v := visitor("jo")
		calls, err := useWith(w, v, WantAnonymous, func(token string) bool { return token != "A1" })
		require.NoError(t, err)
		assert.Equal(t, 2, calls)
		assert.Equal(t, []EventKind{EventStarted, EventReplaced}, w.told())
		w.logIn(v)
		_, err = useWith(w, v, WantCustomer, func(string) bool { return false })
		require.ErrorIs(t, err, sentinel.SessionExpired)
	})
}

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

func TestL11_ARefreshKeepsWhatItsAnswerOmits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		entity := "company"
		require.NoError(t, w.m.Refresh(t.Context(), v, &entity))
		before := w.info("jo")
		w.office.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
			if c.op == refreshCustomer {
				g.Refresh, g.RefreshExpiresIn = secret.Secret{}, wire.Lifetime{}
			}
			return nil
		})
		time.Sleep(time.Hour)
		require.NoError(t, w.m.Refresh(t.Context(), v, nil))
		after := w.info("jo")
		assert.NotEqual(t, before.Access.Reveal(), after.Access.Reveal())
		assert.Equal(t, before.Refresh.Reveal(), after.Refresh.Reveal())
		assert.Equal(t, before.RefreshUntil, after.RefreshUntil, "its end doesn't move by itself")
		assert.Equal(t, "S1", after.SessionID)
		assert.Equal(t, "saas-C2", after.SaaS.Reveal())
		assert.Equal(t, "company", after.LegalEntity)
		calls := w.office.of(refreshCustomer)
		assert.Equal(t, "company", calls[len(calls)-1].entity, "it is sent again each time")

		entity = ""
		require.NoError(t, w.m.Refresh(t.Context(), v, &entity))
		assert.Empty(t, w.info("jo").LegalEntity)
	})
}

// A refresh that takes longer than the kept refresh token lives, is no corrupt
// row.
func TestL11_AKeptRefreshTokenMayEndMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		time.Sleep(refreshLife - 2*time.Second)
		w.office.script(10*time.Second, func(_ context.Context, c tokenCall, g *Grant) error {
			if c.op == refreshCustomer {
				g.Refresh, g.RefreshExpiresIn = secret.Secret{}, wire.Lifetime{}
				g.SentAt = time.Now()
			}
			return nil
		})
		require.NoError(t, w.m.Refresh(t.Context(), v, nil))
		assert.Equal(t, w.row("jo").Access.Reveal(), w.token(visitor("jo"), WantCustomer))
	})
}

func TestL11_ASwitchThatIsRefusedChangesNothing(t *testing.T) {
	for _, outcome := range []Outcome{Refused, Failed, NotSent, Unknown} {
		bubble(t, func(t *testing.T, w *world) {
			v := w.customer("jo")
			before := w.info("jo")
			w.office.script(0, failing(map[string]Outcome{refreshCustomer: outcome}))
			entity := "foreign"
			require.ErrorIs(t, w.m.Refresh(t.Context(), v, &entity), errWire)
			after := w.info("jo")
			assert.Equal(t, outcome == Unknown, after.Suspect)
			assert.Equal(t, before.Access.Reveal(), after.Access.Reveal())
			assert.Equal(t, before.Refresh.Reveal(), after.Refresh.Reveal())
			assert.Empty(t, after.LegalEntity)
		})
	}
}

func TestL14_APanicReleasesTheWaiters(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("R1") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.office.script(time.Second, func(context.Context, tokenCall, *Grant) error { end(); return nil })
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						_, err := w.m.Token(t.Context(), visitor("jo"), WantAnonymous)
						if assert.Error(t, err) {
							assert.NotContains(t, err.Error(), "R1")
						}
					})
				}
				all.Wait()
				assert.Equal(t, 1, w.office.count(anonymous))
				w.office.script(0, nil)
				w.token(visitor("jo"), WantAnonymous)
			})
		})
	}
}

func TestL14_ObserversMayPanicAndCallBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		called := 0
		w.m.cfg.Notify = func(Event) {
			called++
			_, err := w.m.Token(context.Background(), visitor("jo"), WantAny)
			assert.NoError(t, err)
			panic("the observer's")
		}
		w.customer("jo")
		require.NoError(t, w.m.Refresh(t.Context(), visitor("jo"), nil))
		synctest.Wait()
		assert.Equal(t, 3, called)
	})
}

// A token that is revoked late, when nobody waits, can't end the process.
func TestL14_APanicThatNobodyWaitsFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.customer("jo")
		w.office.script(5*time.Second, func(_ context.Context, c tokenCall, _ *Grant) error {
			if c.op == revoke {
				panic("the transport's")
			}
			return nil
		})
		time.Sleep(13 * time.Hour)
		w.token(v, WantCustomer)
		synctest.Wait()
		require.NoError(t, w.m.Logout(t.Context(), v, func(context.Context, Token) error { return nil }))
		time.Sleep(time.Minute)
		assert.Equal(t, 1, w.office.count(revoke))
		assert.Zero(t, w.size("running"))
	})
}

func TestL14_CloseEndsEverything(t *testing.T) {
	t.Run("in time", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.office.script(5*time.Second, nil)
			var all sync.WaitGroup
			all.Go(func() {
				_, err := w.m.Token(t.Context(), visitor("jo"), WantAnonymous)
				assert.ErrorIs(t, err, sentinel.Closed)
				assert.Nil(t, w.row("jo"), "at once, while the renewal is let end")
			})
			synctest.Wait()
			assert.Equal(t, 5*time.Second, elapsed(func() { assert.NoError(t, w.m.Close(t.Context())) }))
			all.Wait()
			assert.Equal(t, "A1", w.row("jo").Access.Reveal(), "what had begun was saved")
			_, err := w.m.Token(t.Context(), visitor("jo"), WantAnonymous)
			require.ErrorIs(t, err, sentinel.Closed)
			_, err = w.m.Login(t.Context(), visitor("jo"), w.office.login)
			require.ErrorIs(t, err, sentinel.Closed)
			_, err = w.m.Info(t.Context(), visitor("jo"))
			require.ErrorIs(t, err, sentinel.Closed)
			require.ErrorIs(t, w.m.Refresh(t.Context(), visitor("jo"), nil), sentinel.Closed)
			require.ErrorIs(t, w.m.Start(t.Context(), visitor("jo"), SessionContext{}), sentinel.Closed)
			require.ErrorIs(t, w.m.Logout(t.Context(), visitor("jo"), nil), sentinel.Closed)
			require.NoError(t, w.m.Close(t.Context()), "twice is fine")
		})
	})
	t.Run("with a write that is owed", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.shelf.fail(always("save", breaks))
			time.AfterFunc(20*time.Second, func() { w.shelf.fail(nil) })
			w.office.script(time.Second, nil)
			go func() { _, _ = w.m.Token(context.Background(), visitor("jo"), WantAnonymous) }()
			synctest.Wait()
			require.NoError(t, w.m.Close(t.Context()))
			require.NotNil(t, w.row("jo"))
			assert.Zero(t, w.size("running"))
		})
	})
	t.Run("cut short", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.office.script(20*time.Second, nil)
			go func() { _, _ = w.m.Token(context.Background(), visitor("jo"), WantAnonymous) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			assert.Equal(t, time.Second, elapsed(func() { assert.ErrorIs(t, w.m.Close(ctx), context.DeadlineExceeded) }))
			assert.Zero(t, w.size("running"))
		})
	})
}

func TestL14_AnIdleSessionCostsNoGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		before := runtime.NumGoroutine()
		for i := range 2000 {
			w.token(visitor(fmt.Sprint(i)), WantAnonymous)
		}
		synctest.Wait()
		assert.InDelta(t, before, runtime.NumGoroutine(), 5)
		assert.Zero(t, w.size("flights"))
		assert.Zero(t, w.size("running"))
		assert.Zero(t, w.size("troubles"))
		assert.Zero(t, w.size("debts"))
	})
}

// What is remembered about troubled visitors doesn't grow with every visitor who
// ever had trouble.
func TestL14_TroublesAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		r := &Record{Kind: Anonymous}
		for i := range 20 * manyTroubles {
			w.m.failed(visitor(fmt.Sprint(i)), r, errWire)
			time.Sleep(time.Second)
		}
		assert.Less(t, w.size("troubles"), 4*manyTroubles)
	})
}

func TestL15_ACustomersCallNeedsACustomer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := visitor("jo")
		_, err := w.m.Token(t.Context(), v, WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		assert.Empty(t, w.office.calls)
		w.token(v, WantAnonymous)
		_, err = w.m.Token(t.Context(), v, WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		require.ErrorIs(t, w.m.Logout(t.Context(), v, nil), sentinel.NotLoggedIn)
		entity := "company"
		require.ErrorIs(t, w.m.Refresh(t.Context(), v, &entity), sentinel.NotLoggedIn)
		assert.Len(t, w.office.calls, 1)
	})
}

func TestL16_LifetimesThatMakeNoSense(t *testing.T) {
	tests := map[string]struct {
		access, refresh wire.Lifetime
		wantAccess      time.Duration
		wantRefresh     time.Duration
	}{
		"absent":         {wire.Lifetime{}, wire.Lifetime{}, defaultLife, defaultLife},
		"no access life": {wire.Lifetime{}, wire.Lifetime{Duration: time.Hour, Known: true}, defaultLife, time.Hour},
		"no refresh":     {wire.Lifetime{Duration: time.Hour, Known: true}, wire.Lifetime{}, time.Hour, time.Hour},
		"huge":           {wire.Lifetime{Duration: 1<<63 - 1, Known: true}, wire.Lifetime{Duration: 1<<63 - 1, Known: true}, maxLife, maxLife},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.office.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
					g.ExpiresIn, g.RefreshExpiresIn = tt.access, tt.refresh
					return nil
				})
				w.token(visitor("jo"), WantAnonymous)
				r := w.info("jo")
				assert.Equal(t, tt.wantAccess, r.AccessUntil.Sub(r.Issued))
				assert.Equal(t, tt.wantRefresh, r.RefreshUntil.Sub(r.Issued))
				assert.Equal(t, "A1", w.token(visitor("jo"), WantAnonymous))
			})
		})
	}
}

// A slow answer doesn't lengthen a life.
func TestL16_LifetimesCountFromTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		began := time.Now()
		w.office.script(20*time.Second, nil)
		w.token(visitor("jo"), WantAnonymous)
		assert.True(t, w.info("jo").AccessUntil.Equal(began.Add(anonymousLife)))
	})
}

func TestEmployeesBearerIsKeptAndRenewed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := visitor("jo")
		assert.Equal(t, "E1", w.token(v, WantEmployee))
		assert.Equal(t, "E1", w.token(visitor("mo"), WantEmployee))
		time.Sleep(5 * time.Hour)
		assert.Equal(t, "E2", w.token(v, WantEmployee))
		calls, err := useWith(w, v, WantEmployee, func(token string) bool { return token == "E3" })
		require.NoError(t, err)
		assert.Equal(t, 2, calls)
		w.office.script(0, failing(map[string]Outcome{employee: Refused}))
		time.Sleep(5 * time.Hour)
		_, err = w.m.Token(t.Context(), v, WantEmployee)
		require.ErrorIs(t, err, errWire)
		w.office.script(0, nil)
		w.token(v, WantEmployee)
		assert.Empty(t, w.told(), "it is nobody's session")
		assert.Empty(t, w.shelf.rows, "it never leaves the process")
	})
}

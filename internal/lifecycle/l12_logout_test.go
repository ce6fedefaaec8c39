package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL12_ALateRefreshResurrectsNothing(t *testing.T) {
	for name, kind := range map[string]func(*fixture, *Visitor) error{
		"early renewal": func(w *fixture, v *Visitor) error {
			_, err := w.m.at(v).Token(context.Background(), WantCustomer)
			return err
		},
		"refresh": func(w *fixture, v *Visitor) error { return w.m.at(v).Refresh(context.Background(), nil) },
		"switch": func(w *fixture, v *Visitor) error {
			entity := "company"
			return w.m.at(v).Refresh(context.Background(), &entity)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := w.customer("jo")
				time.Sleep(13 * time.Hour)
				w.token(w.m.utility, WantAnonymous)
				w.tokenServer.script(5*time.Second, nil)
				go func() { _ = kind(w, visitor("jo")) }()
				synctest.Wait()
				require.Equal(t, 1, w.tokenServer.count(refreshCustomer))
				var sent string
				assert.Zero(t, elapsed(func() {
					assert.NoError(t, w.m.at(v).Logout(t.Context(), func(_ context.Context, token Token) error {
						sent = token.Access.Reveal()
						return nil
					}))
				}), "a logout waits for no renewal")
				assert.Equal(t, "C2", sent)
				for range 20 {
					time.Sleep(time.Second)
					assert.Equal(t, None, w.info("jo").Kind)
					_, err := w.m.at(v).Token(t.Context(), WantCustomer)
					require.ErrorIs(t, err, sentinel.NotLoggedIn)
				}
				revoked := w.tokenServer.of(revoke)
				require.Len(t, revoked, 1, "nobody will use the late tokens")
				assert.NotEqual(t, "C2", revoked[0].bearer)
				assert.Equal(t, Customer, w.events[len(w.events)-1].Session)
				assert.Equal(t, []EventKind{EventStarted, EventLoggedIn, EventLoggedOut}, w.told())
			})
		})
	}
}

// Whatever moment the logout comes at, it wins.
func TestL12_LogoutAtAnyMoment(t *testing.T) {
	for at := range 24 {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			w.customer("jo")
			time.Sleep(13 * time.Hour)
			w.tokenServer.script(time.Second, nil)
			w.fakeStore.fail(func(string) trip { time.Sleep(300 * time.Millisecond); return works })
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() { _ = w.m.at(visitor("jo")).Refresh(t.Context(), nil) })
			}
			time.Sleep(time.Duration(at) * 250 * time.Millisecond)
			assert.NoError(t, w.m.at(visitor("jo")).Logout(t.Context(), noCall))
			_, err := w.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
			assert.ErrorIs(t, err, sentinel.NotLoggedIn, "at %d", at)
			all.Wait()
			time.Sleep(time.Minute)
			assert.NotEqual(t, Customer, w.info("jo").Kind, "at %d", at)
		})
	}
}

func TestL12_LogoutWhateverTheServerSays(t *testing.T) {
	for _, answer := range []error{nil, errWire, &failure.Failure{Token: failure.Unknown, Err: errWire}, context.DeadlineExceeded} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("jo")
			err := w.m.at(v).Logout(t.Context(), func(context.Context, Token) error {
				assert.Equal(t, None, w.info("jo").Kind, "it is removed before the server is asked")
				return answer
			})
			require.ErrorIs(t, err, answer)
			assert.Equal(t, None, w.row("jo").Kind)
			assert.True(t, w.row("jo").SaaS.IsZero())
			require.ErrorIs(t, w.m.at(v).Logout(t.Context(), noCall), sentinel.NotLoggedIn)
			assert.NotEqual(t, "S1", func() string { w.token(v, WantAnonymous); return w.info("jo").SessionID }())
		})
	}
}

// The store fails, but deletes: the session is gone, and what was still to be
// written does not bring it back.
func TestL12_LogoutWhileTheStoreTakesNoWrites(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.fakeStore.fail(always("save", breaks))
		v := w.customer("jo")
		require.NoError(t, w.m.at(v).Logout(t.Context(), noCall))
		w.fakeStore.fail(nil)
		assert.Equal(t, None, w.info("jo").Kind)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, None, w.info("jo").Kind)
		assert.Equal(t, None, w.row("jo").Kind, "a tombstone, for a write that was left")
		assert.Zero(t, w.size("pending writes"))
	})
}

// The store can't even delete: the caller is told, this process treats the
// session as gone, and so does the store when it is back.
func TestL12_LogoutWhileTheStoreIsDown(t *testing.T) {
	for _, renewing := range []bool{false, true} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("jo")
			if renewing {
				time.Sleep(13 * time.Hour)
				w.tokenServer.script(2*time.Second, nil)
				w.token(v, WantCustomer)
				synctest.Wait()
			}
			w.fakeStore.fail(func(op string) trip {
				if op == "load" {
					return works
				}
				return breaks
			})
			require.ErrorIs(t, w.m.at(v).Logout(t.Context(), noCall), sentinel.StoreUnavailable)
			_, err := w.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
			require.ErrorIs(t, err, sentinel.NotLoggedIn)
			time.Sleep(20 * time.Second)
			_, err = w.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
			require.ErrorIs(t, err, sentinel.NotLoggedIn)
			w.fakeStore.fail(nil)
			time.Sleep(10 * time.Second)
			assert.Equal(t, None, w.row("jo").Kind)
			assert.Zero(t, w.size("pending writes"))
		})
	}
}

// A caller who can't wait for a store that fails is told so in time. The session
// is removed, and the server told, without them.
func TestL12_LogoutEndsWithItsContext(t *testing.T) {
	for _, corrupt := range []bool{false, true} {
		for _, wait := range []time.Duration{0, time.Second} {
			t.Run(fmt.Sprintf("corrupt=%v wait=%v", corrupt, wait), func(t *testing.T) {
				inVirtualTime(t, func(t *testing.T, w *fixture) {
					w.customer("jo")
					if corrupt {
						row := w.fakeStore.rows[rowOf("jo")]
						row.data = []byte("in pieces")
						w.fakeStore.rows[rowOf("jo")] = row
					}
					w.fakeStore.fail(func(op string) trip {
						switch op {
						case "save":
							return breaks
						case "delete":
							time.Sleep(1500 * time.Millisecond)
						}
						return works
					})
					ctx, cancel := context.WithTimeout(t.Context(), wait)
					defer cancel()
					v := visitor("jo")
					_, _ = w.m.at(v).Info(t.Context())
					assert.Equal(t, wait, elapsed(func() {
						err := w.m.at(v).Logout(ctx, func(context.Context, Token) error {
							t.Error("it would be too late")
							return nil
						})
						if corrupt && wait == 0 {
							return // the row is read in vain
						}
						require.ErrorIs(t, err, context.DeadlineExceeded)
						require.ErrorIs(t, err, sentinel.StoreUnavailable)
						assert.ErrorContains(t, err, "still being removed")
					}))
					time.Sleep(10 * time.Second)
					assert.Nil(t, w.row("jo"))
					assert.Equal(t, None, w.info("jo").Kind)
					if !corrupt {
						require.Len(t, w.tokenServer.of(revoke), 1)
						assert.Equal(t, "C2", w.tokenServer.of(revoke)[0].bearer)
					}
				})
			})
		}
	}
}

// A logout that has begun is finished before Close returns.
func TestL12_CloseWaitsForALogout(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		w.fakeStore.fail(func(op string) trip { time.Sleep(time.Second); return works })
		ctx, cancel := context.WithCancel(t.Context())
		var both sync.WaitGroup
		both.Go(func() { assert.ErrorIs(t, w.m.at(v).Logout(ctx, noCall), context.Canceled) })
		synctest.Wait()
		cancel()
		both.Wait()
		require.NoError(t, w.m.Close(t.Context()))
		assert.Equal(t, None, w.row("jo").Kind)
	})
}

// A renewal that nobody waits for begins no session for a visitor who has logged
// out on another replica meanwhile.
func TestL12_ABackgroundRenewalBeginsNothing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, a *fixture) {
		b := newFixture(t, a.tokenServer, a.fakeStore)
		v := a.customer("jo")
		time.Sleep(13 * time.Hour)
		require.NoError(t, b.m.at(visitor("jo")).Logout(t.Context(), noCall))
		began := a.tokenServer.count(anonymous)
		a.token(v, WantAny) // from what it knows
		synctest.Wait()
		assert.Equal(t, began, a.tokenServer.count(anonymous))
		assert.Equal(t, None, a.row("jo").Kind)
	})
}

// The store comes back while a logout is owed and a renewal under way: whatever
// is written in which order, the session stays out.
func TestL12_AnOwedLogoutWins(t *testing.T) {
	for answer := 500 * time.Millisecond; answer < 11*time.Second; answer += time.Second {
		for back := 5 * time.Second; back < 11*time.Second; back += 500 * time.Millisecond {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := w.customer("jo")
				w.token(w.m.utility, WantAnonymous)
				time.Sleep(30 * time.Minute)
				w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					if c.op == refreshCustomer {
						time.Sleep(answer)
					}
					return nil
				})
				go func() { _ = w.m.at(visitor("jo")).Refresh(context.Background(), nil) }()
				synctest.Wait()
				w.fakeStore.fail(func(op string) trip {
					if op == "load" {
						return works
					}
					return breaks
				})
				time.AfterFunc(back, func() { w.fakeStore.fail(nil) })
				_ = w.m.at(v).Logout(t.Context(), noCall) // tells that the store is down
				for range 20 {
					assert.Equal(t, None, w.info("jo").Kind, "answer %v, back %v", answer, back)
					time.Sleep(time.Second)
				}
				assert.Equal(t, None, w.row("jo").Kind, "answer %v, back %v", answer, back)
				assert.Zero(t, w.size("pending writes"))
				if answer > 5*time.Second {
					assert.Equal(t, 1, w.tokenServer.count(revoke), "answer %v, back %v", answer, back)
				}
			})
		}
	}
}

// overtaken is a fakeStore on which something happens between a save and its response.
type overtaken struct {
	*fakeStore
	by func()
}

func (s *overtaken) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	saved, err := s.fakeStore.SaveIf(ctx, key, data, expected, generation, ttl)
	if by := s.by; saved && by != nil {
		s.by = nil
		by()
	}
	return saved, err
}

func TestL12_ALogoutRightAfterALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakeStore := &fakeStore{rows: map[string]fakeRow{}}
		store := &overtaken{fakeStore: fakeStore}
		w := newFixtureOver(t, &tokenServer{}, fakeStore, store)
		v := visitor("jo")
		w.token(v, WantAnonymous)
		store.by = func() { assert.NoError(t, w.m.at(visitor("jo")).Logout(t.Context(), noCall)) }
		w.logIn(v)
		_, err := w.m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
	})
}

// Logged out on one replica while another one's write is owed: the write is
// beaten, also long after the tombstone is gone.
func TestL12_AnOwedWriteResurrectsNothing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, a *fixture) {
		b := newFixture(t, a.tokenServer, a.fakeStore)
		a.customer("jo")
		time.Sleep(13 * time.Hour)
		a.fakeStore.fail(always("save", breaks))
		a.token(visitor("jo"), WantCustomer)
		time.Sleep(10 * time.Minute) // the renewal is owed, and nobody tries any more
		require.Equal(t, 1, a.size("pending writes"))
		a.fakeStore.fail(nil)
		require.NoError(t, b.m.at(visitor("jo")).Logout(t.Context(), noCall))
		_, err := a.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		time.Sleep(3 * time.Hour)
		_, err = a.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
	})
}

// The same of a login that was owed from the first row on: once a tombstone may
// be gone, an absent row says nothing.
func TestL12_AnOwedLoginResurrectsNothing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, a *fixture) {
		b := newFixture(t, a.tokenServer, a.fakeStore)
		a.fakeStore.fail(always("save", breaks))
		a.customer("jo")
		time.Sleep(10 * time.Minute) // nobody tries any more
		a.fakeStore.fail(nil)
		assert.Equal(t, Customer, a.info("jo").Kind, "it is the truth for this process")
		b.customer("jo")
		require.NoError(t, b.m.at(visitor("jo")).Logout(t.Context(), noCall))
		for range 3 {
			_, err := a.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
			require.ErrorIs(t, err, sentinel.NotLoggedIn)
			time.Sleep(time.Hour)
		}
		a.token(visitor("jo"), WantAnonymous)
		assert.Equal(t, Anonymous, a.row("jo").Kind)
		assert.Zero(t, a.size("pending writes"))
	})
}

func TestL12_LogoutDiscardsARowThatNobodyCanRead(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		row := w.fakeStore.rows[rowOf("jo")]
		row.data = []byte("C2 in pieces")
		w.fakeStore.rows[rowOf("jo")] = row
		_, err := w.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.StoreCorrupt)
		assert.NotContains(t, err.Error(), "C2")
		require.NoError(t, w.m.at(visitor("jo")).Logout(t.Context(), noCall))
		_, err = w.m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		w.token(v, WantAnonymous)
	})
}

func TestL12_LogoutClearsAnExpiredSession(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		time.Sleep(30*24*time.Hour + time.Hour)
		_, err := w.m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		require.NoError(t, w.m.at(v).Logout(t.Context(), func(context.Context, Token) error {
			t.Error("there is nothing to tell the server")
			return nil
		}))
		_, err = w.m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		w.token(v, WantAny)
	})
}

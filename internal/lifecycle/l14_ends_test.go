package lifecycle

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL14_APanicReleasesTheWaiters(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("R1") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				w.tokenServer.script(time.Second, func(context.Context, tokenCall, *Grant) error { end(); return nil })
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						_, err := w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous)
						if assert.Error(t, err) {
							assert.NotContains(t, err.Error(), "R1")
						}
					})
				}
				all.Wait()
				assert.Equal(t, 1, w.tokenServer.count(anonymous))
				w.tokenServer.script(0, nil)
				w.token(visitor("jo"), WantAnonymous)
			})
		})
	}
}

func TestL14_ObserversMayPanicAndCallBack(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		called := 0
		w.m.cfg.Notify = func(Event) {
			called++
			_, err := w.m.at(visitor("jo")).Token(context.Background(), WantAny)
			assert.NoError(t, err)
			panic("the observer's")
		}
		w.customer("jo")
		require.NoError(t, w.m.at(visitor("jo")).Refresh(t.Context(), nil))
		synctest.Wait()
		assert.Equal(t, 3, called)
	})
}

// An observer hears of a session before those who wait for it use it, so that
// events come in their order.
func TestL14_AnObserverHearsItFirst(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.m.cfg.Notify = func(Event) { time.Sleep(time.Second) }
		assert.Equal(t, time.Second, elapsed(func() { w.token(visitor("jo"), WantAnonymous) }))
	})
}

// A store, a server and an observer may take their time, or call back: no lock is
// held meanwhile.
func TestL14_NoLockIsHeldAcrossIO(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		asked := map[string]bool{}
		unlocked := func(where string) {
			synctest.Wait() // whoever was passing through has passed
			asked[where] = true
			if assert.True(t, w.m.mu.TryLock(), where) {
				w.m.mu.Unlock()
			}
		}
		w.fakeStore.fail(func(op string) trip { unlocked(op); return works })
		w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error { unlocked(c.op); return nil })
		w.m.cfg.Notify = func(Event) { unlocked("event") }
		v := w.customer("jo")
		require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
		require.NoError(t, w.m.at(v).Logout(t.Context(), func(context.Context, Token) error { unlocked("logout"); return nil }))
		for _, where := range []string{"load", "save", anonymous, login, refreshCustomer, "logout", "event"} {
			assert.True(t, asked[where], where)
		}
	})
}

// A token that is revoked late, when nobody waits, can't end the process.
func TestL14_APanicThatNobodyWaitsFor(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		w.tokenServer.script(5*time.Second, func(_ context.Context, c tokenCall, _ *Grant) error {
			if c.op == revoke {
				panic("the transport's")
			}
			return nil
		})
		time.Sleep(13 * time.Hour)
		w.token(v, WantCustomer)
		synctest.Wait()
		require.NoError(t, w.m.at(v).Logout(t.Context(), func(context.Context, Token) error { return nil }))
		time.Sleep(time.Minute)
		assert.Equal(t, 1, w.tokenServer.count(revoke))
		assert.Zero(t, w.size("running"))
	})
}

func TestL14_CloseEndsEverything(t *testing.T) {
	t.Run("in time", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			w.tokenServer.script(5*time.Second, nil)
			var all sync.WaitGroup
			all.Go(func() {
				_, err := w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous)
				assert.ErrorIs(t, err, sentinel.Closed)
				assert.Nil(t, w.row("jo"), "at once, while the renewal is let end")
			})
			synctest.Wait()
			assert.Equal(t, 5*time.Second, elapsed(func() { assert.NoError(t, w.m.Close(t.Context())) }))
			all.Wait()
			assert.Equal(t, "A1", w.row("jo").Access.Reveal(), "what had begun was saved")
			_, err := w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous)
			require.ErrorIs(t, err, sentinel.Closed)
			_, err = w.m.at(visitor("jo")).Login(t.Context(), w.tokenServer.login)
			require.ErrorIs(t, err, sentinel.Closed)
			_, err = w.m.at(visitor("jo")).Info(t.Context())
			require.ErrorIs(t, err, sentinel.Closed)
			require.ErrorIs(t, w.m.at(visitor("jo")).Refresh(t.Context(), nil), sentinel.Closed)
			require.ErrorIs(t, w.m.at(visitor("jo")).Start(t.Context(), SessionContext{}), sentinel.Closed)
			require.ErrorIs(t, w.m.at(visitor("jo")).Logout(t.Context(), nil), sentinel.Closed)
			require.NoError(t, w.m.Close(t.Context()), "twice is fine")
		})
	})
	t.Run("with a write that is owed", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			w.fakeStore.fail(always("save", breaks))
			time.AfterFunc(20*time.Second, func() { w.fakeStore.fail(nil) })
			w.tokenServer.script(time.Second, nil)
			go func() { _, _ = w.m.at(visitor("jo")).Token(context.Background(), WantAnonymous) }()
			synctest.Wait()
			require.NoError(t, w.m.Close(t.Context()))
			require.NotNil(t, w.row("jo"))
			assert.Zero(t, w.size("running"))
		})
	})
	t.Run("cut short", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			w.tokenServer.script(20*time.Second, nil)
			go func() { _, _ = w.m.at(visitor("jo")).Token(context.Background(), WantAnonymous) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			assert.Equal(t, time.Second, elapsed(func() { assert.ErrorIs(t, w.m.Close(ctx), context.DeadlineExceeded) }))
			assert.Zero(t, w.size("running"))
		})
	})
	t.Run("left running", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			w.tokenServer.script(0, func(context.Context, tokenCall, *Grant) error { time.Sleep(time.Hour); return nil })
			go func() { _, _ = w.m.at(visitor("jo")).Token(context.Background(), WantAnonymous) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			assert.Equal(t, time.Second+lastGrace, elapsed(func() {
				err := w.m.Close(ctx)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, "; 1 renewals are still running")
			}))
			time.Sleep(time.Hour)
			assert.Zero(t, w.size("running"))
			require.NoError(t, w.m.Close(t.Context()), "it has ended since")
		})
	})
}

func TestL14_AnIdleSessionCostsNoGoroutine(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		before := runtime.NumGoroutine()
		for i := range 2000 {
			w.token(visitor(fmt.Sprint(i)), WantAnonymous)
		}
		synctest.Wait()
		assert.InDelta(t, before, runtime.NumGoroutine(), 5)
		assert.Zero(t, w.size("flights"))
		assert.Zero(t, w.size("running"))
		assert.Zero(t, w.size("backoffs"))
		assert.Zero(t, w.size("pending writes"))
	})
}

// What is remembered about troubled visitors doesn't grow with every visitor who
// ever had trouble.
func TestL14_TroublesAreForgotten(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		r := &Record{Kind: Anonymous}
		for i := range 20 * manyBackoffs {
			w.m.at(visitor(fmt.Sprint(i))).failed(r, errWire)
			time.Sleep(time.Second)
		}
		assert.Less(t, w.size("backoffs"), 4*manyBackoffs)
	})
}

package lifecycle

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestL04_WhoeverLeavesBreaksNothing(t *testing.T) {
	type key struct{}
	tests := map[string]func(t *testing.T, w *fixture, began time.Time){
		"the leader leaves, waiters get the token": func(t *testing.T, w *fixture, began time.Time) {
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "the caller's"))
			var all sync.WaitGroup
			all.Go(func() {
				_, err := w.m.at(visitor("jo")).Token(ctx, WantAnonymous)
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
		"a waiter's deadline": func(t *testing.T, w *fixture, began time.Time) {
			var all sync.WaitGroup
			all.Go(func() { w.token(visitor("jo"), WantAnonymous) })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := w.m.at(visitor("jo")).Token(ctx, WantAnonymous)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 2*time.Second, time.Since(began))
			all.Wait()
		},
		"all leave": func(t *testing.T, w *fixture, _ time.Time) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					_, err := w.m.at(visitor("jo")).Token(ctx, WantAnonymous)
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				})
			}
			all.Wait()
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				w.token(visitor("jo"), WantAnonymous)
				time.Sleep(2 * time.Hour)
				w.tokenServer.script(5*time.Second, func(ctx context.Context, _ tokenCall, _ *Grant) error {
					assert.Nil(t, ctx.Value(key{}), "the renewal is nobody's own")
					return nil
				})
				test(t, w, time.Now())
				time.Sleep(10 * time.Second)
				assert.Equal(t, 1, w.tokenServer.count(refreshAnonymous))
				assert.Equal(t, "A2", w.row("jo").Access.Reveal())
				assert.Zero(t, w.size("running"))
			})
		})
	}
}

func TestL04_WhoeverLeavesBreaksNoBeginning(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.tokenServer.script(5*time.Second, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.m.at(visitor("jo")).Token(ctx, WantAnonymous)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, "A1", w.token(visitor("jo"), WantAnonymous))
		assert.Equal(t, 1, w.tokenServer.count(anonymous))
	})
}

func TestL04_ARenewalHasItsOwnTimeout(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		hangs := func() {
			t.Helper()
			w.tokenServer.script(time.Hour, nil)
			assert.Equal(t, 30*time.Second, elapsed(func() {
				_, err := w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}))
			w.tokenServer.script(0, nil)
		}
		hangs() // and so has the beginning of a session
		w.token(visitor("jo"), WantAnonymous)
		time.Sleep(2 * time.Hour)
		hangs()
		w.token(visitor("jo"), WantAnonymous)
		assert.Equal(t, "S2", w.info("jo").SessionID)
	})
}

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
)

// blockedObserver blocks at the events of some visitors until it is released.
type blockedObserver struct {
	mu      sync.Mutex
	seen    map[string][]EventKind
	blocks  func(key string) bool
	release chan struct{}
}

func (o *blockedObserver) observe(e Event) {
	if o.blocks(e.Key.Reveal()) {
		<-o.release
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[e.Key.Reveal()] = append(o.seen[e.Key.Reveal()], e.Kind)
}

func observing(w *fixture, blocks func(key string) bool) *blockedObserver {
	o := &blockedObserver{seen: map[string][]EventKind{}, blocks: blocks, release: make(chan struct{})}
	w.m.cfg.Notify = o.observe
	return o
}

func (o *blockedObserver) of(key string) []EventKind {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[key]
}

// An observer that does not return holds up what it was called for, once and for a
// while; the events of its session wait in their order, and others do not.
func TestL14_AnObserverThatDoesNotReturn(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		o := observing(w, func(key string) bool { return key == "jo" })
		assert.Equal(t, 2*time.Second, elapsed(func() { w.token(visitor("jo"), WantAnonymous) }))
		assert.Zero(t, elapsed(func() {
			w.logIn(visitor("jo"))
			require.NoError(t, w.m.at(visitor("jo")).Refresh(t.Context(), nil))
			require.NoError(t, w.m.at(visitor("jo")).Logout(t.Context(), func(context.Context, Token) error { return nil }))
			w.token(visitor("lou"), WantAnonymous)
			w.logIn(visitor("lou"))
		}))
		assert.Empty(t, o.of("jo"))
		assert.Equal(t, []EventKind{EventStarted, EventLoggedIn}, o.of("lou"))
		close(o.release)
		assert.Equal(t, []EventKind{EventStarted, EventLoggedIn, EventRefreshed, EventLoggedOut}, o.of("jo"))
		w.m.cfg.Notify = func(Event) { time.Sleep(time.Second) }
		assert.Equal(t, time.Second, elapsed(func() { w.token(visitor("eve"), WantAnonymous) }), "it is waited for again")
	})
}

// A caller does not wait for an observer longer than its own context lasts.
func TestL14_AnObserverAndTheCallersDeadline(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.token(visitor("jo"), WantAnonymous)
		o := observing(w, func(string) bool { return true })
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		assert.Equal(t, 300*time.Millisecond, elapsed(func() {
			login, err := w.m.at(visitor("jo")).Login(ctx, w.tokenServer.login)
			assert.NoError(t, err)
			assert.True(t, login.Established)
		}))
		close(o.release)
	})
}

// However many events there are: calls of the observer and waiting events are bound.
func TestL14_EventsAreBound(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		o := observing(w, func(string) bool { return true })
		w.token(visitor("first"), WantAnonymous)
		before := runtime.NumGoroutine()
		assert.Zero(t, elapsed(func() { // the first was waited for, and is overdue
			for i := range 3 * mostEvents {
				w.token(visitor(fmt.Sprint(i)), WantAnonymous)
			}
		}))
		synctest.Wait()
		assert.LessOrEqual(t, runtime.NumGoroutine(), before+mostObserving)
		assert.Equal(t, mostEvents, w.m.events.waiting)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.m.Close(ctx)
		require.ErrorContains(t, err, fmt.Sprintf("%d events were not told", 3*mostEvents+1-mostObserving))
		require.ErrorContains(t, err, fmt.Sprintf("%d calls of the observer", mostObserving))
		close(o.release)
		synctest.Wait()
		require.ErrorContains(t, w.m.Close(ctx), "events were not told")
		assert.Zero(t, w.m.events.running())
	})
}

// Many at once reach an observer that is quick: none is dropped.
func TestL14_AQuickObserverHearsAll(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		o := observing(w, func(string) bool { return false })
		var all sync.WaitGroup
		for i := range 4 * mostObserving {
			all.Go(func() {
				key := fmt.Sprint(i)
				w.token(visitor(key), WantAnonymous)
				w.logIn(visitor(key))
			})
		}
		all.Wait()
		for i := range 4 * mostObserving {
			assert.Equal(t, []EventKind{EventStarted, EventLoggedIn}, o.of(fmt.Sprint(i)))
		}
		w.m.events.mu.Lock()
		defer w.m.events.mu.Unlock()
		assert.Empty(t, w.m.events.sessions)
		assert.Zero(t, w.m.events.dropped)
	})
}

// Close waits for an observer that is about to return, and no longer.
func TestL14_CloseWaitsForTheObserver(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.m.cfg.Notify = func(Event) { time.Sleep(time.Second) }
		v := w.m.at(visitor("jo"))
		go func() { _, _ = v.Token(t.Context(), WantAnonymous) }() // which hears of the end
		time.Sleep(300 * time.Millisecond)
		assert.Equal(t, 700*time.Millisecond, elapsed(func() { assert.NoError(t, w.m.Close(t.Context())) }))
	})
}

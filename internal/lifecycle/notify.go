package lifecycle

import (
	"context"
	"sync"
	"time"
)

// The observer is a user's and may not return. Each of its calls has a goroutine of
// its own; what caused the event waits for it a while, so that an observer hears of
// an event before its session is used, and never again while a call is overdue.
const (
	observerPatience = 2 * time.Second
	mostObserving    = 64   // calls of the observer at a time
	mostEvents       = 1024 // events that wait for their turn; further ones are dropped
)

// events hands events to the observer: those of one session one after the other, in
// their order, those of different sessions beside each other.
type events struct {
	mu       sync.Mutex
	ended    bool
	sessions map[string]*waitingEvents // those with an event under way
	ready    []string                  // those that wait only because too many calls are under way
	calls    int                       // under way
	overdue  int                       // of them, those that were waited for too long
	waiting  int                       // events that wait for their turn
	dropped  int
	quiet    chan struct{} // closed when nothing is under way; nil if nothing waits for that
}

// waitingEvents are the events of one session, the first perhaps under way.
type waitingEvents struct{ list []*telling }

// telling is one event.
type telling struct {
	tell    func()
	told    chan struct{}
	began   bool
	overdue bool
}

// notify tells the observer of something that happened in the background.
func (v *Visitor) notify(kind EventKind, session Kind, err error) {
	v.inform(v.m().ctx, kind, session, err)
}

// inform tells the observer, and waits for it, but not longer than ctx lasts.
func (v *Visitor) inform(ctx context.Context, kind EventKind, session Kind, err error) {
	if v.m().cfg.Notify == nil || v.private {
		return
	}
	event := Event{Kind: kind, Key: v.id, Session: session, Err: err}
	t := &telling{tell: func() { v.m().cfg.Notify(event) }, told: make(chan struct{})}
	if !v.m().events.add(v.key(), t) {
		return
	}
	timer := time.NewTimer(observerPatience)
	defer timer.Stop()
	select {
	case <-t.told:
	case <-ctx.Done():
	case <-v.m().ctx.Done():
	case <-timer.C:
		v.m().events.giveUp(t)
	}
}

// add puts an event last in its session's line. It reports whether there is reason
// to wait for it: not behind another event of the session, for the observer may be
// using the session itself.
func (e *events) add(key string, t *telling) (wait bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	session, busy := e.sessions[key]
	switch {
	case e.ended:
		return false
	case (busy || e.calls >= mostObserving) && e.waiting >= mostEvents:
		e.dropped++
		return false
	case !busy:
		session = &waitingEvents{}
		e.sessions[key] = session
	}
	session.list = append(session.list, t)
	e.waiting++
	if busy {
		return false
	}
	e.ready = append(e.ready, key)
	e.start()
	return e.overdue == 0
}

// start begins calls of the observer while it may. The caller has e.mu.
func (e *events) start() {
	for e.calls < mostObserving && len(e.ready) > 0 {
		key := e.ready[0]
		e.ready = e.ready[1:]
		t := e.sessions[key].list[0]
		t.began = true
		e.waiting--
		e.calls++
		go e.run(key, t)
	}
}

// run is one call of the observer; whatever the observer does stays there.
func (e *events) run(key string, t *telling) {
	defer e.finish(key, t)
	defer func() { _ = recover() }()
	t.tell()
}

func (e *events) finish(key string, t *telling) {
	close(t.told)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls--
	if t.overdue {
		e.overdue--
	}
	if session := e.sessions[key]; session != nil {
		if session.list = session.list[1:]; len(session.list) > 0 {
			e.ready = append(e.ready, key)
		} else {
			delete(e.sessions, key)
		}
	}
	e.start()
	if e.calls == 0 && e.quiet != nil {
		close(e.quiet)
		e.quiet = nil
	}
}

// giveUp notes that an event is not waited for any more.
func (e *events) giveUp(t *telling) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-t.told:
	default:
		if t.began && !t.overdue {
			t.overdue = true
			e.overdue++
		}
	}
}

// wait waits until all events have been told, or the observer is overdue, or ctx
// ends.
func (e *events) wait(ctx context.Context) {
	e.mu.Lock()
	if e.calls == 0 {
		e.mu.Unlock()
		return
	}
	if e.quiet == nil {
		e.quiet = make(chan struct{})
	}
	quiet := e.quiet
	e.mu.Unlock()
	timer := time.NewTimer(observerPatience)
	defer timer.Stop()
	select {
	case <-quiet:
	case <-ctx.Done():
	case <-timer.C:
	}
}

// end drops the events that wait, and takes no more. It returns how many were
// dropped, ever.
func (e *events) end() (lost int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	e.dropped += e.waiting
	e.sessions, e.ready, e.waiting = nil, nil, 0
	return e.dropped
}

// running returns how many calls of the observer have not returned.
func (e *events) running() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls
}

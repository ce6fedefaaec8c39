package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// closeGrace is how long Close waits, while its context lasts, for code that has
// been left behind, and afterwards for what only has to notice that it is over.
const (
	closeGrace = time.Second
	lastGrace  = 50 * time.Millisecond
	// closeWriters is how many pending writes Close tries at a time.
	closeWriters = 16
)

// Close refuses new calls, lets what is running end until ctx does, and then
// cancels what is left. Its error names what it left running.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	if !m.isClosed {
		m.isClosed = true
		close(m.closed)
	}
	m.mu.Unlock()
	for i := range m.epochs {
		m.epochs[i].Add(1) // snapshots are of no use any more
	}
	m.detach(m.writePending)
	cut := m.drain(ctx)
	m.events.wait(ctx)
	m.mu.Lock()
	m.cancel() // nothing is detached from here on
	m.mu.Unlock()
	lost := m.events.end()
	left := m.leftovers(ctx)
	var causes []error
	if cut != nil {
		left, causes = append([]string{"renewals were cut short: " + cut.Error()}, left...), append(causes, cut)
	}
	if n := m.unwritten(); n > 0 {
		left, causes = append(left, fmt.Sprintf("sessions that the token store did not take: %d", n)), append(causes, sentinel.StoreUnavailable)
	}
	if lost > 0 {
		left = append(left, fmt.Sprintf("%d events were not told", lost))
	}
	if len(left) > 0 {
		return &closeError{"emporix: closing: " + strings.Join(left, "; "), causes}
	}
	return nil
}

// closeError says what Close could not end.
type closeError struct {
	text   string
	causes []error
}

func (e *closeError) Error() string { return e.text }

// Unwrap returns why.
func (e *closeError) Unwrap() []error { return e.causes }

// writePending tries to write what the store has not taken, where nothing is writing
// it already: after Close it would be lost.
func (m *Manager) writePending() {
	ctx, cancel := context.WithTimeout(m.ctx, lateLimit)
	defer cancel()
	var writers sync.WaitGroup
	places := make(chan struct{}, closeWriters)
	for key, next := range m.pending.all() {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		writers.Go(func() {
			defer func() { <-places }()
			v := &Visitor{m: m.self, name: secret.New(key)}
			v.retryNow(ctx, next, 0)
		})
	}
	writers.Wait()
}

// unwritten returns how many pending writes are lost; the first Close tells it.
func (m *Manager) unwritten() (n int) {
	m.lost.Do(func() { n = m.pending.lost() })
	return n
}

// leftovers says what is still running after everything has been cancelled.
func (m *Manager) leftovers(ctx context.Context) (left []string) {
	last, cancel := context.WithTimeout(m.withoutEnd(), lastGrace)
	defer cancel()
	if m.drain(last) != nil {
		m.mu.Lock()
		left = append(left, fmt.Sprintf("%d renewals are still running", len(m.running)))
		m.mu.Unlock()
	}
	patient, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	m.calls.Wait(patient)
	var running []string
	if calls := m.calls.String(); calls != "" {
		running = append(running, calls)
	}
	if n := m.events.running(); n > 0 {
		running = append(running, bounded.Count(n, "the observer or the log handler"))
	}
	if len(running) > 0 {
		left = append(left, "left running, until that code returns: "+strings.Join(running, ", "))
	}
	return left
}

// withoutEnd is the Manager's context without its end.
func (m *Manager) withoutEnd() context.Context { return context.WithoutCancel(m.ctx) }

// drain waits until nothing is running. It returns why it did not.
func (m *Manager) drain(ctx context.Context) error {
	for {
		var f *flight
		m.mu.Lock()
		for f = range m.running {
			break
		}
		m.mu.Unlock()
		if f == nil {
			return nil
		}
		select {
		case <-f.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
)

// closeGrace is how long Close waits, while its context lasts, for code that has
// been left behind, and afterwards for what only has to notice that it is over.
const (
	closeGrace = time.Second
	lastGrace  = 50 * time.Millisecond
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
	cut := m.drain(ctx)
	m.events.wait(ctx)
	m.mu.Lock()
	m.cancel() // nothing is detached from here on
	m.mu.Unlock()
	lost := m.events.end()
	left := m.leftovers(ctx)
	if lost > 0 {
		left = append(left, fmt.Sprintf("%d events were not told", lost))
	}
	switch {
	case cut != nil && len(left) > 0:
		return fmt.Errorf("emporix: closing: renewals were cut short: %w; %s", cut, strings.Join(left, "; "))
	case cut != nil:
		return fmt.Errorf("emporix: closing: renewals were cut short: %w", cut)
	case len(left) > 0:
		return errors.New("emporix: closing: " + strings.Join(left, "; "))
	}
	return nil
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

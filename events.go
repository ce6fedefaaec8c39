package emporix

import (
	"context"
	"log/slog"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/lifecycle"
)

// EventKind says what happened to a session.
type EventKind string

// What an observer is told.
const (
	// EventSessionStarted: a visitor got an anonymous session.
	EventSessionStarted EventKind = "session started"
	// EventSessionRefreshed: a session's tokens were renewed.
	EventSessionRefreshed EventKind = "session refreshed"
	// EventSessionReplaced: an anonymous session had ended, and another one was
	// begun. The visitor's cart was bound to the old one and is gone.
	EventSessionReplaced EventKind = "session replaced"
	// EventSessionIDChanged: a renewal answered with another session ID; what was
	// bound to the old one, such as a cart, may be gone.
	EventSessionIDChanged EventKind = "session ID changed"
	// EventLoggedIn: a customer logged in.
	EventLoggedIn EventKind = "logged in"
	// EventLoggedOut: a customer logged out.
	EventLoggedOut EventKind = "logged out"
	// EventSessionExpired: a customer's session ended and can't be renewed.
	EventSessionExpired EventKind = "session expired"
	// EventRefreshFailed: a renewal failed. The session goes on with its present
	// token while that lives, and the renewal is tried again later.
	EventRefreshFailed EventKind = "refresh failed"
	// EventStoreWriteFailed: saving the session failed. This process keeps using it
	// and tries again: for a minute, then when the session is used, and in
	// Client.Close. Other processes still see the old one.
	EventStoreWriteFailed EventKind = "store write failed"
)

// Event is one thing that happened to one session.
type Event struct {
	Kind EventKind
	// Session is the kind of session that it happened to.
	Session SessionKind
	// Key is the visitor's key as given to Client.Session, "" for the client's
	// default session. It is a Secret because in a BFF it is the visitor's cookie.
	Key Secret
	// Err is the cause of a failure, else nil. It holds no secret.
	Err error
}

var eventKinds = map[lifecycle.EventKind]EventKind{
	lifecycle.EventStarted: EventSessionStarted, lifecycle.EventRefreshed: EventSessionRefreshed,
	lifecycle.EventReplaced: EventSessionReplaced, lifecycle.EventSessionIDChanged: EventSessionIDChanged,
	lifecycle.EventLoggedIn: EventLoggedIn, lifecycle.EventLoggedOut: EventLoggedOut,
	lifecycle.EventExpired: EventSessionExpired, lifecycle.EventRefreshFailed: EventRefreshFailed,
	lifecycle.EventStoreWriteFailed: EventStoreWriteFailed,
}

// notifier returns what events are handed to; nil if nothing asks for them.
func (c *core) notifier() func(lifecycle.Event) {
	if c.logger == nil && c.observer == nil {
		return nil
	}
	return c.notify
}

func (c *core) notify(e lifecycle.Event) {
	event := Event{Kind: eventKinds[e.Kind], Session: sessionKinds[e.Session], Key: e.Key, Err: e.Err}
	if c.observer != nil {
		defer func() {
			if p := recover(); p != nil && c.logger != nil {
				withRecover(func() {
					c.logger.Error("emporix: the event observer panicked", slog.String("event", string(event.Kind)))
				})
			}
		}()
	}
	if c.logger != nil {
		var level slog.Level
		switch event.Kind {
		case EventSessionStarted, EventSessionRefreshed:
			level = slog.LevelDebug
		case EventSessionReplaced, EventSessionIDChanged, EventRefreshFailed, EventStoreWriteFailed:
			level = slog.LevelWarn
		case EventLoggedIn, EventLoggedOut, EventSessionExpired:
			level = slog.LevelInfo
		}
		attrs := append([]slog.Attr{slog.String("session", string(event.Session))}, errorAttrs(event.Err)...)
		withRecover(func() { c.logger.LogAttrs(context.Background(), level, "emporix: "+string(event.Kind), attrs...) })
	}
	if c.observer != nil {
		c.observer(event)
	}
}

// mostLogging is how many log lines may be left in a handler that does not return;
// further lines are dropped until it does.
const mostLogging = 16

const logHandler = "the log handler"

// write writes a log line, and waits for it no longer than ctx lasts.
func (c *core) write(ctx context.Context, level slog.Level, text string, attrs []slog.Attr) {
	if c.calls.Left(logHandler) >= mostLogging {
		return
	}
	line := ctx
	if ctx.Err() != nil { // the line may be about that
		later, cancel := bounded.Linger(ctx)
		defer cancel()
		line = later
	}
	_, _ = bounded.Do(line, &c.calls, logHandler, func() struct{} {
		withRecover(func() {
			if c.logger.Enabled(ctx, level) {
				c.logger.LogAttrs(ctx, level, text, attrs...)
			}
		})
		return struct{}{}
	}, nil)
}

// withRecover runs do, and stops a panic of the log handler: the call that is logged must
// not lose its result, such as new tokens.
func withRecover(do func()) {
	defer func() { _ = recover() }()
	do()
}

// logs reports whether a call is to be logged. It asks a handler of log/slog's own,
// which answers at once; its level may still be the user's code, and panic. Any other
// handler may block, so write asks it.
func (c *core) logs(ctx context.Context, level slog.Level) (enabled bool) {
	switch {
	case c.logger == nil:
		return false
	case !c.plainLogger:
		return true
	}
	withRecover(func() { enabled = c.logger.Enabled(ctx, level) })
	return enabled
}

// isPlain reports a handler of log/slog's own, which says at once what it is for.
func isPlain(logger *slog.Logger) bool {
	switch logger.Handler().(type) {
	case *slog.TextHandler, *slog.JSONHandler:
		return true
	}
	return false
}

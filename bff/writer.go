package bff

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"
)

// writer writes the visitor's cookie right before the headers go out. Everything
// else of the wrapped writer is reached through http.ResponseController.
type writer struct {
	http.ResponseWriter
	state    *requestState
	request  *http.Request
	before   http.Header // as it was when the handler was called; with sessions in cookies only
	begun    bool
	failed   bool // the handler panicked
	replaced bool // the response is an error, not the handler's
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader writes the cookie and the headers.
func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.begin()
	}
	if !w.replaced {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write writes the cookie, the headers and then the data.
func (w *writer) Write(data []byte) (int, error) {
	w.begin()
	if w.replaced {
		return len(data), nil
	}
	return w.ResponseWriter.Write(data)
}

// ReadFrom keeps sendfile.
func (w *writer) ReadFrom(from io.Reader) (int64, error) {
	w.begin()
	if w.replaced {
		return io.Copy(io.Discard, from)
	}
	return io.Copy(w.ResponseWriter, from)
}

// FlushError writes the cookie and sends what has been written.
func (w *writer) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for streams that know no http.ResponseController.
func (w *writer) Flush() { _ = w.FlushError() }

// Hijack hands over the connection, for web sockets. The handler that takes it writes
// headers of their own, so it is refused while the browser must be given a
// cookie: begin the session with a page.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !w.begun {
		if cookie, _, err := w.state.seal(); cookie != nil || err != nil {
			return nil, nil, errors.Join(errHijacked, err)
		}
	}
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

var errHijacked = fmt.Errorf("%w: a connection that is hijacked carries no cookie", ErrTooLate)

func (w *writer) begin() {
	if w.begun {
		return
	}
	w.begun = true
	w.state.begin()
	h := w.Header()
	cookie, who, err := w.state.seal()
	if err != nil {
		if !w.failed && w.state.lost(who, err) {
			w.replace(err)
			return
		}
		w.state.b.log(context.Background(), "the visitor's cookie could not be written", err)
	}
	switch {
	case cookie != nil:
		http.SetCookie(w.ResponseWriter, cookie)
		h.Set("Cache-Control", "no-store")
		if w.state.left() && h.Get("Clear-Site-Data") == "" {
			// Chromium restores pages from memory although they say no-store.
			h.Set("Clear-Site-Data", `"cache"`)
		}
	case w.state.now() != nil && h.Get("Cache-Control") == "":
		// With no-cache, the browser's back button still shows the page after the logout.
		h.Set("Cache-Control", "no-store")
	default:
		return
	}
	for name := range h {
		if overrulesCacheControl(name) {
			delete(h, name)
		}
	}
}

// replace answers with an error in place of the handler, which wrote nothing so
// far. What the handler writes is dropped.
func (w *writer) replace(err error) {
	w.replaced = true
	h := w.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, w.before)
	w.state.b.Error(w.ResponseWriter, w.request, err)
}

// overrulesCacheControl reports headers that some caches obey before
// Cache-Control: the targeted fields of RFC 9213, whose names end alike, and
// three that are older.
func overrulesCacheControl(name string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Surrogate-Control", "Edge-Control", "X-Accel-Expires":
		return true
	}
	return strings.HasSuffix(name, "-Cache-Control")
}

// newCookie is the visitor's cookie; an empty value removes it.
func (b *BFF) newCookie(value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{ // #nosec G124 -- Secure but for Options.Development
		Name: b.cookie, Value: value, Path: "/", HttpOnly: true, Secure: !b.opts.Development,
		SameSite: http.SameSiteLaxMode, MaxAge: max(int((life+time.Second-1)/time.Second), 1),
	}
	if b.opts.Strict {
		c.SameSite = http.SameSiteStrictMode
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

package bff

import (
	"io"
	"net/http"
	"time"
)

// writer writes the visitor's cookie right before the headers go out. Everything
// else of the wrapped writer is reached through http.ResponseController.
type writer struct {
	http.ResponseWriter
	visit *visit
	begun bool
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader writes the cookie and the headers.
func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes the cookie, the headers and then the data.
func (w *writer) Write(data []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(data)
}

// ReadFrom keeps sendfile.
func (w *writer) ReadFrom(from io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, from)
}

// Flush is for streams that know no http.ResponseController.
func (w *writer) Flush() {
	w.begin()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) begin() {
	if w.begun {
		return
	}
	w.begun = true
	cookie := w.visit.seal()
	if cookie == nil {
		return
	}
	http.SetCookie(w.ResponseWriter, cookie)
	w.Header().Set("Cache-Control", "no-store")
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

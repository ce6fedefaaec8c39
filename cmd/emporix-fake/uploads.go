package main

import (
	"net/http"
	"sync"
	"time"
)

// uploads knows the requests whose bodies may still be on their way, to end a
// wait for bytes that never come when the program ends.
type uploads struct {
	next http.Handler

	mu      sync.Mutex
	stopped bool
	open    map[*http.ResponseController]bool
}

func newUploads(next http.Handler) *uploads {
	return &uploads{next: next, open: map[*http.ResponseController]bool{}}
}

// ServeHTTP implements [http.Handler].
func (u *uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		connection := http.NewResponseController(w)
		u.begin(connection)
		defer u.end(connection)
	}
	u.next.ServeHTTP(w, r)
}

func (u *uploads) begin(connection *http.ResponseController) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open[connection] = true
	if u.stopped {
		expire(connection)
	}
}

func (u *uploads) end(connection *http.ResponseController) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, connection)
}

// stop breaks the bodies off that did not arrive yet.
func (u *uploads) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	for connection := range u.open {
		expire(connection)
	}
}

// expire lets a read of the body fail at once. It does not wait.
func expire(connection *http.ResponseController) { _ = connection.SetReadDeadline(time.Unix(1, 0)) }

package emporixtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// bodyTime is what a caller gets to send a body, as over a socket.
const bodyTime = 30 * time.Second

var errBodyTooLate = errors.New("emporixtest: the request body did not arrive in time")

// memoryTransport carries requests to a handler without a socket. Each runs in
// a goroutine with a context of its own: like a real server, the handler goes on
// when the caller has left.
type memoryTransport struct {
	handler http.Handler
	serving context.Context
	stop    context.CancelFunc

	mu      sync.Mutex // over closed, so that nothing starts after close waited
	closed  bool
	running sync.WaitGroup
}

func newMemoryTransport(handler http.Handler) *memoryTransport {
	serving, stop := context.WithCancel(context.Background())
	return &memoryTransport{handler: handler, serving: serving, stop: stop}
}

// close ends what a fault delays and waits for every handler.
func (m *memoryTransport) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.running.Wait()
}

func (m *memoryTransport) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.running.Add(1)
	}
	return !m.closed
}

// RoundTrip implements [http.RoundTripper].
func (m *memoryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	served, err := m.serverSide(req)
	if err == nil && !m.begin() {
		err = errors.New("emporixtest: the fake has ended with its test")
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	if served.Body != http.NoBody {
		served.Body = m.carry(req)
	}
	w := newResponse(req.Method)
	go m.serve(w, served)

	ctx := req.Context()
	select {
	case <-w.started:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return w.answer(req)
}

// carry gives the handler what the caller's body has. That ends with the bytes,
// the caller's context or the fake, or when they did not all come in bodyTime.
// Only a body whose Read ignores its Close keeps the goroutine for longer.
func (m *memoryTransport) carry(req *http.Request) io.ReadCloser {
	reading, writing := io.Pipe()
	done := sync.OnceFunc(func() { _ = req.Body.Close() })
	arriving, stop := context.WithTimeoutCause(req.Context(), bodyTime, errBodyTooLate)
	leave := func() {
		_ = writing.CloseWithError(context.Cause(arriving))
		done()
	}
	forget := context.AfterFunc(arriving, leave)
	unlink := context.AfterFunc(m.serving, stop)
	go func() {
		_, err := io.Copy(writing, req.Body)
		_ = writing.CloseWithError(err)
		done()
		unlink()
		forget()
		stop()
	}()
	return reading
}

func (m *memoryTransport) serve(w *response, r *http.Request) {
	defer m.running.Done()
	defer r.Body.Close()
	defer func() {
		reason := recover()
		if reason != nil && reason != http.ErrAbortHandler {
			panic(reason)
		}
		w.end(reason != nil)
	}()
	m.handler.ServeHTTP(w, r)
}

// serverSide is the request as a server would have read it.
func (m *memoryTransport) serverSide(req *http.Request) (*http.Request, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if base := req.URL.Scheme + "://" + req.URL.Host; base != inMemoryURL {
		return nil, fmt.Errorf("emporixtest: there is no %s://%s in memory, only %s", req.URL.Scheme, req.URL.Host, inMemoryURL)
	}
	for name, values := range req.Header {
		for _, value := range values {
			if strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
				return nil, fmt.Errorf("emporixtest: invalid header field value for %q", name)
			}
		}
	}
	uri := req.URL.RequestURI()
	target, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, errors.New("emporixtest: the URL is not valid") // the error would show it
	}
	served := (&http.Request{
		Method: req.Method, URL: target, RequestURI: uri, Host: req.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: req.Header.Clone(), Body: req.Body, ContentLength: req.ContentLength, RemoteAddr: "192.0.2.1:1234",
	}).WithContext(m.serving)
	if served.Method == "" {
		served.Method = http.MethodGet
	}
	if served.Host == "" {
		served.Host = req.URL.Host
	}
	if served.Header == nil {
		served.Header = http.Header{}
	}
	if served.Body == nil {
		served.Body = http.NoBody
	}
	return served, nil
}

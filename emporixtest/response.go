package emporixtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// response is what a handler writes to and what its caller reads from.
type response struct {
	method  string
	started chan struct{} // closed when the caller can have its answer
	wake    chan struct{} // holds one signal for the reader

	header http.Header // the handler's own

	mu       sync.Mutex // over what follows; never held across a wait
	sent     http.Header
	status   int   // 0 until the header is written
	declared int64 // Content-Length; -1 if the handler gave none
	written  int64
	unread   []byte
	flushed  bool
	ended    bool
	lost     bool // cut off before anything was sent
	cut      bool // cut off, or shorter than declared
	closed   bool // by the reader
}

func newResponse(method string) *response {
	return &response{
		method: method, started: make(chan struct{}), wake: make(chan struct{}, 1),
		header: http.Header{}, declared: -1,
	}
}

// Header implements [http.ResponseWriter].
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(status)
}

func (w *response) writeHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.declared = n
	}
}

// Write implements [http.ResponseWriter].
func (w *response) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(http.StatusOK)
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if w.declared >= 0 && w.written+int64(len(p)) > w.declared {
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if w.method != http.MethodHead && !w.closed {
		w.unread = append(w.unread, p...)
	}
	w.signal()
	return len(p), nil
}

// Flush implements [http.Flusher]: the caller gets what is there.
func (w *response) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(http.StatusOK)
	if !w.flushed {
		w.flushed = true
		close(w.started)
	}
}

// end is the end of the handler.
func (w *response) end(aborted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if !aborted {
		w.writeHeader(http.StatusOK)
		if w.declared < 0 && !w.flushed {
			w.declared = w.written
		}
	}
	bodiless := w.method == http.MethodHead || w.status == http.StatusNoContent || w.status == http.StatusNotModified
	w.lost = aborted && !w.flushed
	w.cut = aborted || w.written < w.declared && !bodiless
	if !w.flushed {
		close(w.started)
	}
	w.signal()
}

func (w *response) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// answer is what the caller gets, once started is closed.
func (w *response) answer(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, ContentLength: w.declared, Body: &answerBody{w, req.Context()}, Request: req,
	}, nil
}

// answerBody reads what the handler writes, while it writes.
type answerBody struct {
	w   *response
	ctx context.Context
}

// Read implements [io.Reader].
func (b *answerBody) Read(p []byte) (int, error) {
	for {
		if n, err := b.w.read(p); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-b.w.wake:
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
}

func (w *response) read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return 0, http.ErrBodyReadAfterClose
	case len(w.unread) > 0:
		n := copy(p, w.unread)
		w.unread = w.unread[n:]
		return n, nil
	case w.ended && w.cut:
		return 0, io.ErrUnexpectedEOF
	case w.ended:
		return 0, io.EOF
	default:
		return 0, nil
	}
}

// Close implements [io.Closer].
func (b *answerBody) Close() error {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.w.closed, b.w.unread = true, nil
	b.w.signal()
	return nil
}

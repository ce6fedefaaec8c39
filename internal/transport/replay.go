package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
)

// setBody gives a request its body, in a form that keeps net/http from sending
// by itself what may have been processed: it can't repeat a request with a body
// that it does not know how to rewind. protocol is the version of HTTP to expect.
func setBody(req *http.Request, data []byte, repeatable bool, protocol int32) {
	req.Body, req.GetBody = nil, nil
	switch {
	case data != nil:
		req.ContentLength = int64(len(data))
		req.Body = io.NopCloser(bytes.NewReader(data))
		// HTTP/1 rewinds only where not one byte was written, on a connection that
		// has been used before. HTTP/2 also does after a PROTOCOL_ERROR, which does
		// not say what happened.
		if repeatable || protocol == 1 {
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		}
	case !repeatable && (req.Method == http.MethodGet || protocol == 2):
		// HTTP/1 repeats a GET when a kept connection dies. An empty body changes
		// nothing on the wire there; in HTTP/2 it is an empty frame.
		req.Body = io.NopCloser(strings.NewReader(""))
	}
}

// connecting watches whether an attempt got as far as a connection.
type connecting struct {
	mu              sync.Mutex
	asked, obtained bool
}

func (c *connecting) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { c.set(&c.asked) },
		GotConn: func(httptrace.GotConnInfo) { c.set(&c.obtained) },
	}
}

func (c *connecting) set(what *bool) {
	c.mu.Lock()
	*what = true
	c.mu.Unlock()
}

func (c *connecting) neverConnected() bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked && !c.obtained
}

// surelyUnsent reports errors that say so by themselves.
func surelyUnsent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	text := err.Error()
	return slices.ContainsFunc(unsentTexts, func(part string) bool { return strings.Contains(text, part) })
}

// unsentTexts are of net/http's errors in HTTP/2, which have no names.
var unsentTexts = []string{
	"REFUSED_STREAM",
	"graceful shutdown GOAWAY", // which named an earlier request as the last one
	"client conn could not be established",
	cannotRewind,
}

// cannotRewind is what net/http says of a body that it cannot rewind when the
// connection was closed before the request was sent.
const cannotRewind = "net/http: cannot rewind body after connection loss"

package transport

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
)

// Responses are read up to these sizes, counted after decompression.
const (
	smallBody = 1 << 20
	largeBody = 8 << 20
)

func bodyLimit(op *operation.Operation, status int) int64 {
	if issuesTokens(op) || status >= 300 {
		return smallBody
	}
	return largeBody
}

func issuesTokens(op *operation.Operation) bool { return op.Tokens != operation.NoTokens }

// memoryBody is a whole response body in pooled memory.
type memoryBody struct {
	buffer *bytes.Buffer
	reader bytes.Reader
	source io.LimitedReader
	cut    error // why the body of an error is not whole
}

func (b *memoryBody) bytes() []byte {
	if b.buffer == nil { // closed by a middleware
		return nil
	}
	return b.buffer.Bytes()
}

func (b *memoryBody) Read(p []byte) (int, error) { return b.reader.Read(p) }

// Close gives the memory back.
func (b *memoryBody) Close() error {
	if b.buffer != nil && b.buffer.Cap() <= keepBuffer {
		b.buffer.Reset()
		buffers.Put(b.buffer)
	}
	b.buffer = nil
	b.reader.Reset(nil)
	return nil
}

// convert turns the body into UTF-8. What an error says in an encoding that is not
// known is left out.
func (b *memoryBody) convert(h http.Header, failed bool) error {
	text, err := toUTF8(b.buffer.Bytes(), h)
	switch {
	case err != nil && failed:
		b.buffer.Reset()
		b.cut = err
	case err != nil:
		return &unusable{failure.KindUnreadable, err}
	case len(text) != b.buffer.Len():
		b.buffer = bytes.NewBuffer(bytes.Clone(text))
	}
	return nil
}

const keepBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// unzipped is the body of a response, decompressed where net/http has not done that: a
// middleware asked for gzip, or a server compresses what was not asked to be.
func unzipped(resp *http.Response) io.Reader {
	switch strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))) {
	case "gzip", "x-gzip":
	default:
		return resp.Body
	}
	if resp.Uncompressed {
		return resp.Body
	}
	resp.Uncompressed, resp.ContentLength = true, -1
	resp.Header = resp.Header.Clone()
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	return &zippedBody{from: resp.Body}
}

// zippedBody is decompressed when it is read. An empty one is empty.
type zippedBody struct {
	from io.Reader
	zip  *gzip.Reader
}

// Read reads on.
func (b *zippedBody) Read(p []byte) (n int, err error) {
	if b.zip == nil {
		b.zip, err = gzip.NewReader(b.from)
	}
	if err == nil {
		n, err = b.zip.Read(p)
	}
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		err = &unusable{failure.KindUnreadable, errors.New("the response is not compressed as its header says")}
	}
	return n, err
}

// readBody reads a whole response body. Of an error it keeps what fits and what came:
// the status alone says enough.
func readBody(resp *http.Response, limit int64) (*memoryBody, error) {
	switch ahead := resp.Body.(type) {
	case *memoryBody:
		return ahead, nil
	case unreadBody:
		return nil, ahead.err
	}
	if resp.Body == nil { // from a transport that is not net/http's
		resp.Body = http.NoBody
	}
	defer func() { _ = resp.Body.Close() }()
	body := &memoryBody{buffer: buffers.Get().(*bytes.Buffer)}
	if n := resp.ContentLength; n > 0 && n <= limit {
		body.buffer.Grow(int(n) + bytes.MinRead)
	}
	body.source = io.LimitedReader{R: unzipped(resp), N: limit + 1}
	n, err := body.buffer.ReadFrom(&body.source)
	body.source.R = nil
	encoding := resp.Header.Get("Content-Encoding")
	encoded := n > 0 && !resp.Uncompressed && encoding != "" && !strings.EqualFold(encoding, "identity")
	switch failed := resp.StatusCode >= 300; {
	case err != nil && failed:
		body.cut, err = err, nil
	case err != nil:
	case encoded && failed:
		body.buffer.Reset()
		body.cut = errors.New("encoded")
	case encoded:
		err = &unusable{failure.KindUnreadable, errors.New("the response is encoded in a way that was not asked for")}
	case n > limit && failed:
		body.buffer.Truncate(int(limit))
	case n > limit:
		err = &unusable{failure.KindUnreadable, fmt.Errorf("the response is larger than %d bytes", limit)}
	}
	if err == nil {
		err = body.convert(resp.Header, resp.StatusCode >= 300)
	}
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	body.reader.Reset(body.buffer.Bytes())
	return body, nil
}

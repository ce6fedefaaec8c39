package bounded

import (
	"context"
	"io"
)

// Body is a body whose Read and Close return when its context ends. A read that
// was left is not lost: the next Read gets what it read.
type Body struct {
	ctx     context.Context
	calls   *Calls
	what    string
	body    io.ReadCloser
	reading *Call[read]
	left    bool
	buffer  []byte // is the reading call's while there is one
	rest    []byte // read, and not yet asked for
	err     error
}

type read struct {
	n   int
	err error
}

// largestRead is how much one Read gets at most.
const largestRead = 32 << 10

// NewBody bounds body by ctx.
func NewBody(ctx context.Context, calls *Calls, what string, body io.ReadCloser) *Body {
	return &Body{ctx: ctx, calls: calls, what: what, body: body}
}

// Within bounds the body by another context from now on.
func (b *Body) Within(ctx context.Context) { b.ctx = ctx }

// Read reads on.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(b.rest) == 0 && b.err == nil {
		if err := b.fill(len(p)); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if len(b.rest) == 0 && b.err != nil {
		return n, b.err
	}
	return n, nil
}

// fill waits for a read: the one that is under way, or a new one.
func (b *Body) fill(size int) error {
	if b.reading == nil {
		if b.ctx.Err() != nil {
			return context.Cause(b.ctx)
		}
		if size = min(size, largestRead); len(b.buffer) < size {
			b.buffer = make([]byte, size)
		}
		buffer := b.buffer[:size]
		b.reading = Start(b.calls, b.what, func() read {
			n, err := b.body.Read(buffer)
			return read{n, err}
		})
	}
	got, err := b.reading.Wait(b.ctx)
	if err != nil {
		if !b.left {
			b.left = true
			b.reading.Leave(nil)
		}
		return err
	}
	b.reading, b.left = nil, false
	b.rest, b.err = b.buffer[:min(max(got.n, 0), len(b.buffer))], got.err
	return nil
}

// Close closes the body. A close that is left goes on by itself.
func (b *Body) Close() error {
	ctx, cancel := Linger(b.ctx)
	defer cancel()
	closing := Start(b.calls, b.what, b.body.Close)
	err, ended := closing.Wait(ctx)
	if ended != nil {
		closing.Leave(nil)
		return nil
	}
	return err
}

package emporixtest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// closeCounter counts how often a body is closed.
type closeCounter struct {
	io.Reader
	closed atomic.Int32
}

func (c *closeCounter) Close() error {
	c.closed.Add(1)
	if closer, can := c.Reader.(io.Closer); can {
		return closer.Close()
	}
	return nil
}

// A body that stalls ends like one over a socket, and does not hold the end of
// the test.
func TestMemoryBodiesEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		leave time.Duration // of the caller; 0 is never
		close bool          // the fake ends at once
		after time.Duration
		err   error
	}{
		"in time":             {0, false, 30 * time.Second, errBodyTooLate},
		"with the caller":     {time.Second, false, time.Second, context.DeadlineExceeded},
		"with the fake's end": {0, true, 0, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				read := make(chan error, 1)
				m := newMemoryTransport(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, err := io.ReadAll(r.Body)
					assert.Equal(t, tc.after, time.Since(begin))
					read <- err
				}))
				reading, writing := io.Pipe()
				defer writing.Close()
				body := &closeCounter{Reader: reading}
				ctx, cancel := context.WithCancel(t.Context())
				if tc.leave > 0 {
					ctx, cancel = context.WithTimeout(ctx, tc.leave)
				}
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, inMemoryURL+"/", body)
				require.NoError(t, err)
				if tc.close {
					go func() { synctest.Wait(); m.close() }()
				}
				resp, err := m.RoundTrip(req)
				if tc.leave > 0 {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				} else {
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
				}
				assert.ErrorIs(t, <-read, tc.err)
				m.close()
				synctest.Wait()
				assert.Equal(t, int32(1), body.closed.Load())
			})
		})
	}
}

// A body that came whole, or that the handler does not read, is closed once.
func TestMemoryClosesBodies(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"read": func(_ http.ResponseWriter, r *http.Request) {
			raw, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			assert.Len(t, raw, 1<<20)
		},
		"not read": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemoryTransport(handler)
				body := &closeCounter{Reader: strings.NewReader(strings.Repeat("a", 1<<20))}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, inMemoryURL+"/", body)
				require.NoError(t, err)
				resp, err := m.RoundTrip(req)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				m.close()
				synctest.Wait()
				assert.Equal(t, int32(1), body.closed.Load())
			})
		})
	}
}

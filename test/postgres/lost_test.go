package postgres_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/stores/storetest"
)

// cutter passes connections on. Armed, it breaks the one on which the server next
// says that it has changed or read a line, so that this answer is lost.
type cutter struct {
	armed atomic.Bool
	dsn   string
}

func newCutter(t *testing.T, dsn string) *cutter {
	t.Helper()
	target, err := url.Parse(dsn)
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	c, host := &cutter{}, target.Host
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", host)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go c.answers(client, server)
		}
	}()
	target.Host = listener.Addr().String()
	c.dsn = target.String()
	return c
}

func (c *cutter) answers(client, server net.Conn) {
	defer func() { _ = client.Close(); _ = server.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		for _, executed := range []string{"INSERT 0 ", "UPDATE ", "SELECT "} {
			if bytes.Contains(buffer[:n], []byte(executed)) && c.armed.CompareAndSwap(true, false) {
				return
			}
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Where the answer of an operation is lost after the server did it, no driver
// makes the store say that it was not done.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	dsn := start(t)
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			c := newCutter(t, dsn)
			s := ready(t, connect(t, driver, c.dsn))
			lose := func() {
				require.False(t, c.armed.Load(), "the last answer was not lost")
				c.armed.Store(true)
			}
			t.Run("storetest", func(t *testing.T) {
				storetest.Run(t, func(*testing.T) storetest.Store { return s }, storetest.WithLostAnswers(lose))
			})
			if driver == "pgx" {
				return // it sends nothing twice
			}
			lose()
			saved, err := s.SaveIf(t.Context(), "twice", []byte("x"), 0, 1, time.Hour)
			require.NoError(t, err)
			assert.True(t, saved)
			require.False(t, c.armed.Load())
			lose()
			saved, err = s.SaveIf(t.Context(), "twice", []byte("y"), 1, 2, time.Hour)
			require.NoError(t, err)
			assert.True(t, saved)
			saved, err = s.SaveIf(t.Context(), "twice", []byte("y"), 1, 2, time.Hour)
			require.NoError(t, err)
			assert.False(t, saved, "the same by another")
			lose()
			saved, err = s.SaveIf(t.Context(), "twice", []byte("z"), 1, 2, time.Hour)
			require.NoError(t, err)
			assert.False(t, saved, "it never could")
		})
	}
}

package transport_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/transport"
)

func TestTheNetworkSpeaksHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Proto", r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	network := transport.NewNetwork()
	t.Cleanup(network.CloseIdleConnections)
	network.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	network.TLSClientConfig.NextProtos = nil // what the transport itself offers counts
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	resp, err := network.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "HTTP/2.0", resp.Header.Get("Proto"))
}

// As many callers as there are idle connections don't dial a second time.
func TestTheNetworkKeepsConnections(t *testing.T) {
	const callers = 256
	// One caller that fails ends the test; else the others would wait for it in the
	// server for ever.
	ctx, fail := context.WithCancel(t.Context())
	defer fail()
	var mu sync.Mutex
	opened, waiting, allIn := 0, 0, make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		in := allIn
		if waiting++; waiting == callers {
			waiting, allIn = 0, make(chan struct{})
			close(in)
		}
		mu.Unlock()
		select { // all at once
		case <-in:
		case <-ctx.Done():
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			opened++
			mu.Unlock()
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	network := transport.NewNetwork()
	network.DialContext = new(net.Dialer).DialContext // a busy machine connects slowly
	t.Cleanup(network.CloseIdleConnections)
	for range 2 {
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
				if !assert.NoError(t, err) {
					fail()
					return
				}
				resp, err := network.RoundTrip(req)
				if !assert.NoError(t, err) {
					fail()
					return
				}
				assert.NoError(t, resp.Body.Close())
			})
		}
		all.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	// net/http gives up a connection whose writer was not scheduled for 50 ms after
	// the response: on a busy machine a few are opened again.
	assert.LessOrEqual(t, opened, callers+callers/10)
}

// What a peer could draw out has an end: a kept connection that is not used, a
// handshake that does not go on, headers without end.
func TestTheNetworkEndsWhatAPeerDrawsOut(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	for name, tt := range map[string]struct {
		url, answer string
		fails       bool
		closedAfter time.Duration
	}{
		"an idle connection": {"http://api.test", ok, false, 90 * time.Second},
		"a handshake":        {"https://api.test", "", true, 5 * time.Second},
		"headers":            {"http://api.test", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 257<<10) + "\r\n\r\n", true, 0},
		"headers that fit":   {"http://api.test", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + strings.Repeat("x", 250<<10) + "\r\n\r\n", false, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := transport.NewNetwork()
				network.Proxy = nil
				ours, theirs := net.Pipe()
				network.DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
				began := time.Now()
				var peer sync.WaitGroup
				peer.Go(func() {
					in := bufio.NewReader(theirs)
					if tt.answer != "" {
						if _, err := http.ReadRequest(in); err != nil {
							return
						}
						_, _ = io.WriteString(theirs, tt.answer)
					}
					_, _ = io.Copy(io.Discard, in)
					assert.Equal(t, tt.closedAfter, time.Since(began))
					_ = theirs.Close()
				})
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, nil)
				require.NoError(t, err)
				resp, err := network.RoundTrip(req)
				if err == nil {
					require.NoError(t, resp.Body.Close())
				}
				assert.Equal(t, tt.fails, err != nil, err)
				peer.Wait()
			})
		})
	}
}

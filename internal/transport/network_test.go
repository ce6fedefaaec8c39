package transport_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

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
	var mu sync.Mutex
	var round sync.WaitGroup
	opened := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		round.Done()
		round.Wait() // all at once
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
	t.Cleanup(network.CloseIdleConnections)
	for range 2 {
		round.Add(callers)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
				if !assert.NoError(t, err) {
					return
				}
				resp, err := network.RoundTrip(req)
				if assert.NoError(t, err) {
					assert.NoError(t, resp.Body.Close())
				}
			})
		}
		all.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, callers, opened)
}

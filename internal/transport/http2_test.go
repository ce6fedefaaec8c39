package transport_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// ending is what the HTTP/2 double does with a request instead of answering.
type ending int

const (
	answered   ending = iota
	refused           // RST_STREAM with REFUSED_STREAM: surely not processed
	leaving           // GOAWAY that names an earlier request as the last one: neither, but net/http does not tell it from the next
	protocol          // RST_STREAM with PROTOCOL_ERROR: says nothing, and net/http repeats after it
	internal          // RST_STREAM with INTERNAL_ERROR: says nothing
	cut               // the connection ends
	leftAndCut        // GOAWAY that names this request as the last one, and the end
	silent            // nothing any more, on this connection
)

var endings = map[string]ending{
	"refused": refused, "going away": leaving, "protocol error": protocol, "internal error": internal,
	"cut": cut, "going away, and cut": leftAndCut,
}

// double2 is a server that speaks just enough HTTP/2 to misbehave in it.
type double2 struct {
	url string

	mu    sync.Mutex
	plan  []ending // for the requests to come; then answered
	seen  int      // requests
	bare  []bool   // which of them ended with their headers
	conns map[net.Conn]bool
	wait  sync.WaitGroup
}

func newDouble2(t *testing.T) (*double2, func(*transport.Config)) {
	t.Helper()
	secure := certified()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: secure.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	require.NoError(t, err)
	d := &double2{url: "https://" + listener.Addr().String(), conns: map[net.Conn]bool{}}
	d.wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns[conn] = true
			d.mu.Unlock()
			d.wait.Go(func() { d.serve(conn) })
		}
	})
	network := trusting(secure)
	t.Cleanup(func() {
		_ = listener.Close()
		d.mu.Lock()
		for conn := range d.conns {
			_ = conn.Close()
		}
		d.mu.Unlock()
		d.wait.Wait()
		network.CloseIdleConnections()
	})
	return d, func(cfg *transport.Config) {
		cfg.Base, cfg.Direct = network, true
	}
}

// certified is a server with a certificate, and of no other use.
var certified = sync.OnceValue(func() *httptest.Server {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	return server
})

// trusting is the SDK's own transport, which also trusts a test server.
func trusting(server *httptest.Server) *http.Transport {
	network := transport.NewNetwork()
	network.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	network.TLSClientConfig.NextProtos = nil
	return network
}

func (d *double2) arm(plan ...ending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan, d.seen, d.bare = plan, 0, nil
}

func (d *double2) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen
}

func (d *double2) next() ending {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen++
	if len(d.plan) == 0 {
		return answered
	}
	end := d.plan[0]
	d.plan = d.plan[1:]
	return end
}

// Types of frames (RFC 9113, section 6).
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	framePing     = 0x6
	frameGoAway   = 0x7
)

func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	out = binary.BigEndian.AppendUint32(append(out, flags), stream)
	return append(out, payload...)
}

func (d *double2) serve(conn net.Conn) {
	defer conn.Close()
	preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return
	}
	send := func(frames ...[]byte) {
		for _, f := range frames {
			_, _ = conn.Write(f)
		}
	}
	number := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	send(frame(frameSettings, 0, 0))
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		payload := make([]byte, uint32(head[0])<<16|uint32(head[1])<<8|uint32(head[2]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			return
		}
		const ack, endOfStream, endOfHeaders = 0x1, 0x1, 0x4
		switch {
		case kind == frameSettings && flags&ack == 0:
			send(frame(frameSettings, ack, 0))
		case kind == framePing && flags&ack == 0:
			send(frame(framePing, ack, 0, payload...))
		}
		if kind != frameHeaders && kind != frameData || flags&endOfStream == 0 {
			continue // the request goes on
		}
		d.mu.Lock()
		d.bare = append(d.bare, kind == frameHeaders)
		d.mu.Unlock()
		switch d.next() {
		case answered:
			const status200 = 0x88 // of HPACK's own table
			send(frame(frameHeaders, endOfHeaders, stream, status200), frame(frameData, endOfStream, stream, []byte(`{"answer":true}`)...))
		case refused:
			send(frame(frameReset, 0, stream, number(7)...))
		case protocol:
			send(frame(frameReset, 0, stream, number(1)...))
		case internal:
			send(frame(frameReset, 0, stream, number(2)...))
		case leaving:
			send(frame(frameGoAway, 0, 0, append(number(stream-2), number(0)...)...))
		case leftAndCut:
			send(frame(frameGoAway, 0, 0, append(number(stream), number(0)...)...))
			return
		case cut:
			return
		case silent:
			_, _ = io.Copy(io.Discard, conn)
			return
		}
	}
}

// HTTP/2 has more ways not to answer than HTTP/1, and net/http repeats requests
// after some of them on its own.
func TestHTTP2DoublesNothingThatMatters(t *testing.T) {
	for _, op := range everyOperation() {
		for name, end := range endings {
			t.Run(op.Name+" "+name, func(t *testing.T) {
				t.Parallel()
				server, network := newDouble2(t)
				p := pipeline(t, server.url, network)
				warm, err := send(t.Context(), p, callOf(op))
				require.NoError(t, err)
				warm.Release()
				server.arm(end)

				answer, err := send(t.Context(), p, callOf(op))
				unsent := end == refused
				if op.Retry == operation.Safe || op.Retry == operation.Repeatable || op.Retry == operation.Unsent && unsent {
					require.NoError(t, err)
					assert.Equal(t, 200, answer.Status)
					assert.Equal(t, 2, server.count())
					return
				}
				var failed *failure.Failure
				require.ErrorAs(t, err, &failed)
				want := failure.KindLost
				if unsent {
					want = failure.KindNotSent
				}
				assert.Equal(t, want, failed.Kind, err)
				assert.Equal(t, 1, failed.Attempts)
				assert.Equal(t, 1, server.count(), "requests on the wire")
				assert.NotContains(t, err.Error(), "GetBody", "advice to programmers")
				if end == refused || end == protocol { // which net/http would have sent again, the second up to Go 1.26
					assert.Regexp(t, "ended the HTTP/2 stream of the request without a response|PROTOCOL_ERROR", err.Error())
				}
			})
		}
	}
}

// A request without a body announces none, the first of a process as well: behind
// a proxy an announced empty body becomes a chunked one, which gateways refuse.
func TestHTTP2AnnouncesNoBodyWhereThereIsNone(t *testing.T) {
	for _, op := range everyOperation() {
		for name, wrapped := range map[string]bool{"net/http's transport": false, "a wrapped one": true} {
			t.Run(op.Name+" over "+name, func(t *testing.T) {
				t.Parallel()
				server, network := newDouble2(t)
				p := pipeline(t, server.url, network, func(cfg *transport.Config) {
					if wrapped {
						cfg.Base, cfg.Direct = through{cfg.Base}, false
					}
				})
				if wrapped { // which does not say what it speaks before the first response
					warm, err := send(t.Context(), p, callOf(operation.AuthStartAnonymous))
					require.NoError(t, err)
					warm.Release()
					server.arm()
				}
				for range 2 {
					answer, err := send(t.Context(), p, callOf(op))
					require.NoError(t, err)
					answer.Release()
				}
				without := callOf(op).Body == nil
				server.mu.Lock()
				defer server.mu.Unlock()
				assert.Equal(t, []bool{without, without}, server.bare)
			})
		}
	}
}

// through is a transport of a user's that wraps another.
type through struct{ next http.RoundTripper }

func (w through) RoundTrip(r *http.Request) (*http.Response, error) { return w.next.RoundTrip(r) }

// A transport that others have used may hold HTTP/1 connections although nothing
// is known of the host yet, or although it spoke HTTP/2 before.
func TestAKeptConnectionOfAnUnknownKindRepeatsNothing(t *testing.T) {
	for _, before := range []int{0, 2} {
		for _, op := range everyOperation() {
			if op.Retry == operation.Safe || op.Retry == operation.Repeatable {
				continue
			}
			t.Run(fmt.Sprint(op.Name, " after HTTP/", before), func(t *testing.T) {
				t.Parallel()
				server := newSecureDouble(t)
				network := trusting(certified())
				t.Cleanup(network.CloseIdleConnections)
				speaks := &sometimesHTTP2{Transport: network, pretend: before == 2}
				p := pipeline(t, server.url, func(cfg *transport.Config) { cfg.Base, cfg.Direct = speaks, true })
				warm, err := send(t.Context(), p, callOf(operation.AuthStartAnonymous)) // leaves a kept connection
				require.NoError(t, err)
				warm.Release()
				if before == 0 {
					p = pipeline(t, server.url, func(cfg *transport.Config) { cfg.Base, cfg.Direct = speaks, true })
				}
				server.arm(afterBody)
				_, err = send(t.Context(), p, callOf(op))
				var failed *failure.Failure
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, failure.KindLost, failed.Kind)
				assert.Equal(t, 1, server.count())
			})
		}
	}
}

// sometimesHTTP2 is a transport whose host changes what it speaks.
type sometimesHTTP2 struct {
	*http.Transport
	pretend bool
}

func (s *sometimesHTTP2) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.Transport.RoundTrip(r)
	if resp != nil && s.pretend {
		resp.ProtoMajor = 2
	}
	return resp, err
}

// A connection that dies without a word is given up, and not only each call on it.
func TestADeadConnectionIsReplaced(t *testing.T) {
	server, network := newDouble2(t)
	p := pipeline(t, server.url, network, func(cfg *transport.Config) {
		pings := cfg.Base.(*http.Transport).HTTP2
		assert.LessOrEqual(t, pings.SendPingTimeout+pings.PingTimeout, 30*time.Second)
		pings.SendPingTimeout /= 500
		pings.PingTimeout /= 50
	})
	for _, op := range []*operation.Operation{operation.CustomersGet, operation.AddressesAdd} {
		warm, err := send(t.Context(), p, callOf(op))
		require.NoError(t, err)
		warm.Release()
		server.arm(silent)
		_, err = send(t.Context(), p, callOf(op))
		if op.Retry == operation.Safe {
			require.NoError(t, err)
			assert.Equal(t, 2, server.count())
			continue
		}
		var failed *failure.Failure
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, failure.KindLost, failed.Kind)
		assert.Equal(t, 1, server.count())
		assert.NotContains(t, err.Error(), "timed out", "that would be the attempt, and the connection would stay")
	}
}

// A server that is replaced while calls are under way processes none twice, and
// costs no read. The outcome of a write above the last stream of its GOAWAY is
// unknown.
func TestAServerThatIsReplaced(t *testing.T) {
	var mu sync.Mutex
	processed := map[string]int{}
	var underWay sync.WaitGroup
	leave := make(chan struct{})
	serve := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		processed[r.Method+" "+r.Header.Get("Session-Id")]++
		mu.Unlock()
		if id := r.Header.Get("Session-Id"); id != "" && id < "call 20" {
			underWay.Done()
			<-leave
		}
		assert.Equal(t, 2, r.ProtoMajor)
		_, _ = io.WriteString(w, `{"answer":true}`)
	}
	servers := make([]*httptest.Server, 2)
	for i := range servers {
		servers[i] = httptest.NewUnstartedServer(http.HandlerFunc(serve))
		servers[i].EnableHTTP2 = true
		servers[i].Config.ErrorLog = log.New(io.Discard, "", 0)
		servers[i].StartTLS()
		t.Cleanup(servers[i].Close)
	}
	var current sync.Map
	current.Store("address", servers[0].Listener.Addr().String())
	network := trusting(servers[0])
	dial := network.DialContext
	network.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		address, _ := current.Load("address")
		return dial(ctx, network, address.(string))
	}
	t.Cleanup(network.CloseIdleConnections)
	p := pipeline(t, "https://example.com", func(cfg *transport.Config) {
		cfg.Base, cfg.Direct = network, true
	})

	var all sync.WaitGroup
	start := func(n int) {
		op := []*operation.Operation{operation.CustomersGet, operation.AddressesAdd, operation.AuthRefresh}[n%3]
		all.Go(func() {
			c := callOf(op)
			c.SessionID = fmt.Sprintf("call %d", n)
			answer, err := send(t.Context(), p, c)
			var failed *failure.Failure
			if op.Retry != operation.Safe && errors.As(err, &failed) {
				assert.Equal(t, failure.KindLost, failed.Kind, err)
				mu.Lock()
				processed["unknown "+c.SessionID]++
				mu.Unlock()
				return
			}
			if assert.NoError(t, err, n) {
				assert.Equal(t, 200, answer.Status)
			}
		})
	}
	warm, err := send(t.Context(), p, callOf(operation.AddressesList)) // so that there is one connection
	require.NoError(t, err)
	warm.Release()
	delete(processed, "GET ")
	underWay.Add(10)
	for n := range 10 {
		start(10 + n)
	}
	underWay.Wait()
	current.Store("address", servers[1].Listener.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	var leaving sync.WaitGroup
	leaving.Go(func() { _ = servers[0].Config.Shutdown(ctx) }) // which says so with a GOAWAY
	for n := range 70 {                                        // some reach the old one before it says that it leaves
		start(20 + n)
	}
	close(leave)
	all.Wait()
	cancel()
	leaving.Wait()
	assert.Len(t, processed, 80)
	for id, times := range processed {
		assert.Equal(t, 1, times, id)
	}
}

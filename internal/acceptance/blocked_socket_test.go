package acceptance_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// The same over sockets, where net/http's transport is in between: hooks of a
// caller's, a body that is sent, and connections of a user's own dialer.
func TestWhateverBlocksOverASocketEachCallIsBackInTime(t *testing.T) {
	type row struct {
		named   string
		context func(ctx context.Context, b *blocker) context.Context
		options func(b *blocker) []emporix.Option
		body    func(b *blocker) io.Reader
	}
	trace := func(set func(*httptrace.ClientTrace, *blocker)) row {
		return row{named: "trace", context: func(ctx context.Context, b *blocker) context.Context {
			hooks := new(httptrace.ClientTrace)
			set(hooks, b)
			return httptrace.WithClientTrace(ctx, hooks)
		}}
	}
	dialer := func(block blockedConn) row {
		return row{named: "the transport", options: func(b *blocker) []emporix.Option {
			return []emporix.Option{emporix.WithTransport(&http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if block.dial {
					b.here()
				}
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				blocked := block
				blocked.Conn, blocked.b = conn, b
				return &blocked, nil
			}, DisableKeepAlives: true})}
		}}
	}
	for name, r := range map[string]row{
		"trace/GetConn": trace(func(h *httptrace.ClientTrace, b *blocker) { h.GetConn = func(string) { b.here() } }),
		"trace/GotConn": trace(func(h *httptrace.ClientTrace, b *blocker) { h.GotConn = func(httptrace.GotConnInfo) { b.here() } }),
		"trace/WroteRequest": trace(func(h *httptrace.ClientTrace, b *blocker) {
			h.WroteRequest = func(httptrace.WroteRequestInfo) { b.here() }
		}),
		"dialer/Dial":  dialer(blockedConn{dial: true}),
		"dialer/Read":  dialer(blockedConn{read: true}),
		"dialer/Write": dialer(blockedConn{write: true}),
		"dialer/Close": dialer(blockedConn{close: true}),
		"request body/Read": {named: "the ", body: func(b *blocker) io.Reader {
			return &blockedBody{io.NopCloser(strings.NewReader("{}")), b}
		}},
		"request body/Close": {named: "the ", body: func(b *blocker) io.Reader { return blockedClose{strings.NewReader("{}"), b} }},
	} {
		for _, method := range []string{"Customers.Get", "Addresses.Add", "Auth.Refresh", "HTTPClient.Do"} {
			if r.body != nil && method != "HTTPClient.Do" {
				continue
			}
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				b := &blocker{release: make(chan struct{})}
				defer close(b.release)
				fake := emporixtest.New(t, emporixtest.WithSocket())
				fake.AddCustomer(t, emporixtest.Customer{Email: fixture.Jo.Email, Password: fixture.Jo.Password})
				b.url = fake.URL()
				cfg := fake.Server().Config()
				options := []emporix.Option{emporix.WithBaseURL(fake.URL())}
				if r.options != nil {
					options = append(options, r.options(b)...)
				}
				client, err := emporix.NewClient(cfg.Tenant, cfg.ClientID, options...)
				require.NoError(t, err)
				_, err = client.Session("jo").Auth.Login(t.Context(), fixture.Jo)
				require.NoError(t, err)
				b.armed.Store(true)

				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				if r.context != nil {
					ctx = r.context(ctx, b)
				}
				s, began := client.Session("jo"), time.Now()
				switch method {
				case "Customers.Get":
					_, err = s.Customers.Get(ctx)
				case "Addresses.Add":
					_, err = s.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo"})
				case "Auth.Refresh":
					_, err = s.Auth.Refresh(ctx)
				default:
					other(ctx, t, s, foreign{body: r.body}, b)
				}
				took := time.Since(began)
				assert.Less(t, took, deadline+socketSlack, "the call: %v", err)
				closing, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				began = time.Now()
				_ = client.Close(closing)
				assert.Less(t, time.Since(began), deadline+socketSlack, "Close")
			})
		}
	}
}

// socketSlack is in real time, on a machine that does other things as well.
const socketSlack = 2 * time.Second

// blockedConn is a connection that blocks.
type blockedConn struct {
	net.Conn
	b                        *blocker
	dial, read, write, close bool
}

func (c *blockedConn) Read(p []byte) (int, error) {
	if c.read {
		c.b.here()
	}
	return c.Conn.Read(p)
}

func (c *blockedConn) Write(p []byte) (int, error) {
	if c.write {
		c.b.here()
	}
	return c.Conn.Write(p)
}

func (c *blockedConn) Close() error {
	if c.close {
		c.b.here()
	}
	return c.Conn.Close()
}

package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// Values that nobody but the server may see.
const (
	bearer  = "bearer-CANARY-1"
	query   = "query CANARY/2+?"
	path    = "path-CANARY-3"
	header  = "header-CANARY-4"
	body    = "body-CANARY-5"
	granted = "granted-CANARY-6" // in answers
)

var canaries = []string{"CANARY"}

func pipeline(t *testing.T, base string, change ...func(*transport.Config)) *transport.Pipeline {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	network := transport.NewNetwork()
	t.Cleanup(network.CloseIdleConnections)
	cfg := transport.Config{
		BaseURL: u, Tenant: "acme", UserAgent: "test", Base: network,
		MaxAttempts: 3, MaxRetryAfter: 30 * time.Second, AttemptTimeout: 5 * time.Second,
	}
	for _, c := range change {
		c(&cfg)
	}
	return transport.New(cfg)
}

// patient is for large answers: a busy machine reads them slowly.
func patient(c *transport.Config) { c.AttemptTimeout = 5 * time.Minute }

type secretQuery struct {
	Code         string `url:"code,omitempty"`
	CodeVerifier string `url:"code_verifier,omitempty"`
	Refresh      string `url:"refresh_token,omitempty"`
	Customer     string `url:"refreshToken,omitempty"`
	Access       string `url:"accessToken,omitempty"`
	Subject      string `url:"subjectAccessToken,omitempty"`
	Plain        string `url:"plain"`
}

// call is a call and what it is sent with.
type call struct {
	transport.Call
	transport.Authorization
}

// send prepares a call and sends it.
func send(ctx context.Context, p *transport.Pipeline, c call) (*transport.Response, error) {
	prepared, err := p.Prepare(c.Call)
	if err != nil {
		return nil, err
	}
	return p.Send(ctx, prepared, c.Authorization)
}

// callOf is a call of the operation with a canary wherever a secret goes.
func callOf(op *operation.Operation) call {
	call := call{transport.Call{Op: op}, transport.Authorization{Bearer: secret.New("Bearer " + bearer)}}
	q := secretQuery{Plain: "shown"}
	values := map[string]*string{
		"code": &q.Code, "code_verifier": &q.CodeVerifier, "refresh_token": &q.Refresh,
		"refreshToken": &q.Customer, "accessToken": &q.Access, "subjectAccessToken": &q.Subject,
	}
	hidden := map[string]bool{}
	for _, s := range op.Secrets {
		place, name, _ := strings.Cut(s, ":")
		switch place {
		case "query":
			*values[name] = query
		case "header":
			call.SessionID = header
		case "path":
			hidden[name] = true
		case "body":
			call.Hidden = []secret.Secret{secret.New(body)}
		}
	}
	call.Query = q
	for _, part := range strings.Split(op.Path, "/") {
		switch name := strings.Trim(part, "{}"); {
		case name == part, name == "tenant":
		case hidden[name]:
			call.Path = append(call.Path, path)
		default:
			call.Path = append(call.Path, "id1")
		}
	}
	switch op {
	case operation.AuthSocialLogin, operation.AuthExchangeToken, operation.AddressesAddTags:
		return call // they post nothing but a query
	}
	if op.Method == http.MethodPost || op.Method == http.MethodPatch {
		call.Body, call.ContentType = []byte(`{"secret":"`+body+`"}`), "application/json"
	}
	return call
}

func everyOperation() []*operation.Operation {
	return append(operation.All(), operation.OAuthToken)
}

// stage is when a double cuts the connection.
type stage int

const (
	never       stage = iota
	atFirstByte       // before the request is read
	afterHeaders
	afterBody // the request is processed, and no response begins
	amidStatus
	amidHeaders
	amidBody
)

var stages = map[string]stage{
	"at the first byte": atFirstByte, "after the headers": afterHeaders, "after the body": afterBody,
	"amid the status line": amidStatus, "amid the response's headers": amidHeaders, "amid the response's body": amidBody,
}

// double is a server on a real socket that cuts connections and counts.
type double struct {
	url      string
	listener net.Listener

	mu    sync.Mutex
	cuts  []stage // for the requests to come; then never
	seen  int     // requests of which at least one byte came
	raw   []string
	conns map[net.Conn]bool
	wait  sync.WaitGroup
}

func newDouble(t *testing.T) *double {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveDouble(t, "http", listener)
}

// newSecureDouble is newDouble over TLS, and HTTP/1 all the same.
func newSecureDouble(t *testing.T) *double {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified().TLS.Certificates, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	return serveDouble(t, "https", listener)
}

func serveDouble(t *testing.T, scheme string, listener net.Listener) *double {
	t.Helper()
	d := &double{url: scheme + "://" + listener.Addr().String(), listener: listener, conns: map[net.Conn]bool{}}
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
	t.Cleanup(func() {
		_ = listener.Close()
		d.mu.Lock()
		for conn := range d.conns {
			_ = conn.Close()
		}
		d.mu.Unlock()
		d.wait.Wait()
	})
	return d
}

// arm plans the cuts of the next requests and starts counting anew.
func (d *double) arm(cuts ...stage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cuts, d.seen, d.raw = cuts, 0, nil
}

func (d *double) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen
}

func (d *double) next() stage {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen++
	if len(d.cuts) == 0 {
		return never
	}
	cut := d.cuts[0]
	d.cuts = d.cuts[1:]
	return cut
}

func (d *double) serve(conn net.Conn) {
	defer conn.Close()
	var raw strings.Builder
	in := bufio.NewReader(io.TeeReader(conn, &raw))
	for {
		raw.Reset()
		if _, err := in.Peek(1); err != nil {
			return
		}
		cut := d.next()
		if cut == atFirstByte {
			return
		}
		req, err := http.ReadRequest(in)
		if err != nil || cut == afterHeaders {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		d.mu.Lock()
		d.raw = append(d.raw, raw.String())
		d.mu.Unlock()
		answer := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"answer\":true}"
		if n, partial := map[stage]int{afterBody: 0, amidStatus: 8, amidHeaders: 40, amidBody: len(answer) - 6}[cut]; partial {
			_, _ = io.WriteString(conn, answer[:n])
			return
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

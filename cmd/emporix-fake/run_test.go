package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// start runs the command until the test ends, and answers its base URL.
func start(t *testing.T, args ...string) (baseURL string, stdout *bytes.Buffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "addr")
	stdout = &bytes.Buffer{}
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"-addr", "127.0.0.1:0", "-addr-file", file}, args...), stdout, &stderr)
	}()
	stop = func() int {
		cancel()
		return <-ended
	}
	return awaitFile(t, file, func() bool { return len(ended) > 0 }), stdout, stop
}

func awaitFile(t *testing.T, file string, ended func() bool) string {
	t.Helper()
	var content string
	require.Eventually(t, func() bool {
		raw, err := os.ReadFile(file)
		content = strings.TrimSpace(string(raw))
		return err == nil || ended()
	}, 20*time.Second, 2*time.Millisecond)
	require.NotEmpty(t, content, "the command ended before it listened")
	return content
}

func get(t *testing.T, url string, into any) int {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if into != nil {
		require.NoError(t, json.Unmarshal(raw, into), string(raw))
	}
	return resp.StatusCode
}

func TestServesAndEnds(t *testing.T) {
	baseURL, stdout, stop := start(t, "-tenant", "demo", "-client-id", "shop", "-backend-secret", "it's one", "-anonymous-life", "10s")
	var token struct {
		ExpiresIn int `json:"expires_in"`
	}
	assert.Equal(t, 200, get(t, baseURL+"/customerlogin/auth/anonymous/login?tenant=demo&client_id=shop", &token))
	assert.Equal(t, 10, token.ExpiresIn)
	assert.Equal(t, 404, get(t, baseURL+"/", nil))
	assert.Equal(t, exitOK, stop())

	printed := stdout.String()
	for _, line := range []string{
		"export EMPORIX_API_HOST=" + baseURL, "export EMPORIX_TENANT=demo",
		"export EMPORIX_API_CREDENTIALS_STOREFRONT_CLIENT_ID=shop", "export EMPORIX_API_CREDENTIALS_BACKEND_CLIENT_ID=backend",
		`export EMPORIX_API_CREDENTIALS_BACKEND_SECRET='it'\''s one'`, "Control interface:  " + baseURL + "/__fake/",
	} {
		assert.Contains(t, printed, line)
	}
	_, err := http.Get(baseURL)
	assert.Error(t, err, "it should not listen any more")
}

func TestAssumptionFlags(t *testing.T) {
	baseURL, _, stop := start(t, "-activation-needed=false", "-double-opt-in", "-rotation-grace", "30s", "-stale-version-status", "412")
	var rows []struct{ Name, Value string }
	get(t, baseURL+"/__fake/assumptions", &rows)
	values := map[string]string{}
	for _, row := range rows {
		values[row.Name] = row.Value
	}
	assert.Equal(t, "false", values["activation-needed"])
	assert.Equal(t, "true", values["double-opt-in"])
	assert.Equal(t, "30s", values["rotation-grace"])
	assert.Equal(t, "412", values["stale-version-status"])
	assert.Equal(t, exitOK, stop())
}

func TestSeed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.json")
	require.NoError(t, os.WriteFile(file, []byte(`{
		"customers": [{"email": "jo@example.com", "password": "correct horse", "addresses": [{"contactName": "Jo"}]}],
		"companies": [{"id": "D1", "name": "Emporix", "contacts": [{"email": "jo@example.com"}]}]
	}`), 0o600))
	baseURL, stdout, stop := start(t, "-seed", file)
	resp, err := http.Post(baseURL+"/__fake/customers", "application/json", strings.NewReader(`{"email":"JO@example.com"}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, 400, resp.StatusCode, "she should be there already")
	assert.Equal(t, exitOK, stop())
	assert.Contains(t, stdout.String(), "1 from the seed")
}

// A login works at once, with what the start output names, unless the fake is told to
// start empty.
func TestTheCustomerOfTheStartOutput(t *testing.T) {
	login := func(baseURL string) int {
		var token struct {
			AccessToken string `json:"access_token"`
		}
		get(t, baseURL+"/customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront", &token)
		req, err := http.NewRequest(http.MethodPost, baseURL+"/customer/acme/login", strings.NewReader(`{"email":"jo@example.com","password":"P@ssw0rd123"}`))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token.AccessToken)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	baseURL, stdout, stop := start(t)
	assert.Equal(t, 200, login(baseURL))
	assert.Equal(t, exitOK, stop())
	assert.Contains(t, stdout.String(), "jo@example.com, password P@ssw0rd123")

	baseURL, stdout, stop = start(t, "-empty")
	assert.Equal(t, 401, login(baseURL))
	assert.Equal(t, exitOK, stop())
	assert.Contains(t, stdout.String(), "Customers:          none")
}

func TestRefusals(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	dir := t.TempDir()
	seed := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for name, tc := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"unknown flag":     {[]string{"-nope"}, exitUsage, "-nope"},
		"extra argument":   {[]string{"serve"}, exitUsage, `"serve"`},
		"bad lifetime":     {[]string{"-customer-life", "soon"}, exitUsage, "at least 1s"},
		"short lifetime":   {[]string{"-customer-life", "0s"}, exitUsage, "at least 1s"},
		"long lifetime":    {[]string{"-customer-life", "2147483648s"}, exitUsage, "at most 596523h14m7s"},
		"bad switch":       {[]string{"-double-opt-in=maybe"}, exitUsage, "true or false"},
		"bad status":       {[]string{"-stale-version-status", "200"}, exitUsage, "400 to 499"},
		"bad tenant":       {[]string{"-tenant", "Acme"}, exitUsage, "lower-case"},
		"empty ID":         {[]string{"-backend-client-id="}, exitUsage, "-backend-client-id is empty"},
		"certificate only": {[]string{"-tls-cert", "x"}, exitUsage, "-tls-cert and -tls-key go together"},
		"two certificates": {[]string{"-tls-self-signed", "-tls-cert", "x", "-tls-key", "x"}, exitUsage, "exclude each other"},
		"no certificate":   {[]string{"-addr", "127.0.0.1:0", "-tls-cert", filepath.Join(dir, "none"), "-tls-key", filepath.Join(dir, "none")}, exitError, "read -tls-cert and -tls-key"},
		"control host":     {[]string{"-control-host", "http://fake"}, exitUsage, "the name of a host"},
		"empty and seeded": {[]string{"-empty", "-seed", "none.json"}, exitUsage, "-empty and -seed exclude each other"},
		"help":             {[]string{"-h"}, exitOK, "-addr-file"},
		"busy port":        {[]string{"-addr", busy.Addr().String()}, exitError, "listen on -addr"},
		"no such seed":     {[]string{"-seed", filepath.Join(dir, "none.json")}, exitError, "open -seed"},
		"seed of no JSON":  {[]string{"-seed", seed("a.json", "customers:")}, exitError, "read the seed"},
		"unknown member":   {[]string{"-seed", seed("b.json", `{"customers":[{"mail":"jo@example.com"}]}`)}, exitError, `customers[0] has no member "mail"`},
		"address member":   {[]string{"-seed", seed("e.json", `{"customers":[{"email":"a@b.c","addresses":[{"contactName":"A","steet":"B"}]}]}`)}, exitError, "addresses.steet is no member"},
		"customer refused": {[]string{"-seed", seed("c.json", `{"customers":[{"email":"a@b.c"},{"email":"A@b.c"}]}`)}, exitError, "customer 2 of the seed: the e-mail is in use"},
		"company refused":  {[]string{"-seed", seed("d.json", `{"companies":[{"id":"D1","contacts":[{"email":"x@y.z"}]}]}`)}, exitError, `no customer "x@y.z"`},
		"file unwritable":  {[]string{"-addr", "127.0.0.1:0", "-addr-file", filepath.Join(dir, "none", "addr")}, exitError, "-addr-file"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // what is not refused would serve
			defer cancel()
			assert.Equal(t, tc.status, run(ctx, tc.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), tc.says)
			if tc.status != exitOK {
				assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "one line, which nothing drowns")
			}
			assert.Empty(t, stdout.String())
		})
	}
}

// The real program, ended by real signals, also while a request hangs.
func TestSignals(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "emporix-fake")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "addr")
			var stdout bytes.Buffer
			cmd := exec.Command(binary, "-addr", "127.0.0.1:0", "-addr-file", file)
			cmd.Stdout = &stdout
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			baseURL := awaitFile(t, file, func() bool { return false })

			resp, err := http.Post(baseURL+"/__fake/faults", "application/json", strings.NewReader(`{"delay":"1h"}`))
			require.NoError(t, err)
			resp.Body.Close()
			hung := make(chan error, 1)
			go func() {
				resp, err := http.Get(baseURL + "/customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront")
				if err == nil {
					resp.Body.Close()
				}
				hung <- err
			}()
			require.Eventually(t, func() bool {
				var coverage struct{ Operations []struct{ Calls int } }
				get(t, baseURL+"/__fake/coverage", &coverage)
				return coverage.Operations[0].Calls == 1
			}, 20*time.Second, 2*time.Millisecond)

			require.NoError(t, cmd.Process.Signal(sig))
			require.NoError(t, cmd.Wait(), "it should end with status 0")
			assert.Error(t, <-hung)
			assert.Contains(t, stdout.String(), "stopped")
			assert.NoFileExists(t, file)
		})
	}
}

// net/http would answer it by itself, with 200.
func TestServerOptionsAreNoOperation(t *testing.T) {
	baseURL, _, stop := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(baseURL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: fake\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 404 ")
	assert.Equal(t, exitOK, stop())
}

// A second fake may have been started with the same file.
func TestAddressFileOfAnother(t *testing.T) {
	file := filepath.Join(t.TempDir(), "addr")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-addr-file", file}, io.Discard, io.Discard)
	}()
	awaitFile(t, file, func() bool { return len(ended) > 0 })
	require.NoError(t, os.WriteFile(file, []byte("http://127.0.0.1:1\n"), 0o600))
	cancel()
	assert.Equal(t, exitOK, <-ended)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "http://127.0.0.1:1\n", string(content))
}

// An upload that stalls does not hold up the end.
func TestStalledUploadDoesNotHoldUpTheEnd(t *testing.T) {
	baseURL, _, stop := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(baseURL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	// 100 Continue says that the fake is reading.
	_, err = io.WriteString(conn, "POST /customer/acme/login HTTP/1.1\r\nHost: fake\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	reading := make([]byte, len("HTTP/1.1 100"))
	_, err = io.ReadFull(conn, reading)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100", string(reading))
	began := time.Now()
	assert.Equal(t, exitOK, stop())
	assert.Less(t, time.Since(began), shutdownTime)
}

// oneConn is a listener with a connection in memory, whose deadlines keep to
// virtual time.
type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l oneConn) Close() error   { close(l.closed); return nil }
func (l oneConn) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// A connection ends whose headers do not arrive, or that is not used.
func TestConnectionsEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		sent   string
		after  time.Duration
		answer string
	}{
		"stalled header":    {"GET / HTTP/1.1\r\nHost: fake\r\n", 10 * time.Second, ""},
		"idle":              {"GET / HTTP/1.1\r\nHost: fake\r\n\r\n", 2 * time.Minute, "HTTP/1.1 404 "},
		"stalled body":      {"POST /customer/acme/login HTTP/1.1\r\nHost: fake\r\nContent-Length: 9\r\n\r\n", 30 * time.Second, "HTTP/1.1 401 "},
		"too large headers": {"GET / HTTP/1.1\r\nHost: fake\r\nX: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", 500 * time.Millisecond, "HTTP/1.1 431 "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := oneConn{make(chan net.Conn, 1), make(chan struct{})}
				server := newServer(newUploads(emporixfake.New(emporixfake.Config{})))
				go func() { _ = server.Serve(listener) }()
				defer server.Close()
				ours, theirs := net.Pipe()
				defer ours.Close()
				listener.conns <- theirs
				began := time.Now()
				go func() { _, _ = io.WriteString(ours, tc.sent) }()
				answer, err := io.ReadAll(ours)
				require.NoError(t, err)
				assert.True(t, strings.HasPrefix(string(answer), tc.answer), string(answer))
				assert.LessOrEqual(t, time.Since(began), tc.after+time.Second) // net/http lingers for a moment
			})
		})
	}
}

func TestPrintsAndEnds(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitOK, run(t.Context(), []string{"-version"}, &stdout, &stderr))
	assert.Regexp(t, `^emporix-fake \S`, stdout.String())
	stdout.Reset()
	assert.Equal(t, exitOK, run(t.Context(), []string{"-sample-seed"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())

	// The sample is one that -seed takes.
	file := filepath.Join(t.TempDir(), "seed.json")
	require.NoError(t, os.WriteFile(file, stdout.Bytes(), 0o600))
	baseURL, _, stop := start(t, "-seed", file)
	var customers []struct{ Email string }
	assert.Equal(t, 200, get(t, baseURL+"/__fake/customers", &customers))
	assert.Len(t, customers, 3)
	assert.Equal(t, exitOK, stop())
}

// The certificate that is printed is what a client has to trust, also under a name of
// -control-host.
func TestServesHTTPS(t *testing.T) {
	baseURL, stdout, stop := start(t, "-tls-self-signed", "-control-host", "emporix-fake")
	require.True(t, strings.HasPrefix(baseURL, "https://127.0.0.1:"), baseURL)
	trust := func(pem []byte, name string) *http.Client {
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(pem))
		dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(baseURL, "https://"))
		}
		return &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}}}
	}
	_, err := http.Get(baseURL + "/__fake/health")
	require.Error(t, err, "it is not trusted without")
	assert.Equal(t, exitOK, stop())
	at := strings.Index(stdout.String(), "-----BEGIN CERTIFICATE-----")
	require.Positive(t, at, "the certificate is printed")
	trust([]byte(stdout.String()[at:]), "localhost")

	// Own files, and the name of a container.
	certificate, _, err := selfSigned([]string{"emporix-fake"})
	require.NoError(t, err)
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	baseURL, _, stop = start(t, "-tls-cert", certFile, "-tls-key", keyFile, "-control-host", "emporix-fake")
	client := trust(certPEM, "emporix-fake")
	for host, want := range map[string]int{"emporix-fake": 200, "127.0.0.1": 200, "another": 403} {
		req, err := http.NewRequest(http.MethodGet, "https://emporix-fake/__fake/health", nil)
		require.NoError(t, err)
		req.Host = host
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, want, resp.StatusCode, host)
	}
	client.CloseIdleConnections()
	assert.Equal(t, exitOK, stop())
}

func TestServesAnyTenant(t *testing.T) {
	baseURL, stdout, stop := start(t, "-any-tenant")
	for _, tenant := range []string{"worker1", "worker2"} {
		assert.Equal(t, 200, get(t, baseURL+"/customerlogin/auth/anonymous/login?client_id=storefront&tenant="+tenant, nil))
		assert.Equal(t, 200, get(t, baseURL+"/__fake/tenants/"+tenant+"/health", nil))
	}
	var listed struct{ Tenants []string }
	assert.Equal(t, 200, get(t, baseURL+"/__fake/tenants", &listed))
	assert.Equal(t, []string{"acme", "worker1", "worker2"}, listed.Tenants)
	assert.Equal(t, exitOK, stop())
	assert.Contains(t, stdout.String(), baseURL+"/__fake/tenants/acme/outbox")
	assert.Contains(t, stdout.String(), "BACKEND_CLIENT_ID=acme-backend")
}

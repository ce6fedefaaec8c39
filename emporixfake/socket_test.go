package emporixfake_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sendRaw writes bytes to the fake over a socket, says that no more will come,
// and answers the status and the body of what comes back.
func sendRaw(t *testing.T, c client, raw string) (int, string) {
	t.Helper()
	server := httptest.NewServer(c.fake)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, raw)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// What arrived of a request that broke off may be valid by itself.
func TestBrokenOffBodyIsNotExecuted(t *testing.T) {
	const signUp = `{"email":"cut@example.com","password":"correct horse"}`
	for name, framing := range map[string]string{
		"length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(signUp)+20, signUp),
		"chunks": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(signUp), signUp),
	} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t)
			guest, _ := c.visitor()
			status, body := sendRaw(t, c, "POST /customer/acme/signup HTTP/1.1\r\nHost: fake\r\nAuthorization: Bearer "+guest.bearer+
				"\r\nContent-Type: application/json\r\n"+framing)
			assert.Equal(t, 400, status, body)
			assert.Contains(t, body, "invalid_json")
			guest.must(201, "POST", "/customer/acme/signup", signUp)
		})
	}
	const form = "grant_type=client_credentials&client_id=backend&client_secret=backend-secret-for-tests"
	status, body := sendRaw(t, newFake(t), fmt.Sprintf("POST /oauth/token HTTP/1.1\r\nHost: fake\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form)+5, form))
	assert.Equal(t, 400, status, body)
	assert.Contains(t, body, "invalid_request")
}

// A web page in the browser of whoever runs the fake must not read its mails.
func TestControlIsNotForWebPages(t *testing.T) {
	c := newFake(t)
	server := httptest.NewServer(c.fake)
	defer server.Close()
	own := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(own)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		host, origin string
		status       int
	}{
		"its address":           {own, "", 200},
		"localhost":             {"localhost:" + port, "", 200},
		"IPv6":                  {"[::1]:" + port, "", 200},
		"its own origin":        {own, "http://" + own, 200},
		"a page elsewhere":      {own, "https://evil.example", 403},
		"a page of another app": {own, "http://localhost:3000", 403},
		"a file or a sandbox":   {own, "null", 403},
		"a name for loopback":   {"evil.example:" + port, "", 403},
		"a page with that name": {"evil.example:" + port, "http://evil.example:" + port, 403},
		"another address":       {"192.0.2.1:" + port, "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "DELETE"} {
				r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/__fake/faults", nil)
				require.NoError(t, err)
				r.Host = tc.host
				if tc.origin != "" {
					r.Header.Set("Origin", tc.origin)
				}
				resp, err := http.DefaultClient.Do(r)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, tc.status, resp.StatusCode)
				if tc.status == 403 {
					assert.Contains(t, string(body), "the control interface ")
				}
			}
		})
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+anonymousPath+"login?tenant=acme&client_id=storefront", nil)
	require.NoError(t, err)
	r.Host = "api.shop.example"
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 200, resp.StatusCode, "the API itself has any name")
}

// The address that it listens on is its own, loopback or not.
func TestControlUnderTheListeningAddress(t *testing.T) {
	c := newFake(t)
	for host, status := range map[string]int{"192.0.2.7:80": 200, "192.0.2.8:80": 403} {
		r := httptest.NewRequest("GET", "/__fake/health", nil)
		r.Host = host
		listening := &net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 80}
		w := httptest.NewRecorder()
		c.fake.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, listening)))
		assert.Equal(t, status, w.Code, host)
	}
}

package emporixfake_test

import (
	"bufio"
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

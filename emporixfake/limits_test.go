package emporixfake_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// pipes is a listener whose connections are in memory, so that their deadlines
// keep to virtual time.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// dialPipe serves the fake without limits of the server's own, and connects.
func dialPipe(t *testing.T, fake http.Handler) net.Conn {
	t.Helper()
	listener := pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: fake, ReadHeaderTimeout: time.Hour}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	ours, theirs := net.Pipe()
	t.Cleanup(func() {
		_ = ours.Close()
		_ = server.Close()
		assert.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	listener.accepted <- theirs
	return ours
}

// A body that stops arriving costs its connection after 30 seconds, wherever it
// was sent to.
func TestStalledBodiesEnd(t *testing.T) {
	for target, status := range map[string]int{
		"POST /customer/acme/login": 401, "POST /oauth/token": 400, "POST /__fake/clock": 400, "POST /nothing": 404,
		"POST /customer/acme/me/addresses/1/tags?tags=A": 401, "DELETE /customer/acme/me/addresses/1": 401, "OPTIONS /customer/acme/me": 404,
	} {
		for name, framing := range map[string]string{
			"length":       "Content-Length: 100\r\n\r\n{",
			"chunks":       "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
			"large length": fmt.Sprintf("Content-Length: 1000000\r\n\r\n%s", strings.Repeat(" ", 500_000)),
		} {
			t.Run(target+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn := dialPipe(t, newFake(t).fake)
					began := time.Now()
					go func() {
						_, _ = io.WriteString(conn, target+" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"+framing)
					}()
					answer, err := io.ReadAll(conn) // until the connection ends
					require.NoError(t, err)
					assert.Contains(t, string(answer), fmt.Sprintf("HTTP/1.1 %d ", status))
					assert.LessOrEqual(t, time.Since(began), 31*time.Second)
				})
			})
		}
	}
}

// A fault may delay an answer for longer than a body may take.
func TestDelaysOutliveTheLimitOfBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFake(t)
		require.NoError(t, c.fake.Fail(emporixfake.Fault{Operation: "Auth.Login", Delay: time.Hour}))
		guest, _ := c.visitor()
		conn := dialPipe(t, c.fake)
		began := time.Now()
		body := `{"email":"jo@example.com","password":"correct horse"}`
		_, err := fmt.Fprintf(conn, "POST /customer/acme/login HTTP/1.1\r\nHost: fake\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			guest.bearer, len(body), body)
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		resp, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		assert.Equal(t, 401, resp.StatusCode)
		assert.Equal(t, time.Hour, time.Since(began))

		time.Sleep(time.Minute) // the connection can be used again, later
		_, err = io.WriteString(conn, "GET /customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront HTTP/1.1\r\nHost: fake\r\n\r\n")
		require.NoError(t, err)
		resp, err = http.ReadResponse(reader, nil)
		require.NoError(t, err)
		assert.Equal(t, 200, resp.StatusCode)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
	})
}

// Who does not take an answer loses the connection after a minute.
func TestAnswersThatAreNotTakenEnd(t *testing.T) {
	for name, fault := range map[string]emporixfake.Fault{"a huge one": {Body: emporixfake.BodyHuge}, "an ordinary one": {}} {
		for wait, taken := range map[time.Duration]bool{59 * time.Second: true, 61 * time.Second: false} {
			t.Run(fmt.Sprint(name, wait), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newFake(t)
					require.NoError(t, c.fake.Fail(fault))
					conn := dialPipe(t, c.fake)
					_, err := io.WriteString(conn, "GET /customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront HTTP/1.1\r\nHost: fake\r\nConnection: close\r\n\r\n")
					require.NoError(t, err)
					time.Sleep(wait)
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if !taken {
						require.Error(t, err)
						return
					}
					require.NoError(t, err)
					n, err := io.Copy(io.Discard, resp.Body)
					require.NoError(t, err)
					assert.Equal(t, resp.ContentLength, n)
				})
			})
		}
	}
}

// endless is a body that has some bytes and then none until it is released.
type endless struct {
	left    int
	release chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	select {
	case <-e.release:
		e.left = 0
	default:
	}
	if e.left == 0 {
		<-e.release
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), e.left)
	e.left -= n
	return n, nil
}

// 60 uploads of 9 MiB that stall once held 1 GiB.
func TestManyLargeBodiesHoldLittleMemory(t *testing.T) {
	for _, target := range []string{"/customer/acme/login", "/oauth/token", "/__fake/customers"} {
		synctest.Test(t, func(t *testing.T) {
			c := newFake(t)
			release := make(chan struct{})
			ended := make(chan int)
			held := func() uint64 {
				var stats runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&stats)
				return stats.HeapAlloc
			}
			before := held()
			for range 60 {
				go func() {
					r := httptest.NewRequest("POST", target, &endless{9 << 20, release})
					r.Header.Set("Content-Type", "application/json")
					w := httptest.NewRecorder()
					c.fake.ServeHTTP(w, r)
					ended <- w.Code
				}()
			}
			synctest.Wait()
			assert.Less(t, int64(held()-before), int64(160<<20), target)
			close(release)
			for range 60 {
				assert.Contains(t, []int{400, 401}, <-ended)
			}
		})
	}
}

// One that waits for its place does not wait for ever.
func TestALargeBodyWaitsForItsPlaceForLimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFake(t)
		release := make(chan struct{})
		send := func(body io.Reader) (status int) {
			r := httptest.NewRequest("POST", "/__fake/customers", body)
			w := httptest.NewRecorder()
			c.fake.ServeHTTP(w, r)
			return w.Code
		}
		ended := make(chan int)
		for range 4 {
			go func() { ended <- send(&endless{1 << 20, release}) }()
		}
		synctest.Wait()
		began := time.Now()
		large := fmt.Sprintf(`{"email":"jo@example.com"%s}`, strings.Repeat(" ", 1<<20))
		assert.Equal(t, 400, send(strings.NewReader(large)))
		assert.Equal(t, 30*time.Second, time.Since(began))
		assert.Equal(t, 200, send(strings.NewReader(`{"email":"jo@example.com"}`)), "a small one needs no place")
		close(release)
		for range 4 {
			assert.Equal(t, 400, <-ended)
		}
		assert.Equal(t, 200, send(strings.NewReader(strings.Replace(large, "jo@", "joe@", 1))), "the places are free again")
	})
}

func TestLargeHeaders(t *testing.T) {
	c := newFake(t)
	login := anonymousPath + "login?tenant=acme&client_id=storefront"
	c.must(200, "GET", login, nil, "X-Large", strings.Repeat("a", 59<<10))
	got := c.must(431, "GET", login, nil, "X-Large", strings.Repeat("a", 60<<10))
	assert.NotEmpty(t, got.text("message"))
	assert.Equal(t, 1, c.fake.Calls("Auth.StartAnonymous"))
}

// What arrived of a large body that broke off may be valid by itself, and one
// without a byte is no empty body.
func TestLargeAndEmptyBodiesThatBreakOff(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	guest, _ := c.visitor()
	send := func(c client, method, path, body string) int {
		r := httptest.NewRequest(method, path, io.MultiReader(strings.NewReader(body), iotest.ErrReader(io.ErrUnexpectedEOF)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+c.bearer)
		w := httptest.NewRecorder()
		c.fake.ServeHTTP(w, r)
		return w.Code
	}
	signUp := `{"email":"new@example.com","password":"a password"}` + strings.Repeat(" ", 300<<10)
	assert.Equal(t, 400, send(guest, "POST", "/customer/acme/signup", signUp))
	guest.must(201, "POST", "/customer/acme/signup", signUp)
	assert.Equal(t, 400, send(jo, "GET", "/customer/acme/me", ""))
}

// A caller that leaves waits for no place any more.
func TestALargeBodyLeavesWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFake(t)
		release := make(chan struct{})
		ended := make(chan struct{})
		for range 4 {
			go func() {
				c.fake.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/__fake/customers", &endless{1 << 20, release}))
				ended <- struct{}{}
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		r := httptest.NewRequestWithContext(ctx, "POST", "/__fake/customers", strings.NewReader(strings.Repeat(" ", 1<<20)))
		c.fake.ServeHTTP(httptest.NewRecorder(), r)
		assert.Equal(t, time.Second, time.Since(began))
		close(release)
		for range 4 {
			<-ended
		}
	})
}

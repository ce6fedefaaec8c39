// Package replicas_test tries the example shop as several processes behind HAProxy:
// the proxy's configuration before servers of the test's own, and the script that
// starts it all.
package replicas_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var example = filepath.Join("..", "..", "examples", "bff")

// need skips the test where a program is missing, unless all are required.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("EMPORIX_REQUIRE_ENGINES") == "1" {
				t.Fatalf("there is no %s on this machine, and EMPORIX_REQUIRE_ENGINES=1 wants one", program)
			}
			t.Skipf("nothing was tested: there is no %s on this machine", program)
		}
	}
}

// addresses returns n loopback addresses with ports in a row on which nothing
// listens.
func addresses(t *testing.T, n int) (addrs []string, port string) {
	t.Helper()
	for base := 21000 + os.Getpid()%20000; base < 60000; base += n {
		addrs = addrs[:0]
		for i := range n {
			addr := net.JoinHostPort("127.0.0.1", itoa(base+i))
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
			if err != nil {
				break
			}
			require.NoError(t, listener.Close())
			addrs = append(addrs, addr)
		}
		if len(addrs) == n {
			return addrs, itoa(base)
		}
	}
	require.Fail(t, "there are no free ports")
	return nil, ""
}

// proxy runs HAProxy with the example's configuration in front of three processes,
// and returns its URL. A nil handler is a process that does not run.
func proxy(t *testing.T, handlers [3]http.HandlerFunc, change ...string) string {
	t.Helper()
	need(t, "haproxy")
	addrs, _ := addresses(t, 4)
	env := append(os.Environ(), "SHOP="+addrs[0])
	for i, handler := range handlers {
		addr := addrs[i+1]
		if handler != nil {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/static/mark.svg" { // the proxy's check
					handler(w, r)
				}
			}))
			t.Cleanup(server.Close)
			addr = server.Listener.Addr().String()
		}
		env = append(env, "REPLICA_"+itoa(i+1)+"="+addr)
	}
	text, err := os.ReadFile(filepath.Join(example, "proxy", "haproxy.cfg"))
	require.NoError(t, err)
	config := strings.NewReplacer(change...).Replace(string(text))
	if len(change) > 0 {
		require.NotEqual(t, string(text), config)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	cmd := exec.Command("haproxy", "-db", "-f", file)
	cmd.Dir, cmd.Env = example, env
	var output strings.Builder
	cmd.Stderr = &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addrs[0])
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "HAProxy does not listen")
	return "http://" + addrs[0]
}

// ask sends a request with an X-Forwarded-For of its own.
func ask(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(""))
	require.NoError(t, err)
	req.Header.Set("X-Forwarded-For", "198.51.100.7")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	return resp, read(t, resp)
}

func TestTheProxyTakesTurnsAndSaysWhoAsks(t *testing.T) {
	var calls [3]atomic.Int64
	var host, forwarded atomic.Value
	var handlers [3]http.HandlerFunc
	for i := range handlers {
		handlers[i] = func(_ http.ResponseWriter, r *http.Request) {
			calls[i].Add(1)
			host.Store(r.Host)
			forwarded.Store(strings.Join(r.Header["X-Forwarded-For"], ", "))
		}
	}
	url := proxy(t, handlers)
	for range 9 {
		resp, _ := ask(t, http.MethodPost, url+"/account")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
	}
	for i := range calls {
		assert.EqualValues(t, 3, calls[i].Load())
	}
	assert.Equal(t, strings.TrimPrefix(url, "http://"), host.Load(), "the check of the origin compares with it")
	assert.Equal(t, "127.0.0.1", forwarded.Load(), "what the browser says of itself is dropped")
}

// A process that does not run, and one that dies over a request.
func TestAPageIsAskedForAgainAndAFormIsNot(t *testing.T) {
	var died, lived atomic.Int64
	die := func(http.ResponseWriter, *http.Request) { died.Add(1); panic(http.ErrAbortHandler) }
	live := func(http.ResponseWriter, *http.Request) { lived.Add(1) }
	url := proxy(t, [3]http.HandlerFunc{nil, live, live})
	for range 6 {
		resp, _ := ask(t, http.MethodPost, url+"/account")
		assert.Equal(t, http.StatusOK, resp.StatusCode, "nothing had been sent to the process that does not run")
	}
	assert.EqualValues(t, 6, lived.Load())

	lived.Store(0)
	url = proxy(t, [3]http.HandlerFunc{die, live, live})
	for range 6 {
		resp, _ := ask(t, http.MethodGet, url+"/account")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
	}
	assert.NotZero(t, died.Load())
	died.Store(0)
	lived.Store(0)
	unsure := int64(0)
	for range 6 {
		resp, page := ask(t, http.MethodPost, url+"/account")
		if resp.StatusCode == http.StatusBadGateway {
			unsure++
			assert.Contains(t, page, "look whether it is done before you try again")
		}
	}
	assert.EqualValues(t, 6, died.Load()+lived.Load(), "each form was sent once")
	assert.Equal(t, died.Load(), unsure)
	assert.NotZero(t, unsure)
}

func TestAProcessThatHangsIsGoneAround(t *testing.T) {
	hung, release := atomic.Int64{}, make(chan struct{})
	hang := func(http.ResponseWriter, *http.Request) { hung.Add(1); <-release }
	live := func(http.ResponseWriter, *http.Request) {}
	url := proxy(t, [3]http.HandlerFunc{hang, live, live}, "timeout server 13s", "timeout server 300ms")
	t.Cleanup(func() { close(release) }) // before the servers close, which wait for their handlers
	for range 6 {
		resp, _ := ask(t, http.MethodGet, url+"/account")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
	}
	assert.NotZero(t, hung.Load())
	hung.Store(0)
	late := int64(0)
	for range 6 {
		resp, page := ask(t, http.MethodPost, url+"/account")
		if resp.StatusCode == http.StatusGatewayTimeout {
			late++
			assert.Contains(t, page, "look whether it is done before you try again", "the process may wake up and do it")
		}
	}
	assert.Equal(t, hung.Load(), late, "each form was sent once")
	assert.NotZero(t, late)
}

func TestThereIsAPageWhenNoProcessRuns(t *testing.T) {
	url := proxy(t, [3]http.HandlerFunc{})
	for path, want := range map[string]string{"/account": "<h1>The shop is not available just now</h1>", "/api/account": `"code":"unavailable"`} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			resp, page := ask(t, method, url+path)
			assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
			assert.Contains(t, page, want)
			assert.NotEmpty(t, resp.Header.Get("Retry-After"))
			assert.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		}
	}
	resp, css := ask(t, http.MethodGet, url+"/static/shop.css")
	assert.Equal(t, http.StatusOK, resp.StatusCode, "the page has its looks")
	assert.Contains(t, resp.Header.Get("Content-Type"), "text/css")
	assert.NotEmpty(t, css)
}

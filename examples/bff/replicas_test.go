package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// frontOf puts a front before servers that count what reaches them.
func frontOf(t *testing.T, handlers ...http.HandlerFunc) (url string, f *front) {
	t.Helper()
	return impatientFront(t, time.Minute, handlers...)
}

// impatientFront waits no longer than patience for an answer.
func impatientFront(t *testing.T, patience time.Duration, handlers ...http.HandlerFunc) (url string, f *front) {
	t.Helper()
	f = newFront(len(handlers), patience)
	for i, handler := range handlers {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		addr := server.Listener.Addr().String()
		f.replicas[i].addr.Store(&addr)
	}
	server := httptest.NewServer(f.handler())
	t.Cleanup(server.Close)
	return server.URL, f
}

func ask(t *testing.T, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(""))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

func TestTheFrontTakesTurnsAndPassesTheHostOn(t *testing.T) {
	var calls [3]atomic.Int64
	var host atomic.Value
	handlers := make([]http.HandlerFunc, 3)
	for i := range handlers {
		handlers[i] = func(_ http.ResponseWriter, r *http.Request) { calls[i].Add(1); host.Store(r.Host) }
	}
	url, _ := frontOf(t, handlers...)
	for range 9 {
		require.Equal(t, http.StatusOK, ask(t, http.MethodPost, url))
	}
	for i := range calls {
		assert.EqualValues(t, 3, calls[i].Load())
	}
	assert.Equal(t, strings.TrimPrefix(url, "http://"), host.Load(), "the check of the origin compares with it")
}

func TestTheFrontGoesAroundAReplicaThatDoesNotListen(t *testing.T) {
	var calls atomic.Int64
	count := func(http.ResponseWriter, *http.Request) { calls.Add(1) }
	url, f := frontOf(t, count, count)
	gone, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := gone.Addr().String()
	require.NoError(t, gone.Close())
	f.replicas[0].addr.Store(&addr)
	for range 6 {
		require.Equal(t, http.StatusOK, ask(t, http.MethodPost, url))
	}
	f.replicas[0].addr.Store(nil)
	for range 6 {
		require.Equal(t, http.StatusOK, ask(t, http.MethodPost, url))
	}
	assert.EqualValues(t, 12, calls.Load())
	f.replicas[1].addr.Store(nil)
	assert.Equal(t, http.StatusServiceUnavailable, ask(t, http.MethodPost, url))
}

func TestTheFrontHasAPageOfItsOwnWhenNoReplicaIsThere(t *testing.T) {
	var reached atomic.Int64
	url, f := frontOf(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	f.replicas[0].addr.Store(nil)
	v := (&place{url: url}).visitor(t)
	for path, want := range map[string]string{"/account": "<h1>The shop is not available just now</h1>", "/api/account": `"code":"unavailable"`} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			got := v.send(method, path, "", "")
			assert.Equal(t, http.StatusServiceUnavailable, got.status)
			assert.Contains(t, got.body, want)
			assert.NotEmpty(t, got.header.Get("Retry-After"))
			assert.Equal(t, "no-store", got.header.Get("Cache-Control"))
			assert.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'")
		}
	}
	assert.Equal(t, http.StatusOK, v.get("/static/shop.css").status, "the page has its looks")
	assert.Zero(t, reached.Load())
}

func TestTheFrontAsksAgainForAPageAndNeverSendsAFormTwice(t *testing.T) {
	var died, lived atomic.Int64
	die := func(http.ResponseWriter, *http.Request) { died.Add(1); panic(http.ErrAbortHandler) }
	url, _ := frontOf(t, die, func(http.ResponseWriter, *http.Request) { lived.Add(1) })
	for range 4 {
		assert.Equal(t, http.StatusOK, ask(t, http.MethodGet, url))
	}
	died.Store(0)
	lived.Store(0)
	unsure := 0
	for range 4 {
		if ask(t, http.MethodPost, url) == http.StatusBadGateway {
			unsure++
		}
	}
	assert.EqualValues(t, 4, died.Load()+lived.Load())
	assert.EqualValues(t, died.Load(), unsure)
	assert.NotZero(t, unsure)
}

// hanging is a handler that answers only when the test ends, and counts.
func hanging(t *testing.T) (handler http.HandlerFunc, asked *atomic.Int64, release func()) {
	t.Helper()
	asked = new(atomic.Int64)
	end := make(chan struct{})
	return func(http.ResponseWriter, *http.Request) { asked.Add(1); <-end }, asked, sync.OnceFunc(func() { close(end) })
}

func TestAReplicaThatHangsIsWaitedForOnceAndThenLeftOut(t *testing.T) {
	hang, hung, release := hanging(t)
	var answered atomic.Int64
	answer := func(http.ResponseWriter, *http.Request) { answered.Add(1) }
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		hung.Store(0)
		answered.Store(0)
		url, _ := impatientFront(t, 500*time.Millisecond, answer, hang, answer)
		t.Cleanup(release) // before the servers close, which wait for their handlers
		for range 9 {
			assert.Equal(t, http.StatusOK, ask(t, method, url), method)
		}
		assert.EqualValues(t, 1, hung.Load(), method)
		assert.EqualValues(t, 9, answered.Load(), method)
	}
}

func TestAFormThatAReplicaHangsOverIsNotSentTwice(t *testing.T) {
	hang, hung, release := hanging(t)
	var answered atomic.Int64
	url, _ := impatientFront(t, 500*time.Millisecond, func(http.ResponseWriter, *http.Request) { answered.Add(1) }, hang)
	t.Cleanup(release)
	v := (&place{url: url}).visitor(t)
	got := v.post("/account/profile") // the second replica is the first to be asked
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Contains(t, got.body, "Please look whether it is done before you try again.", "the replica may wake up and do it")
	assert.Zero(t, answered.Load())
	for range 4 {
		assert.Equal(t, http.StatusOK, v.post("/account/profile").status)
	}
	assert.EqualValues(t, 4, answered.Load())
	assert.EqualValues(t, 1, hung.Load())
}

func TestAPageIsWaitedForTwiceAtMostWhenAllReplicasHang(t *testing.T) {
	hang, hung, release := hanging(t)
	url, _ := impatientFront(t, 50*time.Millisecond, hang, hang, hang)
	t.Cleanup(release)
	assert.Equal(t, http.StatusServiceUnavailable, ask(t, http.MethodGet, url))
	assert.EqualValues(t, 2, hung.Load())
	assert.Equal(t, http.StatusServiceUnavailable, ask(t, http.MethodGet, url))
	assert.EqualValues(t, 4, hung.Load(), "one that hung is better than none")
}

func TestAReplicaThatHungComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(2, time.Second)
		addrs := []string{"a", "b"}
		for i := range addrs {
			f.replicas[i].addr.Store(&addrs[i])
		}
		turns := func() map[string]int {
			t.Helper()
			seen := map[string]int{}
			for range 10 {
				addr, err := f.next()
				require.NoError(t, err)
				seen[addr]++
			}
			return seen
		}
		require.Equal(t, map[string]int{"a": 5, "b": 5}, turns())
		f.note("a", true)
		require.Equal(t, map[string]int{"b": 10}, turns())
		time.Sleep(leftOut)
		require.Equal(t, map[string]int{"a": 1, "b": 9}, turns(), "one request tries it")
		require.Equal(t, map[string]int{"b": 10}, turns())
		f.note("a", false)
		require.Equal(t, map[string]int{"a": 5, "b": 5}, turns())
	})
}

func TestAPageIsAskedForThreeTimesAtMost(t *testing.T) {
	var asked atomic.Int64
	die := func(http.ResponseWriter, *http.Request) { asked.Add(1); panic(http.ErrAbortHandler) }
	url, _ := frontOf(t, die, die, die, die, die)
	for range 5 {
		asked.Store(0)
		assert.NotEqual(t, http.StatusOK, ask(t, http.MethodGet, url))
		assert.EqualValues(t, 3, asked.Load())
	}
}

package emporixtest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newRequest(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, inMemoryURL+path, reader)
	require.NoError(t, err)
	return r
}

func transportOf(t *testing.T, handler http.HandlerFunc) *memoryTransport {
	m := newMemoryTransport(handler)
	t.Cleanup(m.close)
	return m
}

func TestMemoryCarriesTheRequest(t *testing.T) {
	m := transportOf(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, "hello", string(body))
		assert.Equal(t, "/a%2Fb/c", r.URL.EscapedPath())
		assert.Equal(t, "/a%2Fb/c?x=1", r.RequestURI)
		assert.Equal(t, "fake.emporix.test", r.Host)
		assert.Equal(t, "v", r.Header.Get("K"))
		w.Header().Set("Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("Late", "no")
		_, _ = io.WriteString(w, "short and stout")
	})
	req := newRequest(t, "POST", "/a%2Fb/c?x=1#fragment", "hello")
	req.Header.Set("K", "v")
	resp, err := (&http.Client{Transport: m}).Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "short and stout", string(body))
	assert.Equal(t, "418 I'm a teapot", resp.Status)
	assert.Equal(t, int64(15), resp.ContentLength)
	assert.Equal(t, "yes", resp.Header.Get("Answer"))
	assert.Empty(t, resp.Header.Get("Late"))
	_, err = resp.Body.Read(make([]byte, 1))
	assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
}

func TestMemoryRefuses(t *testing.T) {
	m := transportOf(t, func(http.ResponseWriter, *http.Request) {})
	other := newRequest(t, "GET", "/", "")
	other.URL.Host = "api.emporix.io"
	plain := newRequest(t, "GET", "/", "")
	plain.URL.Scheme = "http"
	header := newRequest(t, "GET", "/", "")
	header.Header.Set("K", "a\r\nb")
	for name, req := range map[string]*http.Request{"host": other, "scheme": plain, "header": header} {
		_, err := m.RoundTrip(req)
		assert.Error(t, err, name)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.RoundTrip(newRequest(t, "GET", "/", "").WithContext(ended))
	assert.ErrorIs(t, err, context.Canceled)
	m.close()
	_, err = m.RoundTrip(newRequest(t, "GET", "/", ""))
	assert.ErrorContains(t, err, "has ended")
}

func TestMemoryCutConnections(t *testing.T) {
	abort := func() { panic(http.ErrAbortHandler) }
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		lost    bool
		body    string
		failure error
	}{
		"before anything":    {func(http.ResponseWriter, *http.Request) { abort() }, true, "", nil},
		"before it was sent": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "half"); abort() }, true, "", nil},
		"amid the body":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "half"); flush(w); abort() }, false, "half", io.ErrUnexpectedEOF},
		"shorter than it said": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "half")
		}, false, "half", io.ErrUnexpectedEOF},
		"longer than it said": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(w, "half")
			_, err := io.WriteString(w, " and half")
			assert.ErrorIs(t, err, http.ErrContentLength)
		}, false, "half", nil},
		"no body with 204": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			_, err := io.WriteString(w, "x")
			assert.ErrorIs(t, err, http.ErrBodyNotAllowed)
		}, false, "", nil},
		"nothing written": {func(http.ResponseWriter, *http.Request) {}, false, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := transportOf(t, tc.handler).RoundTrip(newRequest(t, "GET", "/", ""))
			if tc.lost {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				return
			}
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			assert.Equal(t, tc.body, string(body))
			assert.Equal(t, tc.failure, err)
		})
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// A caller that leaves takes nothing with it: the handler goes on.
func TestMemoryCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := false
		m := transportOf(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
			done = r.Context().Err() == nil
			_, _ = io.WriteString(w, "late")
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		_, err := m.RoundTrip(newRequest(t, "GET", "/", "").WithContext(ctx))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(begin))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		assert.True(t, done)
	})
}

func TestMemoryStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := transportOf(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "one ")
			flush(w)
			time.Sleep(time.Minute)
			_, _ = io.WriteString(w, "two")
		})
		begin := time.Now()
		resp, err := m.RoundTrip(newRequest(t, "GET", "/", ""))
		require.NoError(t, err)
		assert.Equal(t, int64(-1), resp.ContentLength)
		assert.Zero(t, time.Since(begin))
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "one two", string(body))
		assert.Equal(t, time.Minute, time.Since(begin))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		resp, err = m.RoundTrip(newRequest(t, "GET", "/", "").WithContext(ctx))
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// The end of a test ends what is still delayed, and waits for it.
func TestMemoryClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		m := newMemoryTransport(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			ended = true
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := m.RoundTrip(newRequest(t, "GET", "/", "").WithContext(ctx))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		m.close()
		assert.True(t, ended)
	})
}

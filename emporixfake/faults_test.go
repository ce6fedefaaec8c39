package emporixfake_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

type fault = emporixfake.Fault

func (c client) fail(faults ...fault) {
	c.t.Helper()
	for _, f := range faults {
		require.NoError(c.t, c.fake.Fail(f))
	}
}

// sendCut sends, and says whether the connection was cut.
func (c client) sendCut(method, path string, body any) (cut bool) {
	c.t.Helper()
	defer func() {
		if reason := recover(); reason != nil {
			require.Equal(c.t, http.ErrAbortHandler, reason)
			cut = true
		}
	}()
	c.send(method, path, body)
	return false
}

func (c client) addressCount() int {
	c.t.Helper()
	return len(c.must(200, "GET", "/customer/acme/me/addresses", nil).list)
}

// A fault comes before the effect or after it, and what it answers is the same.
func TestFaultsAroundTheEffect(t *testing.T) {
	for name, tc := range map[string]struct {
		fault  fault
		status int // 0 is a cut
		effect bool
	}{
		"status":                  {fault{Status: 503}, 503, false},
		"status after":            {fault{Status: 503, After: true}, 503, true},
		"cut before":              {fault{Cut: emporixfake.CutBefore}, 0, false},
		"cut after":               {fault{Cut: emporixfake.CutAfter}, 0, true},
		"redirect":                {fault{Redirect: "https://evil.example.com/"}, 302, false},
		"permanent redirect":      {fault{Redirect: "https://evil.example.com/", Status: 308}, 308, false},
		"gateway fault":           {fault{Body: emporixfake.BodyGatewayFault}, 401, false},
		"gateway fault after":     {fault{Body: emporixfake.BodyGatewayFault, After: true}, 401, true},
		"gateway fault as 503":    {fault{Body: emporixfake.BodyGatewayFault, Status: 503}, 503, false},
		"html":                    {fault{Body: emporixfake.BodyHTML}, 201, true},
		"html of a proxy":         {fault{Body: emporixfake.BodyHTML, Status: 502}, 502, false},
		"truncated":               {fault{Body: emporixfake.BodyTruncated}, 0, true},
		"success without success": {fault{Status: 201, RawBody: new(`{"id":"x"}`)}, 201, false},
		"changed members":         {fault{Drop: []string{"id"}}, 201, true},
		"headers":                 {fault{Headers: map[string]string{"X": "y"}}, 201, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t)
			jo, _ := c.loggedIn()
			tc.fault.Operation = "Addresses.Add"
			c.fail(tc.fault)
			body := object{"contactName": "Jo"}
			if tc.status == 0 {
				assert.True(t, jo.sendCut("POST", "/customer/acme/me/addresses", body))
			} else {
				assert.Equal(t, tc.status, jo.send("POST", "/customer/acme/me/addresses", body).status)
			}
			want, succeeded := 0, 0
			if tc.effect {
				want, succeeded = 1, 1
			}
			assert.Equal(t, want, jo.addressCount())
			for _, op := range c.fake.Coverage().Operations {
				if op.Operation == "Addresses.Add" {
					assert.Equal(t, emporixfake.OperationCount{Operation: "Addresses.Add", Calls: 1, Succeeded: succeeded}, op)
				}
			}
			assert.Empty(t, c.fake.Faults(), "it was used up")
		})
	}
}

func TestFaultAnswers(t *testing.T) {
	const path = anonymousPath + "login?tenant=acme&client_id=storefront"
	ask := func(t *testing.T, f fault) reply {
		c := newFake(t)
		c.fail(f)
		return c.send("GET", path, nil)
	}
	t.Run("retry after", func(t *testing.T) {
		got := ask(t, fault{Status: 429, RetryAfter: "30"})
		assert.Equal(t, "30", got.header.Get("Retry-After"))
		assert.Equal(t, "too_many_requests", got.text("type"))
	})
	t.Run("redirect", func(t *testing.T) {
		got := ask(t, fault{Redirect: "https://evil.example.com/"})
		assert.Equal(t, "https://evil.example.com/", got.header.Get("Location"))
		assert.Empty(t, got.raw)
	})
	t.Run("html", func(t *testing.T) {
		got := ask(t, fault{Body: emporixfake.BodyHTML})
		assert.Contains(t, got.header.Get("Content-Type"), "text/html")
		assert.Contains(t, got.raw, "<html>")
	})
	t.Run("gateway fault", func(t *testing.T) {
		assert.Equal(t, "oauth.v2.InvalidAccessToken", ask(t, fault{Body: emporixfake.BodyGatewayFault}).faultCode())
	})
	for body, want := range map[string]string{
		emporixfake.BodyMalformed: `{"access_token":"`, emporixfake.BodyEmpty: "", emporixfake.BodyNull: "null",
		emporixfake.BodyString: `"ok"`, emporixfake.BodyObject: "{}",
	} {
		t.Run(body, func(t *testing.T) { assert.Equal(t, want, ask(t, fault{Body: body}).raw) })
	}
	t.Run("array", func(t *testing.T) { assert.Equal(t, []any{}, ask(t, fault{Body: emporixfake.BodyArray}).list) })
	t.Run("huge", func(t *testing.T) { assert.Greater(t, len(ask(t, fault{Body: emporixfake.BodyHuge}).raw), 16<<20) })
	t.Run("bomb", func(t *testing.T) {
		got := ask(t, fault{Body: emporixfake.BodyGzipBomb})
		assert.Equal(t, "gzip", got.header.Get("Content-Encoding"))
		assert.Less(t, len(got.raw), 1<<20)
		reader, err := gzip.NewReader(strings.NewReader(got.raw))
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, reader)
		require.NoError(t, err)
		assert.Greater(t, n, int64(64<<20))
	})
	t.Run("raw", func(t *testing.T) {
		got := ask(t, fault{RawBody: new("plain"), Headers: map[string]string{"Content-Type": "text/plain"}})
		assert.Equal(t, "plain", got.raw)
		assert.Equal(t, []string{"text/plain"}, got.header.Values("Content-Type"))
	})
	for raw, want := range map[string]any{
		`"3599"`: "3599", "0": 0.0, "-1": -1.0, "1e300": 1e300, "null": nil, "true": true,
	} {
		t.Run("expires_in "+raw, func(t *testing.T) {
			got := ask(t, fault{ExpiresIn: json.RawMessage(raw)})
			assert.Contains(t, got.body, "expires_in")
			assert.Equal(t, want, got.body["expires_in"])
			assert.NotEmpty(t, got.text("access_token"))
		})
	}
	t.Run("absent", func(t *testing.T) {
		assert.NotContains(t, ask(t, fault{ExpiresIn: json.RawMessage("absent")}).body, "expires_in")
	})
	t.Run("members", func(t *testing.T) {
		got := ask(t, fault{Set: map[string]json.RawMessage{"access_token": json.RawMessage(`""`)}, Drop: []string{"refresh_token"}})
		assert.Equal(t, "", got.body["access_token"])
		assert.NotContains(t, got.body, "refresh_token")
	})
	t.Run("nothing to cut in half", func(t *testing.T) {
		c := newFake(t)
		guest, _ := c.visitor()
		c.fail(fault{Body: emporixfake.BodyTruncated})
		assert.True(t, guest.sendCut("POST", "/customer/acme/password/reset", object{"email": joEmail}), "the client must not take it for a success")
		journal := c.fake.Journal()
		assert.Zero(t, journal[len(journal)-1].Status)
	})
	t.Run("a 204 gets a body", func(t *testing.T) {
		c := newFake(t)
		guest, _ := c.visitor()
		c.fail(fault{Body: emporixfake.BodyObject})
		guest.must(200, "POST", "/customer/acme/password/reset", object{"email": joEmail})
	})
}

// Faults count calls of their operation, from when they were made.
func TestFaultCounting(t *testing.T) {
	c := newFake(t)
	guest, _ := c.visitor()
	statuses := func(n int) (all []int) {
		for range n {
			all = append(all, guest.send("GET", "/customer/acme/me", nil).status)
		}
		return all
	}
	c.fail(fault{Operation: "Customers.Get", Call: 2, Times: 2, Status: 503})
	c.must(200, "GET", anonymousPath+"login?tenant=acme&client_id=storefront", nil)
	assert.Equal(t, []int{200, 200, 503, 503, 200}, statuses(5))
	c.fail(fault{Status: 500}, fault{Operation: "Customers.Get", Status: 502})
	assert.Equal(t, []int{500, 502, 200}, statuses(3), "two that are due take turns")
	c.fail(fault{Operation: "Customers.Get", Times: -1, Status: 504})
	assert.Equal(t, []int{504, 504, 504}, statuses(3))
	assert.Equal(t, []fault{{Operation: "Customers.Get", Times: -1, Status: 504, Fired: 3}}, c.fake.Faults())
	c.fake.ClearFaults()
	assert.Equal(t, []int{200}, statuses(1))
}

func TestFaultsRefused(t *testing.T) {
	c := newFake(t)
	for says, f := range map[string]fault{
		"no operation":  {Operation: "Auth.Logn"},
		"call is -1":    {Call: -1},
		"negative":      {Delay: -1},
		"status 99":     {Status: 99},
		"cut is":        {Cut: "amid"},
		"and after it":  {Cut: emporixfake.CutBefore, After: true},
		"no body":       {Body: "nice"},
		"expiresIn":     {ExpiresIn: json.RawMessage("x")},
		"value to set ": {Set: map[string]json.RawMessage{"a": json.RawMessage("{")}},
	} {
		assert.ErrorContains(t, c.fake.Fail(f), says)
	}
	assert.Empty(t, c.fake.Faults())
}

// A delay waits in the time of the bubble, holds up nobody else, and ends with
// its request.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixfake.New(emporixfake.Config{})
		request := func(ctx context.Context) (status int, cut bool) {
			defer func() { cut = recover() == http.ErrAbortHandler }()
			w := httptest.NewRecorder()
			fake.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", anonymousPath+"login?tenant=acme&client_id=storefront", nil))
			return w.Code, false
		}
		require.NoError(t, fake.Fail(fault{Delay: time.Hour}))
		begin := time.Now()
		slow := make(chan int)
		go func() {
			status, _ := request(t.Context())
			slow <- status
		}()
		synctest.Wait()
		status, _ := request(t.Context())
		assert.Equal(t, 200, status)
		assert.Zero(t, time.Since(begin))
		assert.Equal(t, 200, <-slow)
		assert.Equal(t, time.Hour, time.Since(begin))

		for _, after := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, fake.Fail(fault{Delay: time.Hour, After: after}))
			before := fake.Coverage().Operations[0].Succeeded
			_, cut := request(ctx)
			assert.True(t, cut)
			done := fake.Coverage().Operations[0].Succeeded - before
			assert.Equal(t, map[bool]int{false: 0, true: 1}[after], done)
		}
	})
}

// Over a socket, a cut is a cut and a truncated body ends early.
func TestFaultsOverSocket(t *testing.T) {
	c := newFake(t)
	server := httptest.NewServer(c.fake)
	defer server.Close()
	url := server.URL + anonymousPath + "login?tenant=acme&client_id=storefront"
	for _, cut := range []string{emporixfake.CutBefore, emporixfake.CutAfter} {
		c.fail(fault{Cut: cut, Times: -1})
		_, err := http.Get(url)
		assert.Error(t, err)
		c.fake.ClearFaults()
	}
	c.fail(fault{Body: emporixfake.BodyTruncated})
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	half, err := io.ReadAll(resp.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.NotEmpty(t, half)
}

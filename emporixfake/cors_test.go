package emporixfake_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/emporixfake"
)

const shopOrigin = "http://localhost:3000"

func preflight(c client, path, method, headers string) reply {
	return c.send("OPTIONS", path, nil, "Origin", shopOrigin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers)
}

// A browser may call every operation from a page of another origin.
func TestPreflights(t *testing.T) {
	for _, r := range routes("a", "1") {
		c := newFake(t)
		got := preflight(c, r.target(), r.method, "authorization,content-type, session-id")
		assert.Equal(t, 204, got.status, r.op)
		assert.Empty(t, got.raw)
		assert.Equal(t, "*", got.header.Get("Access-Control-Allow-Origin"))
		assert.Contains(t, got.header.Get("Access-Control-Allow-Methods"), r.method, r.op)
		assert.Equal(t, "authorization,content-type, session-id", got.header.Get("Access-Control-Allow-Headers"))
		assert.Empty(t, got.header.Get("Access-Control-Allow-Credentials"))
		assert.Empty(t, got.header.Get("Access-Control-Allow-Private-Network"))
		assert.Zero(t, c.fake.Calls(r.op), "a preflight is no call")
		assert.Len(t, c.fake.Journal(), 1)
	}
}

func TestPreflightsThatAreNone(t *testing.T) {
	c := newFake(t)
	assert.Equal(t, 404, preflight(c, "/customer/acme/nothing", "GET", "").status)
	got := preflight(c, "/customer/acme/me/addresses", "PUT", "bad header\x7f")
	assert.Equal(t, "GET, POST", got.header.Get("Access-Control-Allow-Methods"))
	assert.NotContains(t, got.header, "Access-Control-Allow-Headers")
	assert.Equal(t, 404, c.send("OPTIONS", "/customer/acme/me", nil).status, "nobody asks for another origin")
	assert.Equal(t, 404, c.send("OPTIONS", "/customer/acme/me", nil, "Origin", shopOrigin).status)
	assert.Equal(t, 404, c.send("OPTIONS", "/customer/acme/me", nil, "Access-Control-Request-Method", "GET").status)
}

// Pages may read answers: those with success, refusals, faults and unknown routes.
func TestAnswersForOtherOrigins(t *testing.T) {
	const allow = "Access-Control-Allow-Origin"
	login := anonymousPath + "login?tenant=acme&client_id=storefront"
	c := newFake(t)
	assert.Equal(t, "*", c.must(200, "GET", login, nil, "Origin", shopOrigin).header.Get(allow))
	assert.Equal(t, "*", c.must(401, "GET", "/customer/acme/me", nil, "Origin", shopOrigin).header.Get(allow))
	assert.Equal(t, "*", c.must(404, "GET", "/nothing", nil, "Origin", shopOrigin).header.Get(allow))
	assert.NotContains(t, c.must(200, "GET", login, nil).header, allow)
	assert.NoError(t, c.fake.Fail(emporixfake.Fault{Status: 503}))
	assert.Equal(t, 204, preflight(c, login, "GET", "").status, "a preflight takes no fault")
	assert.Equal(t, "*", c.must(503, "GET", login, nil, "Origin", shopOrigin).header.Get(allow))

	off := newFake(t, assume(func(a *emporixfake.Assumptions) { a.CrossOriginCallsAreAllowed = false }))
	assert.NotContains(t, off.must(200, "GET", login, nil, "Origin", shopOrigin).header, allow)
	got := preflight(off, login, "GET", "")
	assert.Equal(t, 404, got.status)
	assert.NotContains(t, got.header, allow)
}

// A page that a browser shows must not steer the fake.
func TestControlHasNoCORS(t *testing.T) {
	c := newFake(t)
	for _, path := range []string{"/__fake/reset", "/__fake/outbox", "/__fake"} {
		got := preflight(c, path, "POST", "content-type")
		assert.Equal(t, 403, got.status, path)
		for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers"} {
			assert.NotContains(t, got.header, name, path)
		}
	}
	c.loggedIn()
	journal := len(c.fake.Journal())
	for name, header := range map[string][]string{
		"another origin":                         {"Origin", shopOrigin},
		"an opaque origin":                       {"Origin", "null"},
		"a page without Origin, of another site": {"Sec-Fetch-Site", "cross-site"},
		"of the same site":                       {"Sec-Fetch-Site", "same-site"},
	} {
		header = append(header, "Content-Type", "text/plain")
		c.must(403, "POST", "/__fake/reset", "", header...)
		got := c.must(403, "GET", "/__fake/outbox", nil, header...)
		assert.NotContains(t, got.header, "Access-Control-Allow-Origin", name)
	}
	assert.Len(t, c.fake.Journal(), journal, "nothing was reset")
	for _, header := range [][]string{{"Origin", "http://example.com"}, {"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, nil} {
		c.must(200, "GET", "/__fake/health", nil, header...) // httptest's own Host is example.com
	}
}

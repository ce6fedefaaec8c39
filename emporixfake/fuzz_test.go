package emporixfake_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// FuzzServeHTTP sends anything: the fake answers with a status that it may
// answer with and with JSON, and never panics but to cut a connection.
func FuzzServeHTTP(f *testing.F) {
	for _, r := range routes("0123456789", "13869000") {
		body, _ := json.Marshal(r.body)
		f.Add(r.method, r.path, r.query, string(body), "application/json", uint8(1))
		f.Add(r.method, r.path, r.query, string(body), "application/merge-patch+json", uint8(2))
	}
	f.Add("POST", "/oauth/token", "", "grant_type=client_credentials&client_id=backend", "application/x-www-form-urlencoded", uint8(0))
	f.Add("POST", "/__fake/faults", "", `{"operation":"Auth.Login","body":"gzip-bomb"}`, "", uint8(0))
	f.Add("GET", "/customer/acme/%2e%2e/me", "%zz", "null", "a/b;c", uint8(3))
	f.Add("PATCH", "/customer/acme/me", "", `{"mixins":{"a":{"b":null}},"metadata":{"version":1e400}}`, "application/json", uint8(2))
	f.Fuzz(func(t *testing.T, method, path, query, body, contentType string, bearer uint8) {
		c := newFake(t)
		jo, _ := c.loggedIn()
		guest, _ := c.visitor()
		r := &http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query}, RequestURI: path + "?" + query,
			Header: http.Header{"Content-Type": {contentType}}, Body: http.NoBody, Host: "x",
		}
		if parsed, err := url.ParseRequestURI(path); err == nil {
			parsed.RawQuery = query
			r.URL = parsed
		}
		switch bearer % 4 {
		case 1:
			r.Header.Set("Authorization", "Bearer "+guest.bearer)
		case 2:
			r.Header.Set("Authorization", "Bearer "+jo.bearer)
		case 3:
			r.Header.Set("Authorization", "Bearer "+c.employee().bearer)
		}
		r.Body = httptest.NewRequest("POST", "/", strings.NewReader(body)).Body
		defer func() {
			if reason := recover(); reason != nil && reason != http.ErrAbortHandler {
				panic(reason)
			}
		}()
		w := httptest.NewRecorder()
		c.fake.ServeHTTP(w, r)
		switch w.Code {
		case 200, 201, 202, 204, 400, 401, 403, 404, 409:
		default:
			t.Errorf("%s %s: status %d", method, path, w.Code)
		}
		if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: not JSON: %s", method, path, w.Body)
		}
		if w.Code == http.StatusNotFound && w.Body.Len() == 0 {
			t.Errorf("%s %s: 404 without a body", method, path)
		}
	})
}

// Many clients at once, each with a customer of its own.
func TestParallelClients(t *testing.T) {
	c := newFake(t)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			email := string(rune('a'+i)) + "@example.com"
			guest, _ := c.visitor()
			id := guest.send("POST", "/customer/acme/signup", object{"email": email, "password": joPassword}).text("id")
			c.employee().send("PATCH", "/customer/acme/customers/"+id, object{"active": true})
			login := guest.send("POST", "/customer/acme/login", object{"email": email, "password": joPassword})
			mine := c.as(login.text("access_token"))
			for range 10 {
				mine.send("POST", "/customer/acme/me/addresses", object{"contactName": email})
				mine.send("PATCH", "/customer/acme/me", object{"mixins": object{"m": object{"k": "v"}}})
				_ = c.fake.Fail(emporixfake.Fault{Operation: "Auth.Validate", Status: 503})
				mine.send("GET", "/customer/acme/validateauthtoken", nil)
				c.send("GET", "/__fake/journal", nil)
				c.fake.Coverage()
			}
			me := mine.send("GET", "/customer/acme/me?expand=addresses,mixin:*", nil)
			assert.Len(t, me.body["addresses"], 10)
			assert.Equal(t, id, me.text("id"))
		})
	}
	group.Wait()
	assert.Equal(t, 16, c.fake.Calls("Customers.SignUp"))
}

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whether there is an account for an address is told by no answer: not by its
// status, its place, its headers, its words, nor by its time.
func TestNoAnswerTellsWhoHasAnAccount(t *testing.T) {
	for what, send := range map[string]func(v *visitor, email string) seen{
		"sign-up": func(v *visitor, email string) seen {
			return v.post("/signup", "firstName", "Jo", "lastName", "Marsh", "email", email, "password", "seven wide rivers")
		},
		"sign-up as JSON": func(v *visitor, email string) seen {
			return v.json("POST", "/api/signup", fmt.Sprintf(`{"email":%q,"password":"seven wide rivers"}`, email))
		},
		"forgotten password": func(v *visitor, email string) seen { return v.post("/password/forgotten", "email", email) },
		"forgotten password as JSON": func(v *visitor, email string) seen {
			return v.json("POST", "/api/password/forgotten", fmt.Sprintf(`{"email":%q}`, email))
		},
		"mail again": func(v *visitor, email string) seen { return v.post("/signup/resend", "email", email) },
		"mail again as JSON": func(v *visitor, email string) seen {
			return v.json("POST", "/api/signup/resend", fmt.Sprintf(`{"email":%q}`, email))
		},
		"log-in": func(v *visitor, email string) seen {
			return v.post("/login", "email", email, "password", "wrong horse")
		},
		"log-in as JSON": func(v *visitor, email string) seen {
			return v.json("POST", "/api/login", fmt.Sprintf(`{"email":%q,"password":"wrong horse"}`, email))
		},
		"another address": func(v *visitor, email string) seen {
			v.logIn("bea@example.com")
			return v.post("/account/security/email", "newEmail", email, "password", seedPassword)
		},
		"another address as JSON": func(v *visitor, email string) seen {
			v.logIn("bea@example.com")
			return v.json("POST", "/api/account/email", fmt.Sprintf(`{"newEmail":%q,"password":%q}`, email, seedPassword))
		},
	} {
		inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, v *visitor) {
			fake.AddCustomer(t, emporixtest.Customer{Email: "waiting@example.com", Password: seedPassword, Inactive: true})
			fake.AddCustomer(t, emporixtest.Customer{Email: "onhold0@example.com", Password: seedPassword, OnHold: true})
			var first seen
			var took time.Duration
			for i, email := range []string{"nobody0@example.com", "jo@example.com", "waiting@example.com", "onhold0@example.com"} {
				one := &visitor{t, v.at, &http.Client{Jar: newJar(t), Transport: v.http.Transport}}
				one.get("/")
				began := time.Now()
				got := send(one, email)
				got.body = strings.ReplaceAll(got.body, email, "ADDRESS")
				got.where = strings.ReplaceAll(got.where, email, "ADDRESS")
				got.header.Del("Date")
				got.header.Del("Content-Length")
				if i == 0 {
					first, took = got, time.Since(began)
					continue
				}
				assert.Equal(t, first, got, "%s: %s", what, email)
				assert.Equal(t, took, time.Since(began), "%s: %s", what, email)
			}
		})
	}
}

// An API that takes its time over one case gives nothing away.
func TestAnAnswerTakesTheSameTimeWhateverTheAPITakes(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, v *visitor) {
		for i, delay := range []time.Duration{0, 120 * time.Millisecond, 400 * time.Millisecond} {
			v.get("/")
			fake.Fail(t, emporixtest.Fault{Operation: "Customers.SignUp", Delay: delay})
			began := time.Now()
			v.post("/signup", "firstName", "A", "lastName", "B", "email", fmt.Sprintf("a%d@example.com", i), "password", "seven wide rivers")
			assert.Equal(t, sameTime, time.Since(began))
		}
	})
}

// from is a client at a network address of its own.
func from(handler http.Handler, addr string) http.RoundTripper { return inMemory{at(handler, addr)} }

func at(handler http.Handler, addr string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = addr
		handler.ServeHTTP(w, r)
	})
}

func TestWrongPasswordsAreSlowedDown(t *testing.T) {
	wrong := func(v *visitor, email string) int {
		return v.post("/login", "email", email, "password", "wrong horse").status
	}
	try := map[string]func(t *testing.T, v *visitor, handler http.Handler, i int) int{
		"one visitor": func(_ *testing.T, v *visitor, _ http.Handler, _ int) int { return wrong(v, "jo@example.com") },
		"one visitor, as JSON": func(_ *testing.T, v *visitor, _ http.Handler, _ int) int {
			return v.json("POST", "/api/login", `{"email":"jo@example.com","password":"wrong horse"}`).status
		},
		"an account, from everywhere": func(t *testing.T, v *visitor, handler http.Handler, i int) int {
			return wrong(&visitor{t, v.at, &http.Client{Jar: newJar(t), Transport: from(handler, fmt.Sprintf("192.0.2.%d:80", i))}}, []string{"jo@example.com", "Jo@Example.com"}[i%2])
		},
		"many accounts, from one address": func(t *testing.T, v *visitor, handler http.Handler, i int) int {
			return wrong(&visitor{t, v.at, &http.Client{Jar: newJar(t), Transport: from(handler, fmt.Sprintf("192.0.2.1:%d", 1000+i))}}, fmt.Sprintf("p%d@example.com", i))
		},
		"many accounts, from one IPv6 network": func(t *testing.T, v *visitor, handler http.Handler, i int) int {
			return wrong(&visitor{t, v.at, &http.Client{Jar: newJar(t), Transport: from(handler, fmt.Sprintf("[2001:db8::%x]:80", i+1))}}, fmt.Sprintf("p%d@example.com", i))
		},
		"with a header of their own": func(t *testing.T, v *visitor, handler http.Handler, i int) int {
			one := &visitor{t, v.at, &http.Client{Jar: newJar(t), Transport: from(handler, "192.0.2.1:80")}}
			return one.send("POST", "/login", "application/x-www-form-urlencoded", fmt.Sprintf("email=p%d@example.com&password=x", i), "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)).status
		},
	}
	for what, once := range try {
		inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, v *visitor) {
			handler := v.http.Transport.(inMemory).handler //nolint:forcetypeassert // inVirtualTime makes it
			v.get("/")
			refused := 0
			for i := range 120 {
				switch status := once(t, v, handler, i); status {
				case http.StatusUnauthorized:
				case http.StatusTooManyRequests:
					refused++
				default:
					t.Fatalf("%s: %d", what, status)
				}
			}
			assert.GreaterOrEqual(t, refused, 75, what)
			assert.Equal(t, 120-refused, fake.Calls(t, "Auth.Login"), "%s: what is refused costs no call", what)
			time.Sleep(time.Minute)
			v.logIn("jo@example.com") // nobody is locked out
		})
	}
}

func TestWhatElseIsSlowedDown(t *testing.T) {
	for what, once := range map[string]func(v *visitor, i int) seen{
		"sign-up": func(v *visitor, i int) seen {
			return v.post("/signup", "firstName", "A", "lastName", "B", "email", fmt.Sprintf("a%d@example.com", i), "password", "seven wide rivers")
		},
		"forgotten":  func(v *visitor, _ int) seen { return v.post("/password/forgotten", "email", "jo@example.com") },
		"mail again": func(v *visitor, _ int) seen { return v.post("/signup/resend", "email", "jo@example.com") },
		"a link of a mail": func(v *visitor, _ int) seen {
			return v.post("/password/reset", "token", "x", "password", "seven wide rivers")
		},
		"current password": func(v *visitor, _ int) seen {
			return v.post("/account/security/password", "currentPassword", "wrong horse", "newPassword", "nine quiet harbours")
		},
		"e-mail": func(v *visitor, _ int) seen {
			return v.post("/account/security/email", "newEmail", "b@example.com", "password", "wrong horse")
		},
		"a link of a sign-up": func(v *visitor, _ int) seen { return v.post("/signup/confirm", "token", "x") },
		"a link of an e-mail": func(v *visitor, _ int) seen { return v.post("/email/confirm", "token", "x") },
		"sign-up as JSON": func(v *visitor, i int) seen {
			return v.json("POST", "/api/signup", fmt.Sprintf(`{"email":"a%d@example.com","password":"seven wide rivers"}`, i))
		},
		"forgotten as JSON": func(v *visitor, _ int) seen {
			return v.json("POST", "/api/password/forgotten", `{"email":"jo@example.com"}`)
		},
		"mail again as JSON": func(v *visitor, _ int) seen {
			return v.json("POST", "/api/signup/resend", `{"email":"jo@example.com"}`)
		},
		"reset as JSON": func(v *visitor, _ int) seen {
			return v.json("POST", "/api/password/reset", `{"token":"x","password":"seven wide rivers"}`)
		},
		"sign-up link as JSON": func(v *visitor, _ int) seen {
			return v.json("POST", "/api/signup/confirm", `{"token":"x"}`)
		},
		"e-mail link as JSON": func(v *visitor, _ int) seen {
			return v.json("POST", "/api/email/confirm", `{"token":"x"}`)
		},
		"password as JSON": func(v *visitor, _ int) seen {
			return v.json("POST", "/api/account/password", `{"currentPassword":"x","newPassword":"nine quiet harbours"}`)
		},
		"e-mail as JSON": func(v *visitor, _ int) seen {
			return v.json("POST", "/api/account/email", `{"newEmail":"b@example.com","password":"wrong horse"}`)
		},
	} {
		inVirtualTime(t, func(t *testing.T, _ *emporixtest.Fake, v *visitor) {
			v.logIn("bea@example.com")
			var last seen
			refused := 0
			for i := range 40 {
				if last = once(v, i); last.status == http.StatusTooManyRequests {
					refused++
				}
			}
			assert.GreaterOrEqual(t, refused, 20, what)
			assert.Equal(t, http.StatusTooManyRequests, last.status, what)
			assert.Equal(t, "60", last.header.Get("Retry-After"), what)
			assert.Contains(t, last.body, "Please wait a minute and try again.", what)
		})
	}
}

func TestWhoseTriesAreCounted(t *testing.T) {
	for _, row := range []struct {
		remote    string
		forwarded []string
		front     bool
		want      string
	}{
		{"192.0.2.1:5000", nil, false, "192.0.2.1"},
		{"192.0.2.1:5000", []string{"198.51.100.7"}, false, "192.0.2.1"},
		{"192.0.2.1:5000", []string{"198.51.100.7"}, true, "192.0.2.1"},
		{"127.0.0.1:5000", []string{"198.51.100.7"}, false, "127.0.0.1"},
		{"127.0.0.1:5000", []string{"198.51.100.7"}, true, "198.51.100.7"},
		{"127.0.0.1:5000", []string{"10.0.0.1, 198.51.100.7"}, true, "198.51.100.7"},
		{"127.0.0.1:5000", []string{"10.0.0.1", "198.51.100.7"}, true, "198.51.100.7"},
		{"127.0.0.1:5000", nil, true, "127.0.0.1"},
		{"[2001:db8::1]:5000", nil, false, "2001:db8::/64"},
		{"[2001:db8::1:2:3:4]:5000", nil, false, "2001:db8::/64"},
		{"[fe80::1%eth0]:5000", nil, false, "fe80::/64"},
		{"[::ffff:192.0.2.1]:5000", nil, false, "192.0.2.1"},
		{"", nil, false, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = row.remote, row.forwarded
		assert.Equal(t, row.want, networkOf(r, row.front), "%+v", row)
	}
}

func TestServersEndWhatTakesTooLong(t *testing.T) {
	server := newServer(nil)
	assert.Positive(t, server.ReadHeaderTimeout)
	assert.Positive(t, server.ReadTimeout)
	assert.Greater(t, server.WriteTimeout, time.Minute, "a log-in may take a minute")
	assert.Positive(t, server.IdleTimeout)
	assert.Positive(t, server.MaxHeaderBytes)
}

// The README of package bff shows the limiter as it is here.
func TestTheRecipeIsThisLimiter(t *testing.T) {
	readme, err := os.ReadFile("../../bff/README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("limit.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```golang\n")
	require.True(t, found)
	recipe, _, _ := strings.Cut(rest, "```")
	for block := range strings.SplitSeq(strings.TrimSpace(recipe), "\n\n") {
		assert.Contains(t, string(source), block)
	}
}

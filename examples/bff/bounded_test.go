package main

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inMemory calls a handler without a socket.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w, in := httptest.NewRecorder(), r.Clone(r.Context())
	in.Host = cmp.Or(in.Host, in.URL.Host) // as on a socket
	m.handler.ServeHTTP(w, in)
	res := w.Result()
	res.Request = r
	return res, nil
}

// inVirtualTime opens a shop whose clock is the bubble's.
func inVirtualTime(t *testing.T, test func(t *testing.T, fake *emporixtest.Fake, v *visitor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const url = "http://127.0.0.1:8080"
		fake := emporixtest.New(t, emporixtest.WithSeed(seed()))
		handler, err := newShop(t.Context(), fake.Client(t), settings{url: url}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		test(t, fake, &visitor{t, &place{url: url, fake: fake}, &http.Client{Jar: newJar(t), Transport: inMemory{handler}}})
	})
}

func TestAPageIsNotWaitedForLongerThanPeopleWait(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, v *visitor) {
		v.logIn("jo@example.com")
		fake.Fail(t, emporixfake.Fault{Operation: "Customers.Get", Delay: time.Hour, Times: -1})
		began := time.Now()
		got := v.get("/account")
		assert.Equal(t, pageTime, time.Since(began))
		assert.Equal(t, http.StatusServiceUnavailable, got.status)
		assert.Contains(t, got.body, "try again in a moment")
		began = time.Now()
		assert.Equal(t, http.StatusServiceUnavailable, v.get("/api/account").status)
		assert.Equal(t, pageTime, time.Since(began))
	})
}

// What may give the visitor another cookie outlives its page. The proxy in front has
// to wait for it, or the cookie is lost.
func TestTheProxyWaitsForACallThatGetsNoAnswer(t *testing.T) {
	configured, err := os.ReadFile("proxy/haproxy.cfg")
	require.NoError(t, err)
	setting := regexp.MustCompile(`(?m)^\ttimeout server (\S+)$`).FindSubmatch(configured)
	require.NotNil(t, setting)
	proxyTime, err := time.ParseDuration(string(setting[1]))
	require.NoError(t, err)
	for operation, form := range map[string][]string{
		"Auth.Login":                 {"/login", "email", "jo@example.com", "password", seedPassword},
		"Auth.Logout":                {"/logout"},
		"Credentials.ChangePassword": {"/account/security/password", "currentPassword", seedPassword, "newPassword", "seven wide rivers"},
	} {
		inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, v *visitor) {
			if operation != "Auth.Login" {
				v.logIn("jo@example.com")
			}
			v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			fake.Fail(t, emporixfake.Fault{Operation: operation, Delay: time.Hour})
			began := time.Now()
			v.post(form[0], form[1:]...)
			assert.Greater(t, proxyTime-time.Since(began), 2*time.Second, operation)
		})
	}
}

// HEAD is answered like GET: nothing is taken for a form that was sent.
func TestHeadOfAForm(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	guest := []string{"/login", "/signup", "/signup/confirm?token=x", "/password/forgotten", "/password/reset?token=x"}
	account := []string{"/account/profile", "/account/addresses/new", "/account/security/password", "/account/security/email", "/account/company", "/email/confirm?token=x"}
	same := func(paths []string) {
		for _, path := range paths {
			assert.Equal(t, v.get(path).status, v.send(http.MethodHead, path, "", "").status, path)
		}
	}
	same(guest)
	v.logIn("jo@example.com")
	same(account)
}

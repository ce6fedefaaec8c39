package bff_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// A link from another site comes without a SameSite=Strict cookie, and the
// browser would take a new one in its place.
func TestAStrictCookieIsNotOverwritten(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed, options: bff.Options{Strict: true, Providers: providers}})
		b := s.browser()
		b.login()
		require.NotEmpty(t, b.cookie)

		link := s.browser() // the same browser, with its cookie withheld
		link.header.Set("Sec-Fetch-Site", "cross-site")
		out := link.do("GET", "/page")
		assert.Equal(t, 200, out.StatusCode)
		assert.Equal(t, guestNumber, out.body)
		assert.Nil(t, out.set)
		out = link.do("GET", "/social")
		assert.Equal(t, 503, out.StatusCode, "its state would be lost")
		assert.Nil(t, out.set)
		assert.Equal(t, 403, link.do("POST", "/logout").StatusCode)
		assert.Equal(t, s.number, b.ok("GET", "/page"))

		stranger := s.browser()
		assert.NotNil(t, stranger.do("GET", "/page").set, "the next page, from the shop's own, sets it")

		// The link of an activation mail logs in, and that may set it.
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://shop.example/", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		s.b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			begins(t, r)
			_, err := bff.From(r).Login(r.Context(), jo)
			assert.NoError(t, err)
		})).ServeHTTP(w, r)
		require.Len(t, w.Result().Cookies(), 1)
		link.cookie = w.Result().Cookies()[0].Value
		assert.Equal(t, s.number, link.ok("GET", "/page"))
	})
	s := newShop(t, setup{})
	link := s.browser()
	link.header.Set("Sec-Fetch-Site", "cross-site")
	assert.NotNil(t, link.do("GET", "/page").set, "SameSite=Lax comes along with links")
}

// What gets no cookie leaves no row of a visitor behind, whatever it does.
func TestAPassingGuestIsNotKept(t *testing.T) {
	for _, target := range []string{"GET /page", "GET /social", "POST /login password=wrong+password", "GET /page then POST /login password=wrong+password"} {
		s := newShop(t, setup{options: bff.Options{Strict: true, Providers: providers, TrustedOrigins: []string{"https://m.shop.example"}}})
		link := s.browser()
		link.header.Set("Sec-Fetch-Site", "cross-site")
		link.header.Set("Origin", "https://m.shop.example")
		first, second, both := strings.Cut(target, " then ")
		if both { // in one request
			r := httptest.NewRequestWithContext(t.Context(), "GET", "https://shop.example/", nil)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			w := httptest.NewRecorder()
			s.b.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				session := func() string {
					begins(t, r)
					session, err := bff.From(r).Session(r.Context())
					assert.NoError(t, err)
					_, err = session.Customers.Get(r.Context())
					assert.NoError(t, err)
					info, err := session.Info(r.Context())
					assert.NoError(t, err)
					assert.NotEmpty(t, info.SessionID)
					return info.SessionID
				}
				before := session()
				_, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: jo.Email, Password: "wrong password"})
				assert.ErrorIs(t, err, emporix.ErrInvalidCredentials)
				assert.Equal(t, before, session(), "the guest goes on in the same request")
			})).ServeHTTP(w, r)
			assert.Empty(t, w.Result().Cookies())
			assert.NotEmpty(t, second)
		} else {
			method, path, _ := strings.Cut(first, " ")
			assert.Nil(t, link.do(method, path).set, target)
		}
		assert.Zero(t, s.store.live(t, visitorRows), target)
	}
}

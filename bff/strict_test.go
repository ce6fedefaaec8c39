package bff_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
		assert.Equal(t, nobody, out.body)
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

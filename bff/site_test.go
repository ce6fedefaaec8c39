package bff_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// asked keeps the queries of anonymous logins.
type asked struct {
	next http.RoundTripper
	with []string
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/anonymous/login") {
		q := r.URL.Query()
		a.with = append(a.with, q.Get("siteCode")+" "+q.Get("currency")+" "+q.Get("language"))
	}
	return a.next.RoundTrip(r)
}

func TestSite(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		a := &asked{next: s.fake.Transport()}
		s.open(setup{sealed: sealed, client: []emporix.Option{emporix.WithTransport(a)}, options: bff.Options{
			Site: func(r *http.Request) emporix.SessionContext {
				if r.Header.Get("Accept-Language") == "de" {
					return emporix.SessionContext{SiteCode: "main", Currency: "EUR", Language: "de"}
				}
				return emporix.SessionContext{SiteCode: "us", Currency: "USD", Language: "en"}
			},
		}})
		b := s.browser()
		b.header.Set("Accept-Language", "de")
		b.ok("GET", "/page")
		b.header.Set("Sec-Purpose", "prefetch")
		b.header.Set("Accept-Language", "en")
		b.ok("GET", "/page")
		assert.Equal(t, []string{"main EUR de"}, a.with, "a visitor stays with it, and a prefetch changes nothing")
		s.browser().login()
		require.Equal(t, []string{"main EUR de", "us USD en"}, a.with)
	})
}

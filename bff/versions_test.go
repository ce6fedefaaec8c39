package bff_test

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// rows returns the rows that there are now, of those whose key matches.
func (s *shop) rows(keys string) map[string]string {
	s.t.Helper()
	all, match := map[string]string{}, regexp.MustCompile(keys)
	for line := range strings.SplitSeq(s.store.dump(), "\n") {
		key, _, _ := strings.Cut(line, " ")
		data, found, err := s.store.ConditionalTokenStore.Load(s.t.Context(), key)
		require.NoError(s.t, err)
		if found && match.MatchString(key) {
			all[key] = string(data)
		}
	}
	return all
}

// later is what a program of the next version may make of a row.
var later = map[string]func(data string) string{
	"same form": func(data string) string { return strings.Replace(data, `"v":1`, `"v":2`, 1) },
	"new types": func(string) string { return `{"v":2,"g":"a","k":{"id":7},"s":"x","c":[1]}` },
	"far ahead": func(string) string { return `{"v":2000000,"new":true}` },
}

// A roll-out is under way: rows of a newer version are unavailable. The cookie
// stays, and nothing is overwritten.
func TestRowsOfANewerVersion(t *testing.T) {
	for form, change := range later {
		for what, keys := range map[string]string{"visitor": visitorRows, "list": "/bff/customer/"} {
			for _, target := range []string{"GET /page", "GET /info", "POST /login password=correct+horse", "POST /password password=correct+horse", "POST /logout", "POST /everywhere", "GET /social"} {
				t.Run(strings.Join([]string{form, what, target}, ", "), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newShop(t, setup{options: bff.Options{Providers: providers}})
						b := s.browser()
						b.login()
						before := s.rows(keys)
						for key, data := range before {
							require.NoError(t, s.store.ConditionalTokenStore.Save(t.Context(), key, []byte(change(data)), 7, time.Hour))
						}
						newer := s.rows(keys)
						method, path, _ := strings.Cut(target, " ")
						needsNoList := what == "list" && strings.Contains("GET /page GET /info POST /logout GET /social", target)
						out := b.do(method, path)
						if needsNoList {
							assert.Equal(t, 200, out.StatusCode, out.Header.Get("X-Error"))
						} else {
							assert.Equal(t, 503, out.StatusCode)
							assert.Contains(t, out.Header.Get("X-Error"), emporix.ErrStoreUnavailable.Error())
							assert.Contains(t, out.Header.Get("X-Error"), "version")
							assert.Nil(t, out.set, "the cookie stays")
						}
						assert.Equal(t, newer, s.rows(keys), "nothing is overwritten")
						if target == "POST /logout" {
							return
						}
						for key, data := range before { // the roll-out is over
							require.NoError(t, s.store.ConditionalTokenStore.Save(t.Context(), key, []byte(data), 7, time.Hour))
						}
						assert.Equal(t, s.number, b.ok("GET", "/page"), "nothing is lost")
						s.fake.AssertCalls(t, "Credentials.ChangePassword", 0)
					})
				})
			}
		}
	}
}

// A guest who logs in where the customer's list is newer keeps the cookie.
func TestALoginIntoANewerList(t *testing.T) {
	s := newShop(t, setup{})
	s.browser().login()
	for key, data := range s.rows("/bff/customer/") {
		require.NoError(t, s.store.ConditionalTokenStore.Save(t.Context(), key, []byte(later["same form"](data)), 7, time.Hour))
	}
	newer := s.rows("/bff/customer/")
	b := s.browser()
	b.ok("GET", "/page")
	cookie := b.cookie
	assert.Equal(t, 503, b.do("POST", "/login password=correct+horse").StatusCode)
	assert.Equal(t, cookie, b.cookie)
	assert.Equal(t, guestNumber, b.ok("GET", "/page"), "nobody is logged in who could not be logged out everywhere")
	assert.Equal(t, cookie, b.cookie)
	s.fake.AssertCalls(t, "Auth.Logout", 1)
	assert.Equal(t, newer, s.rows("/bff/customer/"))
}

func TestCookiesOfANewerVersion(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	b := s.browser()
	b.login()
	good := b.cookie
	envelope := func(version byte) string {
		data, err := base64.RawURLEncoding.DecodeString(good)
		require.NoError(t, err)
		data[0] = version
		return base64.RawURLEncoding.EncodeToString(data)
	}
	content := func(change func(all map[string]any)) string {
		return bff.Reseal(s.b, good, func(plain []byte) []byte {
			var all map[string]any
			require.NoError(t, json.Unmarshal(plain, &all))
			change(all)
			data, err := json.Marshal(all)
			require.NoError(t, err)
			return data
		})
	}
	for what, value := range map[string]string{
		"envelope":             envelope(2),
		"envelope, far ahead":  envelope(200),
		"envelope and no more": envelope(2)[:28], // 21 bytes: version, key, salt
		"content":              content(func(all map[string]any) { all["v"] = 2 }),
		"content of new types": content(func(all map[string]any) { all["v"], all["r"], all["i"] = 3, "x", []int{1} }),
		"written in front":     "v2." + good,
	} {
		for _, target := range []string{"GET /page", "POST /login password=correct+horse", "POST /logout"} {
			b.cookie = value
			method, path, _ := strings.Cut(target, " ")
			out := b.do(method, path)
			assert.Equal(t, 503, out.StatusCode, what)
			assert.Nil(t, out.set, "%s: the cookie stays", what)
			assert.Contains(t, out.Header.Get("X-Error"), "version", what)
		}
	}
	for what, value := range map[string]string{
		"damaged":          content(func(all map[string]any) { all["r"] = "x" }),
		"no version":       content(func(all map[string]any) { delete(all, "v") }),
		"an older one":     envelope(0),
		"another text":     "v2x." + good,
		"a version of old": "v1." + good,
	} {
		b.cookie = value
		assert.Equal(t, guestNumber, b.ok("GET", "/page"), what)
	}
	b.cookie = good
	assert.Equal(t, s.number, b.ok("GET", "/page"), "nothing is lost")

	s = newShop(t, setup{})
	b = s.browser()
	b.login()
	good = b.cookie
	b.cookie = "v2." + good
	out := b.do("GET", "/page")
	assert.Equal(t, 503, out.StatusCode, "IDs in a store may get a version too")
	assert.Nil(t, out.set)
}

// fixedCookie was sealed under cookieKey by the first version of this format: a
// later one that can't open it would end every session.
const fixedCookie = "AQS1RRPxpThk6S-6am1sYeTbis3VnkG2v43VTwAZiwDp95WAlIUhXBV-LBk_O3-hBpdJCHqxwlEIHcinfC7JeNR3VFiG-jtho26t_TkfsHwSyfPF-xmPW71RFg1FUWl9J8aILU9YJsh-" +
	"3R3tOvOOxcLn5CQ4wk14OBVpbSOtO_0IfM3Y6BFSv9iwZSvXocMhcFYUMwSlOweTevA1NykvFSBU1HWPmlfMHoQmANV1KY1oibdhZVXLUccQgtFscxeCxN0SVaefG2ANqJMzTyXifmZj" +
	"aa44A7y7LMXKSpoO1XlZbpnF-VgN-dQA_r2GDw1U8Xk9Wpv12vc_DKnWDB2AQ4L4EDl9jsEdFX0CCFCaxN1f2_8SrTTEi5aBu_1p43wVaendZkljRJ7ITt5HBqKunLDhEbup4-wQJmqG" +
	"tYxyr2TMKqEj5N_ZaBHRX6HDrzCAq2BV9ozVBgrdhul4lNAoZ0GGGsHK2TUjm1tiy7pSyYWj7ig7ODl-idOcBqvLdSkXXDpU2Q"

func TestAFixedCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{sealed: true})
		b := s.browser()
		b.cookie = fixedCookie
		assert.Equal(t, "anonymous  cd189232-07c8-43fc-9ebb-6e8c7e7a6c6a", b.ok("GET", "/info"))
	})
}

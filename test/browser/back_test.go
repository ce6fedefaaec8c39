package browser_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// back presses the browser's back button. The page may come out of the browser's
// memory, which loads nothing.
func (p *person) back(path string) {
	p.t.Helper()
	read(p, "go back", chromedp.Evaluate[int](`setTimeout(() => history.back(), 0)`))
	p.until("be at "+path, chromedp.Location(), func(at string) bool { return strings.HasPrefix(strings.TrimPrefix(at, p.shop.url), path) })
}

// until looks again and again until what it sees satisfies. While the browser goes to
// another page, there may be nothing to look at.
func (p *person) until(what string, look chromedp.Action[string], satisfies func(string) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	for {
		seen, err := chromedp.Run(ctx, look)
		if err == nil && satisfies(seen) {
			return
		}
		select {
		case <-ctx.Done():
			p.fail(what, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// settles waits until the page has that text.
func (p *person) settles(text string) {
	p.t.Helper()
	p.until("see "+text, bodyText, func(seen string) bool { return strings.Contains(seen, text) })
}

func TestBackAfterTheLogoutShowsNobodysAccount(t *testing.T) {
	s := openShop(t)
	for _, button := range []string{"Log out", "Log out everywhere"} {
		p := newPerson(t, s)
		p.logIn("jo@example.com", password)
		p.sees("Hello, Jo")
		p.link("Addresses")
		p.sees("Lindenallee")
		p.link("Security")
		p.sees("You log in as")
		p.press(button)
		p.sees("You are logged out")
		for range 3 {
			p.back("/login?next=") // the page is asked for again
			p.settles("Please log in to go on.")
			p.seesNot("You log in as", "Lindenallee", "Hello, Jo")
		}
	}
}

// The middleware alone: the pages set no header about caches.
func TestBackAfterTheLogoutWithTheMiddlewareAlone(t *testing.T) {
	needChromium(t)
	fake := emporixtest.New(t)
	fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: password, FirstName: "Jo"})
	b, err := bff.New(fake.Client(t), bff.Options{Development: true})
	require.NoError(t, err)
	mux := http.NewServeMux()
	shown := func(w http.ResponseWriter, r *http.Request, text string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>x</title><p>%s</p><a href="/next">next</a><form method="post" action="/logout"><button>Log out</button></form>`, text)
	}
	do := func(pattern string, work func(w http.ResponseWriter, r *http.Request, v *bff.Visit) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := work(w, r, bff.From(r)); err != nil {
				b.Error(w, r, err)
			}
		})
	}
	do("GET /", func(w http.ResponseWriter, r *http.Request, _ *bff.Visit) error {
		shown(w, r, "a page for everybody")
		return nil
	})
	do("GET /login", func(w http.ResponseWriter, r *http.Request, v *bff.Visit) error {
		_, err := v.Login(r.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: password})
		if err == nil {
			http.Redirect(w, r, "/account", http.StatusSeeOther)
		}
		return err
	})
	for _, page := range []string{"/account", "/next"} {
		do("GET "+page, func(w http.ResponseWriter, r *http.Request, v *bff.Visit) error {
			info, err := v.Info(r.Context())
			if err != nil {
				return err
			}
			if info.Kind != emporix.SessionCustomer {
				shown(w, r, "Please log in.")
				return nil
			}
			shown(w, r, "Customer number "+info.CustomerNumber)
			return nil
		})
	}
	do("POST /logout", func(w http.ResponseWriter, r *http.Request, v *bff.Visit) error {
		if err := v.Logout(r.Context()); err != nil {
			return err
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	})
	server := httptest.NewServer(b.Handler(mux))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	require.NoError(t, err)

	p := newPerson(t, &shop{url: "http://127.0.0.1:" + port, output: &output{}})
	p.open("/login")
	p.sees("Customer number 1")
	p.link("next")
	p.sees("Customer number 1")
	p.press("Log out")
	p.sees("a page for everybody")
	for _, path := range []string{"/next", "/account"} {
		p.back(path)
		p.settles("Please log in.")
		p.seesNot("Customer number")
	}
}

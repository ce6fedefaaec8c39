package bff_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// A shop with a page and a login, in front of a fake Emporix.
func Example() {
	fake := emporixfake.New(emporixfake.Config{Seed: emporixfake.Seed{
		Customers: []emporixfake.Customer{{Email: "jo@example.com", Password: "correct horse", FirstName: "Jo"}},
	}})
	api := httptest.NewServer(fake)
	defer api.Close()
	client, err := emporix.NewClient(fake.Config().Tenant, fake.Config().ClientID, emporix.WithBaseURL(api.URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close(context.Background()) }()

	b, err := bff.New(client, bff.Options{
		Development: true, // http on loopback; leave it out behind https
		AfterLogin: func(_ context.Context, _ *emporix.Session, login *bff.Login) error {
			fmt.Println("merge the guest's cart:", login.Guest.SessionID == login.SessionID)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		session, err := bff.From(r).Session(r.Context())
		if err != nil {
			b.Error(w, r, err)
			return
		}
		me, err := session.Customers.Get(r.Context())
		switch {
		case err != nil:
			b.Error(w, r, err)
		case me.IsAnonymous():
			_, _ = io.WriteString(w, "Hello, guest")
		default:
			_, _ = io.WriteString(w, "Hello, "+me.FirstName)
		}
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		_, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: r.FormValue("email"), Password: r.FormValue("password")})
		if err != nil {
			b.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	shop := httptest.NewServer(b.Handler(mux))
	defer shop.Close()

	browser := &http.Client{Jar: newJar()}
	show := func(resp *http.Response, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		page, _ := io.ReadAll(resp.Body)
		fmt.Println(string(page))
	}
	show(browser.Get(shop.URL))
	show(browser.PostForm(shop.URL+"/login", url.Values{"email": {"jo@example.com"}, "password": {"correct horse"}}))
	// Output:
	// Hello, guest
	// merge the guest's cart: true
	// Hello, Jo
}

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// provider is a small identity provider: who the person is, it believes. It
// knows the authorization code flow with PKCE and tells the fake about the
// codes that it gives out, as Emporix would redeem them with a real one.
type provider struct {
	tools    *tools
	callback string // the address that its client has registered
}

const (
	providerPath     = "/idp/authorize"
	providerClientID = "harbour-and-pine"
	providerName     = "lighthouse"
)

type providerPage struct {
	Form    *form
	People  []person
	Refusal string
}

type person struct{ Email, FirstName, LastName string }

var people = []person{{"jo@example.com", "Jo", "Marsh"}, {"noor@example.com", "Noor", "Haddad"}}

func (p provider) route(mux *http.ServeMux) {
	protect := http.NewCrossOriginProtection()
	mux.Handle("GET "+providerPath, noStore(http.HandlerFunc(p.ask)))
	mux.Handle("POST "+providerPath, noStore(protect.Handler(http.HandlerFunc(p.answer))))
}

// wrong says why a request of a client is refused. Such a request never leads
// back to the client: it may not be the client's.
func (p provider) wrong(query url.Values) string {
	challenge, decodeErr := base64.RawURLEncoding.DecodeString(query.Get("code_challenge"))
	switch {
	case query.Get("client_id") != providerClientID:
		return "The client is unknown."
	case query.Get("redirect_uri") != p.callback:
		return "The redirect address is not the one that the client has registered."
	case query.Get("response_type") != "code" || query.Get("state") == "":
		return "The request is incomplete."
	case query.Get("code_challenge_method") != "S256" || decodeErr != nil || len(challenge) != sha256.Size:
		return "The request lacks a proof key (PKCE)."
	}
	return ""
}

func (p provider) form(query url.Values) *form {
	return &form{Action: providerPath + "?" + query.Encode(), Submit: "Continue", Fields: []*field{
		{Name: "email", Label: "E-mail address", Kind: "email", Required: true, Autocomplete: "email"},
		{Name: "firstName", Label: "First name", Kind: "text", Half: true, Autocomplete: "given-name"},
		{Name: "lastName", Label: "Last name", Kind: "text", Half: true, Autocomplete: "family-name"},
	}}
}

func (p provider) ask(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if why := p.wrong(query); why != "" {
		p.show(w, http.StatusBadRequest, providerPage{Refusal: why})
		return
	}
	p.show(w, http.StatusOK, providerPage{Form: p.form(query), People: people})
}

func (p provider) answer(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if why := p.wrong(query); why != "" {
		p.show(w, http.StatusBadRequest, providerPage{Refusal: why})
		return
	}
	back := url.Values{"state": {query.Get("state")}}
	if r.PostFormValue("cancel") != "" {
		back.Set("error", "access_denied")
		http.Redirect(w, r, p.callback+"?"+back.Encode(), http.StatusSeeOther)
		return
	}
	f := p.form(query)
	if !f.read(r) {
		p.show(w, http.StatusUnprocessableEntity, providerPage{Form: f, People: people})
		return
	}
	code := rand.Text()
	err := p.tools.do(r.Context(), http.MethodPost, "social-identities", map[string]any{
		"code": code, "identity": emporixfake.Identity{
			Email: strings.ToLower(f.value("email")), FirstName: f.value("firstName"), LastName: f.value("lastName"),
			CodeChallenge: query.Get("code_challenge"),
		},
	}, &map[string]any{})
	if err != nil {
		p.show(w, http.StatusBadGateway, providerPage{Refusal: "The fake can't be reached."})
		return
	}
	back.Set("code", code)
	http.Redirect(w, r, p.callback+"?"+back.Encode(), http.StatusSeeOther)
}

func (p provider) show(w http.ResponseWriter, status int, data providerPage) {
	var body bytes.Buffer
	if err := pages["provider"].ExecuteTemplate(&body, "provider", data); err != nil {
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}

package main

import (
	"errors"
	"net/http"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

const socialCallback = "/login/social/callback"

func emailField() *field {
	return &field{Name: "email", Label: "E-mail address", Kind: "email", Required: true, Autocomplete: "username"}
}

// knownEmailField is for an address that has an account, whatever it looks like.
func knownEmailField() *field {
	f := emailField()
	f.Known = true
	return f
}

func oldPassword(name, label string) *field {
	return &field{Name: name, Label: label, Kind: "password", Required: true, Autocomplete: "current-password"}
}

func newPassword(name, label string) *field {
	return &field{Name: name, Label: label, Kind: "password", Required: true, Autocomplete: "new-password", Min: 8,
		Hint: "At least 8 characters. A few words that you remember are a good choice."}
}

type loginPage struct {
	Form   *form
	Next   string
	Demo   bool
	Social bool
}

func (s *shop) login(w http.ResponseWriter, r *http.Request) {
	next := local(r.FormValue("next"))
	f := &form{Action: "/login", Submit: "Log in", Fields: []*field{knownEmailField(), oldPassword("password", "Password"),
		{Name: "next", Kind: "hidden", Value: next}}}
	show := func(status int) {
		f.field("next").Value = next
		s.show(w, r, status, "login", page{Title: "Log in", Data: loginPage{f, next, s.demo, s.tools != nil}})
	}
	if reads(r) {
		switch info, err := bff.From(r).Info(r.Context()); {
		case err != nil || !isCustomer(info):
			show(http.StatusOK)
		case next != "":
			to(w, r, next, "")
		default:
			to(w, r, "/account", "")
		}
		return
	}
	if !f.read(r) {
		show(http.StatusUnprocessableEntity)
		return
	}
	if err := s.mayTry(r, f.value("email")); err != nil {
		show(f.fail(err))
		return
	}
	result, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: f.value("email"), Password: f.value("password")})
	if err != nil {
		s.formFailed(w, r, f, loginError(err), show)
		return
	}
	switch {
	case result.InitialPassword:
		to(w, r, "/account/security/password", "password-please")
	case next != "":
		http.Redirect(w, r, next, http.StatusSeeOther) // #nosec G710 -- a path of this shop
	default:
		to(w, r, "/account", "logged-in")
	}
}

// loginError: what can't be a password is a wrong one.
func loginError(err error) error {
	if errors.Is(err, emporix.ErrInvalidRequest) {
		return emporix.ErrInvalidCredentials
	}
	return err
}

// socialLogin sends the visitor to the identity provider. State and PKCE are
// made here and checked when the visitor comes back.
func (s *shop) socialLogin(w http.ResponseWriter, r *http.Request) {
	where, err := bff.From(r).BeginSocialLogin(r.Context(), providerName, local(r.FormValue("next")))
	if err != nil {
		s.failed(w, r, err)
		return
	}
	http.Redirect(w, r, where, http.StatusSeeOther) // #nosec G710 -- the provider of Options.Providers
}

func (s *shop) socialReturn(w http.ResponseWriter, r *http.Request) {
	_, next, err := bff.From(r).FinishSocialLogin(r.Context(), r.URL.Query())
	switch {
	case errors.Is(err, bff.ErrSocialRefused):
		to(w, r, "/login", "social-did-nothing")
	case err != nil:
		s.failed(w, r, err)
	case next != "":
		http.Redirect(w, r, next, http.StatusSeeOther) // #nosec G710 -- a path of this shop
	default:
		to(w, r, "/account", "logged-in")
	}
}

func (s *shop) logout(w http.ResponseWriter, r *http.Request) {
	err := bff.From(r).Logout(r.Context())
	if errors.Is(err, emporix.ErrStoreUnavailable) {
		s.failed(w, r, err)
		return
	}
	if err != nil && !errors.Is(err, emporix.ErrNotLoggedIn) {
		s.log.Warn("a logout was not confirmed", "error", err) // the session is gone here all the same
	}
	to(w, r, "/", "logged-out")
}

func (s *shop) logoutEverywhere(w http.ResponseWriter, r *http.Request, _ *emporix.Session) {
	if err := bff.From(r).LogoutEverywhere(r.Context()); err != nil {
		s.failed(w, r, err)
		return
	}
	to(w, r, "/", "logged-out-all")
}

package main

import (
	"errors"
	"net/http"
	"slices"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

func (s *shop) signUp(w http.ResponseWriter, r *http.Request) {
	f := &form{Action: "/signup", Submit: "Create account", Fields: []*field{
		{Name: "firstName", Label: "First name", Kind: "text", Required: true, Half: true, Autocomplete: "given-name"},
		{Name: "lastName", Label: "Last name", Kind: "text", Required: true, Half: true, Autocomplete: "family-name"},
		emailField(),
		newPassword("password", "Password"),
		{Name: "company", Label: "Company", Kind: "text", Autocomplete: organisation, Hint: "Leave it empty if you buy for yourself."},
	}}
	show := func(status int) {
		s.show(w, r, status, "signup", page{Title: "Create an account", Data: f})
	}
	if reads(r) {
		show(http.StatusOK)
		return
	}
	if !f.read(r) {
		show(http.StatusUnprocessableEntity)
		return
	}
	email := f.value("email")
	var number string
	even := evenly(r)
	err := s.mayTry(r, email)
	if err != nil {
		show(f.fail(err))
		return
	}
	err = withSession(r, func(session *emporix.Session) (err error) {
		number, err = session.Customers.SignUp(r.Context(), emporix.SignUpRequest{
			Email: email, Password: f.value("password"),
			CustomerDetails: emporix.CustomerDetails{
				ContactEmail: email, FirstName: f.value("firstName"), LastName: f.value("lastName"), Company: f.value("company"),
			},
		})
		return err
	})
	if err == nil && s.tools != nil {
		s.tools.note(number)
	}
	even()
	if err := untold(err); err != nil {
		s.formFailed(w, r, f, err, show)
		return
	}
	s.show(w, r, http.StatusOK, "signedup", page{Title: "Nearly there", Data: struct {
		Email  string
		ByMail bool
	}{email, s.tools == nil || s.tools.confirmsByMail}})
}

// taken drops the errors that tell a customer that a new address has an account:
// a conflict, or what the API has against the address. Its form was checked here.
func taken(err error) error {
	var apiErr *emporix.APIError
	aboutAddress := errors.As(err, &apiErr) && slices.ContainsFunc(apiErr.Details, func(d emporix.ErrorDetail) bool { return d.Field == "newEmail" })
	if errors.Is(err, emporix.ErrConflict) || aboutAddress {
		return nil
	}
	return err
}

// untold drops the errors that tell whether there is an account for an address,
// and what state it is in: whoever asks is answered as if it had worked, and the
// owner of the address has the mail.
func untold(err error) error {
	if errors.Is(err, emporix.ErrConflict) || errors.Is(err, emporix.ErrNotFound) || errors.Is(err, emporix.ErrForbidden) {
		return nil
	}
	return err
}

func (s *shop) resendMail(w http.ResponseWriter, r *http.Request) {
	email := r.PostFormValue("email")
	if !isEmail(email) {
		to(w, r, "/signup", "")
		return
	}
	even := evenly(r)
	err := s.mayTry(r, email)
	if err == nil {
		err = untold(withSession(r, func(session *emporix.Session) error { return session.Customers.ResendActivation(r.Context(), email) }))
	}
	even()
	if err != nil {
		s.failed(w, r, err)
		return
	}
	to(w, r, "/login", "mail-again")
}

// tokenForm asks for a click before a link of a mail takes effect: programs
// that look into mails open every link, and would use it up.
func tokenForm(action, submit string, more ...*field) *form {
	return &form{Action: action, Submit: submit, Fields: append(more, &field{Name: "token", Kind: "hidden", Required: true, Max: 2000})}
}

const spentLink = "This link is not valid any more: it works once and for a limited time."

func (s *shop) confirmSignUp(w http.ResponseWriter, r *http.Request) {
	f := tokenForm("/signup/confirm", "Confirm my account")
	show := func(status int) {
		s.show(w, r, status, "confirm", page{Title: "Confirm your account", Data: confirmPage{f,
			"One click and your account is ready.", "/login", "To the log-in page"}})
	}
	if reads(r) {
		f.field("token").Value = r.URL.Query().Get("token")
		show(http.StatusOK)
		return
	}
	if !f.read(r) {
		f.Error = spentLink
		show(http.StatusUnprocessableEntity)
		return
	}
	if err := s.mayTry(r, ""); err != nil {
		show(f.fail(err))
		return
	}
	result, err := bff.From(r).ConfirmSignUp(r.Context(), f.value("token"))
	switch {
	case errors.Is(err, emporix.ErrInvalidRequest), errors.Is(err, emporix.ErrNotFound):
		f.Error = spentLink
		show(http.StatusUnprocessableEntity)
	case err != nil:
		s.formFailed(w, r, f, err, show)
	case result.LoggedIn:
		to(w, r, "/account", "confirmed")
	default:
		to(w, r, "/login", "confirmed-log-in")
	}
}

type confirmPage struct {
	Form             *form
	Text             string
	Elsewhere, Label string
}

// Spent reports that the link is of no use any more. Whatever else went wrong
// leaves the button there to try again.
func (p confirmPage) Spent() bool { return p.Form.Error == spentLink }

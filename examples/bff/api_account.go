package main

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// checkedEmail refuses what a person can't see.
func checkedEmail(field, email string) error {
	if strings.ContainsFunc(email, invisible) {
		return &emporix.ArgumentError{Field: field, Reason: "has characters that can't be seen"}
	}
	return nil
}

// apiSignUp takes the SDK's own request.
func (s *shop) apiSignUp(r *http.Request, session *emporix.Session) (any, error) {
	in, err := readJSON[emporix.SignUpRequest](r)
	if err != nil {
		return nil, err
	}
	err = errors.Join(checkedEmail("email", in.Email), checkedEmail("signup.email", in.SignUp.Email),
		checkedEmail("customerDetails.contactEmail", in.CustomerDetails.ContactEmail))
	if err != nil {
		return nil, err
	}
	even := evenly(r)
	if err := s.mayTry(r, cmp.Or(in.SignUp.Email, in.Email)); err != nil {
		return nil, err
	}
	number, err := session.Customers.SignUp(r.Context(), in)
	if err == nil && s.tools != nil {
		s.tools.note(number)
	}
	even()
	return nil, untold(err)
}

func (s *shop) apiResendMail(r *http.Request, session *emporix.Session) (any, error) {
	in, err := readJSON[struct {
		Email string `json:"email"`
	}](r)
	if err != nil {
		return nil, err
	}
	if err := checkedEmail("email", in.Email); err != nil {
		return nil, err
	}
	even := evenly(r)
	if err := s.mayTry(r, in.Email); err != nil {
		return nil, err
	}
	err = untold(session.Customers.ResendActivation(r.Context(), in.Email))
	even()
	return nil, err
}

// mailToken is what the link of a mail carries.
type mailToken struct {
	Token string `json:"token"`
}

func (s *shop) apiConfirmSignUp(r *http.Request) (any, error) {
	in, err := readJSON[mailToken](r)
	if err != nil {
		return nil, err
	}
	if err := s.mayTry(r, ""); err != nil {
		return nil, err
	}
	result, err := bff.From(r).ConfirmSignUp(r.Context(), in.Token)
	if err != nil {
		return nil, err
	}
	return map[string]bool{"loggedIn": result.LoggedIn}, nil
}

func (s *shop) apiConfirmEmail(r *http.Request, session *emporix.Session) (any, error) {
	in, err := readJSON[mailToken](r)
	if err != nil {
		return nil, err
	}
	if err := s.mayTry(r, ""); err != nil {
		return nil, err
	}
	return nil, session.Credentials.ConfirmEmailChange(r.Context(), in.Token)
}

func (s *shop) apiChangeEmail(r *http.Request, session *emporix.Session) (any, error) {
	in, err := readJSON[struct {
		NewEmail string `json:"newEmail"`
		Password string `json:"password"`
	}](r)
	if err != nil {
		return nil, err
	}
	if err := checkedEmail("newEmail", in.NewEmail); err != nil {
		return nil, err
	}
	if err := s.mayTry(r, ""); err != nil {
		return nil, err
	}
	err = session.Credentials.RequestEmailChange(r.Context(), emporix.EmailChangeRequest{
		Password: in.Password, NewEmail: in.NewEmail, SyncContactEmail: true,
	})
	return nil, taken(currentPasswordError(err))
}

func (s *shop) apiForgottenPassword(r *http.Request, session *emporix.Session) (any, error) {
	in, err := readJSON[struct {
		Email string `json:"email"`
		Site  string `json:"site"`
	}](r)
	if err != nil {
		return nil, err
	}
	if err := checkedEmail("email", in.Email); err != nil {
		return nil, err
	}
	even := evenly(r)
	if err := s.mayTry(r, in.Email); err != nil {
		return nil, err
	}
	err = untold(session.Credentials.RequestPasswordReset(r.Context(), in.Email, emporix.ForSite(in.Site)))
	even()
	return nil, err
}

func (s *shop) apiResetPassword(r *http.Request, session *emporix.Session) (any, error) {
	in, err := readJSON[emporix.ResetPasswordRequest](r)
	if err != nil {
		return nil, err
	}
	if err := s.mayTry(r, ""); err != nil {
		return nil, err
	}
	return nil, session.Credentials.ResetPassword(r.Context(), in)
}

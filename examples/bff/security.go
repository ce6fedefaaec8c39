package main

import (
	"errors"
	"net/http"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

func (s *shop) security(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	me, err := session.Customers.Get(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "security", page{Title: "Security", Section: "security", Data: loginOf(me)})
}

// loginOf is the address that the customer logs in with.
func loginOf(me *emporix.Customer) string {
	if len(me.Accounts) > 0 {
		return me.Accounts[0].ID
	}
	return me.ContactEmail
}

func (s *shop) changePassword(w http.ResponseWriter, r *http.Request, _ *emporix.Session) {
	f := &form{Action: "/account/security/password", Submit: "Change password", Cancel: "/account/security", Fields: []*field{
		oldPassword("currentPassword", "Current password"), newPassword("newPassword", "New password"),
	}}
	s.securityForm(w, r, f, "Change your password", "You stay logged in here.", func() (string, error) {
		err := currentPasswordError(bff.From(r).ChangePassword(r.Context(), emporix.ChangePasswordRequest{
			CurrentPassword: f.value("currentPassword"), NewPassword: f.value("newPassword"),
		}))
		if errors.Is(err, errWrongPassword) {
			f.field("currentPassword").Error = "This is not your current password."
		}
		return "password", err
	})
}

func (s *shop) changeEmail(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	f := &form{Action: "/account/security/email", Submit: "Send the confirmation mail", Cancel: "/account/security", Fields: []*field{
		{Name: "newEmail", Label: "New e-mail address", Kind: "email", Required: true, Autocomplete: "email"},
		oldPassword("password", "Your password"),
	}}
	text := "We send a mail to the new address. The change takes effect when you follow the link in it."
	s.securityForm(w, r, f, "Change your e-mail address", text, func() (string, error) {
		err := currentPasswordError(session.Credentials.RequestEmailChange(r.Context(), emporix.EmailChangeRequest{
			Password: f.value("password"), NewEmail: f.value("newEmail"), SyncContactEmail: true,
		}))
		if errors.Is(err, errWrongPassword) {
			f.field("password").Error = "This is not your password."
		}
		return "email-mail", taken(err)
	})
}

var errWrongPassword = errors.New("the current password is not right")

// currentPasswordError is err of a call that asked for the password of somebody
// who is logged in: no address can be wrong, and no account wait.
func currentPasswordError(err error) error {
	if errors.Is(err, emporix.ErrInvalidCredentials) {
		return errWrongPassword
	}
	return err
}

type formPage struct {
	Form *form
	Text string
}

func (s *shop) securityForm(w http.ResponseWriter, r *http.Request, f *form, title, text string, send func() (string, error)) {
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusUnprocessableEntity
		if f.read(r) {
			done, err := "", s.mayTry(r, "")
			if err == nil {
				done, err = send()
			}
			if err == nil {
				to(w, r, "/account/security", done)
				return
			}
			if f.Failed() {
				status = explain(err).Status
			} else {
				status = f.fail(err)
			}
		}
	}
	s.show(w, r, status, "form", page{Title: title, Section: "security", Data: formPage{f, text}})
}

func (s *shop) confirmEmail(w http.ResponseWriter, r *http.Request) {
	f := tokenForm("/email/confirm", "Use the new address")
	show := func(status int) {
		s.show(w, r, status, "confirm", page{Title: "Confirm your new address", Data: confirmPage{f,
			"From then on you log in with the new address.", "/account/security/email", "Ask for another mail"}})
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
	err := s.mayTry(r, "")
	if err == nil {
		err = withSession(r, func(session *emporix.Session) error {
			return session.Credentials.ConfirmEmailChange(r.Context(), f.value("token"))
		})
	}
	switch {
	case errors.Is(err, emporix.ErrInvalidRequest), errors.Is(err, emporix.ErrNotFound):
		f.Error = spentLink
		show(http.StatusUnprocessableEntity)
	case err != nil:
		s.formFailed(w, r, f, err, show)
	default:
		info, err := bff.From(r).Info(r.Context())
		if err == nil && info.Kind == emporix.SessionCustomer {
			to(w, r, "/account/security", "email")
			return
		}
		to(w, r, "/login", "email")
	}
}

func (s *shop) forgottenPassword(w http.ResponseWriter, r *http.Request) {
	f := &form{Action: "/password/forgotten", Submit: "Send me a link", Cancel: "/login", Fields: []*field{knownEmailField()}}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusUnprocessableEntity
		if f.read(r) {
			even := evenly(r)
			err := s.mayTry(r, f.value("email"))
			if err == nil {
				err = untold(withSession(r, func(session *emporix.Session) error {
					return session.Credentials.RequestPasswordReset(r.Context(), f.value("email"))
				}))
			}
			even()
			switch {
			case err == nil:
				to(w, r, "/login", "reset-mail") // the same for every address
				return
			case errors.Is(err, emporix.ErrStoreCorrupt):
				s.failed(w, r, err)
				return
			}
			status = f.fail(err)
		}
	}
	s.show(w, r, status, "narrowform", page{Title: "Forgotten your password?", Data: formPage{f,
		"It happens. Tell us your address, and we send you a link to choose a new one."}})
}

func (s *shop) resetPassword(w http.ResponseWriter, r *http.Request) {
	f := tokenForm("/password/reset", "Save the new password", newPassword("password", "New password"))
	status := http.StatusOK
	if reads(r) {
		f.field("token").Value = r.URL.Query().Get("token")
	} else {
		status = http.StatusUnprocessableEntity
		if f.read(r) {
			err := s.mayTry(r, "")
			if err == nil {
				err = withSession(r, func(session *emporix.Session) error {
					return session.Credentials.ResetPassword(r.Context(), emporix.ResetPasswordRequest{
						Token: f.value("token"), Password: f.value("password"),
					})
				})
			}
			switch {
			case err == nil:
				to(w, r, "/login", "password-reset")
				return
			case errors.Is(err, emporix.ErrStoreCorrupt):
				s.failed(w, r, err)
				return
			}
			status = f.fail(err)
			if errors.Is(err, emporix.ErrInvalidRequest) && f.field("password").Error == "" {
				f.Error = spentLink
			}
		} else if f.Error != "" {
			f.Error = spentLink
		}
	}
	s.show(w, r, status, "narrowform", page{Title: "Choose a new password", Data: formPage{f, "After this you can log in with it."}})
}

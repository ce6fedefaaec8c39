package main

import (
	"context"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

func (s *story) changeCredentials(ctx context.Context) {
	s.out.chapter("Jo changes password and e-mail address")
	jo := s.jo
	s.step(ctx, "Credentials.ChangePassword", func() (string, error) {
		chosen := newPassword()
		err := jo.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: jo.password, NewPassword: chosen})
		if err == nil {
			jo.password = chosen
		}
		return "the password that Jo knows is the new one", err
	})

	address := newEmail("joanna")
	notRequested := needs("the request for it, which was not made")
	s.step(ctx, "Credentials.RequestEmailChange", func() (string, error) {
		err := jo.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{
			Email: jo.email, Password: jo.password, NewEmail: address, SyncContactEmail: true,
		})
		if err == nil {
			notRequested = nil
		}
		return "a mail is on its way to " + address, err
	})
	token, missing := "", notRequested
	if missing == nil {
		token, missing = s.fake.mailToken(ctx, emporixfake.MailEmailChange, address)
	}
	s.stepGiven(ctx, missing, "Credentials.ConfirmEmailChange", func() (string, error) {
		err := jo.Credentials.ConfirmEmailChange(ctx, token)
		if err == nil {
			jo.email = address
			jo.account += ", now " + address
		}
		return "Jo logs in as " + address, err
	})
	s.step(ctx, "Auth.Logout", func() (string, error) {
		return "a guest again", jo.Auth.Logout(ctx)
	})
}

func (s *story) forgetPassword(ctx context.Context) {
	s.out.chapter("Jo forgot the password")
	jo := s.jo
	notRequested := needs("the request for it, which was not made")
	s.stepGiven(ctx, jo.hasAccount(), "Credentials.RequestPasswordReset", func() (string, error) {
		err := jo.Credentials.RequestPasswordReset(ctx, jo.email, emporix.ForSite("main"))
		if err == nil {
			notRequested = nil
		}
		return "a mail is on its way to " + jo.email, err
	})
	token, missing := "", notRequested
	if missing == nil {
		token, missing = s.fake.mailToken(ctx, emporixfake.MailPasswordReset, jo.email)
	}
	s.stepGiven(ctx, missing, "Credentials.ResetPassword", func() (string, error) {
		chosen := newPassword()
		err := jo.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: token, Password: chosen})
		if err == nil {
			jo.password = chosen
		}
		return "a new password, with the token of the mail", err
	})
	s.stepGiven(ctx, jo.hasAccount(), "Auth.Login", func() (string, error) { return jo.login(ctx) })
}

func (s *story) confirmByMail(ctx context.Context) {
	s.out.chapter("Kim signs up and confirms by e-mail")
	kim := s.kim
	// On a real tenant this would leave an account that nobody can confirm.
	var missing error
	if s.fake == nil {
		missing = needs("a tenant with double opt-in, and the mailbox that its mails go to")
	} else {
		s.step(ctx, "Customers.SignUp", func() (string, error) {
			id, err := kim.signUp(ctx, emporix.SignUpRequest{})
			return "customer " + id + ", " + kim.email, err
		})
		missing = kim.hasAccount()
	}
	s.stepGiven(ctx, missing, "Customers.ResendActivation", func() (string, error) {
		err := kim.Customers.ResendActivation(ctx, kim.email)
		if err != nil {
			missing = needs("the mail that was not sent")
		}
		return "another mail is on its way to " + kim.email, err
	})
	token := ""
	if missing == nil {
		token, missing = s.fake.mailToken(ctx, emporixfake.MailOptIn, kim.email)
	}
	s.stepGiven(ctx, missing, "Customers.ConfirmSignUp", func() (string, error) {
		result, err := kim.Customers.ConfirmSignUp(ctx, token)
		switch {
		case err != nil:
			return "", err
		case result.LoggedIn:
			return "the account is active, and Kim is logged in; " + cart(result), nil
		default:
			return "the account is active", nil
		}
	})
}

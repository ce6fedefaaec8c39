package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// step is one operation of the journey.
type step struct {
	operation string
	// prepare gets what the call needs and the API does not give, such as the token
	// of a mail. May be nil. Its time does not count.
	prepare func(context.Context) error
	// call makes the call, and returns a line about what came back. An error of
	// needs says that the step can't be done here.
	call func(context.Context) (string, error)
}

// chapter is a group of steps.
type chapter struct {
	title string
	steps []step
}

// chapters is the whole journey: four people, who share a client and have a session
// each, as visitors of a shop do.
func (j *journey) chapters() []chapter {
	return []chapter{
		{"A guest looks around", []step{
			{"Auth.StartAnonymous", nil, j.startAnonymous},
			{"Auth.RefreshAnonymous", nil, j.refreshAnonymous},
		}},
		{"Jo opens an account", []step{
			{"Customers.SignUp", nil, j.signUp},
			{"Customers.Activate", nil, j.activate},
			{"Auth.Login", nil, j.login},
		}},
		{"Jo's session", []step{
			{"Auth.Refresh", nil, j.refresh},
			{"Auth.Refresh", j.addCompany, j.switchLegalEntity},
			{"Auth.Validate", nil, j.validate},
		}},
		{"Jo's profile", []step{
			{"Customers.Get", nil, j.getProfile},
			{"Customers.Update", nil, j.updateProfile},
			{"Customers.Get", nil, j.getChangedProfile},
		}},
		{"Jo's addresses", []step{
			{"Addresses.Add", nil, j.addAddress},
			{"Addresses.List", nil, j.listAddresses},
			{"Addresses.Update", nil, j.updateAddress},
			{"Addresses.AddTags", nil, j.addTags},
			{"Addresses.RemoveTags", nil, j.removeTags},
			{"Addresses.Get", nil, j.getAddress},
			{"Addresses.Delete", nil, j.deleteAddress},
		}},
		{"Jo changes password and e-mail address", []step{
			{"Credentials.ChangePassword", nil, j.changePassword},
			{"Credentials.RequestEmailChange", nil, j.requestEmailChange},
			{"Credentials.ConfirmEmailChange", j.mailOf(emporixfake.MailEmailChange), j.confirmEmailChange},
			{"Auth.Logout", nil, j.logout},
		}},
		{"Jo forgot the password", []step{
			{"Credentials.RequestPasswordReset", nil, j.requestPasswordReset},
			{"Credentials.ResetPassword", j.mailOf(emporixfake.MailPasswordReset), j.resetPassword},
			{"Auth.Login", nil, j.login},
		}},
		{"Kim signs up and confirms by e-mail", []step{
			{"Customers.SignUp", nil, j.signUpKim},
			{"Customers.ResendActivation", nil, j.resendActivation},
			{"Customers.ConfirmSignUp", j.mailOf(emporixfake.MailOptIn), j.confirmSignUp},
		}},
		{"Sam and Alex come from an identity provider", []step{
			{"Auth.SocialLogin", j.addSocialIdentity, j.socialLogin},
			{"Auth.ExchangeToken", j.addSubjectToken, j.exchangeToken},
		}},
	}
}

// A guest looks around.

// startAnonymous starts a session explicitly. Any first call would start one too.
func (j *journey) startAnonymous(ctx context.Context) (string, error) {
	info, err := j.jo.Auth.StartAnonymous(ctx, emporix.SessionContext{Currency: "EUR", SiteCode: "main", Language: "en"})
	return "a guest's session, " + lasting(info), err
}

func (j *journey) refreshAnonymous(ctx context.Context) (string, error) {
	before, _ := j.jo.Info(ctx)
	info, err := j.jo.Auth.Refresh(ctx)
	return "through Auth.Refresh: " + continued(before, info) + ", " + lasting(info), err
}

// Jo opens an account.

func (j *journey) signUp(ctx context.Context) (string, error) {
	err := j.jo.signUp(ctx, emporix.SignUpRequest{
		CustomerDetails: emporix.CustomerDetails{
			Title: "MS", FirstName: "Jo", MiddleName: "Maria", LastName: "Doe", ContactEmail: j.jo.email,
			Company: "Emporix", PreferredLanguage: "en_US", PreferredCurrency: "EUR",
		},
		CustomerAddress: emporix.AddressRequest{
			ContactName: "Jo Doe", Street: "Platz der Republik", StreetNumber: "1", ZipCode: "11011", City: "Berlin",
			Country: "DE", Tags: []string{"BILLING", "SHIPPING"},
		},
	})
	return "customer " + j.jo.number + ", " + j.jo.email, err
}

func (j *journey) activate(ctx context.Context) (string, error) {
	if err := j.jo.hasAccount(); err != nil {
		return "", err
	}
	err := j.jo.Customers.Activate(ctx, j.jo.number)
	j.jo.activated = err == nil
	return "by an employee: the account is active", err
}

func (j *journey) login(ctx context.Context) (string, error) {
	if err := j.jo.hasAccount(); err != nil {
		return "", err
	}
	return j.jo.login(ctx)
}

// Jo's session.

// refresh renews the tokens explicitly. The SDK does it by itself when it is time.
func (j *journey) refresh(ctx context.Context) (string, error) {
	before, _ := j.jo.Info(ctx)
	if before.Kind != emporix.SessionCustomer {
		return "", emporix.ErrNotLoggedIn
	}
	info, err := j.jo.Auth.Refresh(ctx)
	return continued(before, info) + ", " + lasting(info), err
}

func (j *journey) addCompany(ctx context.Context) error {
	if info, _ := j.jo.Info(ctx); info.Kind != emporix.SessionCustomer {
		return nil // the call says that it needs a customer
	}
	return j.fake.addCompany(ctx, emporixfake.Company{
		ID: j.company, Name: "Emporix", Contacts: []emporixfake.Contact{{Email: j.jo.email}},
	})
}

func (j *journey) switchLegalEntity(ctx context.Context) (string, error) {
	info, err := j.jo.Auth.SwitchLegalEntity(ctx, j.company)
	return "through Auth.SwitchLegalEntity: acts for " + info.LegalEntityID, err
}

func (j *journey) validate(ctx context.Context) (string, error) {
	token, err := j.jo.Auth.Validate(ctx)
	if err != nil {
		return "", err
	}
	note := fmt.Sprintf("good for %s, with %d scopes", span(token.ExpiresIn), len(token.Scopes))
	if token.LegalEntityID != "" {
		note += ", acts for " + token.LegalEntityID
	}
	return note, nil
}

// Jo's profile.

func (j *journey) getProfile(ctx context.Context) (string, error) { return j.profile(ctx, "Jo") }

func (j *journey) profile(ctx context.Context, firstName string) (string, error) {
	me, err := j.jo.Customers.Get(ctx, emporix.Expand("addresses", "mixin:*"))
	switch {
	case err != nil:
		return "", err
	case me.IsAnonymous():
		return "the placeholder of a guest", nil
	case me.FirstName != firstName:
		return "", fmt.Errorf("the first name is %q, and should be %q", me.FirstName, firstName)
	}
	j.version = me.Metadata.Version
	names := strings.Join(strings.Fields(me.FirstName+" "+me.MiddleName+" "+me.LastName), " ")
	return fmt.Sprintf("%s, version %d, with %s", names, j.version, addresses(len(me.Addresses))), nil
}

func (j *journey) updateProfile(ctx context.Context) (string, error) {
	patch := emporix.CustomerPatch{
		FirstName:  emporix.Set("Joanna"),
		MiddleName: emporix.Null[string](), // removed; what is not named stays
	}
	if j.version > 0 { // no change of another is overwritten
		patch.Metadata = emporix.Set(emporix.MetadataPatch{Version: emporix.Set(j.version)})
	}
	err := j.jo.Customers.Update(ctx, patch)
	j.updated = err == nil
	return "a new first name, no middle name", err
}

func (j *journey) getChangedProfile(ctx context.Context) (string, error) {
	if !j.updated {
		return "", needs("the update that was not done")
	}
	return j.profile(ctx, "Joanna")
}

// Jo's addresses.

func (j *journey) addAddress(ctx context.Context) (_ string, err error) {
	j.address, err = j.jo.Addresses.Add(ctx, emporix.AddressRequest{
		ContactName: "Joanna Doe", CompanyName: "Emporix", Street: "Friedrichstr.", StreetNumber: "1", ZipCode: "10117",
		City: "Berlin", Country: "DE", Tags: []string{"SHIPPING"},
	})
	return "address " + j.address, err
}

func (j *journey) listAddresses(ctx context.Context) (string, error) {
	list, err := j.jo.Addresses.List(ctx)
	return addresses(len(list)), err
}

// withAddress makes a call with the address that was added.
func (j *journey) withAddress(call func(id string) error) error {
	if j.address == "" {
		return needs("the address that was not added")
	}
	return call(j.address)
}

func (j *journey) updateAddress(ctx context.Context) (string, error) {
	return "another street number, and the default from now on", j.withAddress(func(id string) error {
		return j.jo.Addresses.Update(ctx, id, emporix.AddressPatch{StreetNumber: emporix.Set("2"), IsDefault: emporix.Set(true)})
	})
}

func (j *journey) addTags(ctx context.Context) (string, error) {
	return "BILLING and OFFICE", j.withAddress(func(id string) error { return j.jo.Addresses.AddTags(ctx, id, "BILLING", "OFFICE") })
}

func (j *journey) removeTags(ctx context.Context) (string, error) {
	return "SHIPPING", j.withAddress(func(id string) error { return j.jo.Addresses.RemoveTags(ctx, id, "SHIPPING") })
}

func (j *journey) getAddress(ctx context.Context) (note string, err error) {
	err = j.withAddress(func(id string) error {
		a, err := j.jo.Addresses.Get(ctx, id)
		if err == nil {
			note = fmt.Sprintf("%s %s, %s %s, tags %s", a.Street, a.StreetNumber, a.ZipCode, a.City, strings.Join(a.Tags, " "))
		}
		return err
	})
	return note, err
}

func (j *journey) deleteAddress(ctx context.Context) (string, error) {
	return "address " + j.address, j.withAddress(func(id string) error { return j.jo.Addresses.Delete(ctx, id) })
}

// Jo changes password and e-mail address.

func (j *journey) changePassword(ctx context.Context) (string, error) {
	chosen := newPassword()
	err := j.jo.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: j.jo.password, NewPassword: chosen})
	if err == nil {
		j.jo.password = chosen
	}
	return "the password that Jo knows is the new one", err
}

func (j *journey) requestEmailChange(ctx context.Context) (string, error) {
	address := newEmail("joanna")
	err := j.jo.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{
		Email: j.jo.email, Password: j.jo.password, NewEmail: address, SyncContactEmail: true,
	})
	j.expectMail(emporixfake.MailEmailChange, address, err)
	return "a mail is on its way to " + address, err
}

func (j *journey) confirmEmailChange(ctx context.Context) (string, error) {
	mail := j.mails[emporixfake.MailEmailChange]
	err := j.jo.Credentials.ConfirmEmailChange(ctx, mail.token)
	if err == nil {
		j.jo.email = mail.to
		j.jo.account += ", now " + mail.to
	}
	return "Jo logs in as " + mail.to, err
}

func (j *journey) logout(ctx context.Context) (string, error) {
	return "a guest again", j.jo.Auth.Logout(ctx)
}

// Jo forgot the password.

func (j *journey) requestPasswordReset(ctx context.Context) (string, error) {
	if err := j.jo.hasAccount(); err != nil {
		return "", err
	}
	err := j.jo.Credentials.RequestPasswordReset(ctx, j.jo.email, emporix.ForSite("main"))
	j.expectMail(emporixfake.MailPasswordReset, j.jo.email, err)
	return "a mail is on its way to " + j.jo.email, err
}

func (j *journey) resetPassword(ctx context.Context) (string, error) {
	chosen := newPassword()
	err := j.jo.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: j.mails[emporixfake.MailPasswordReset].token, Password: chosen})
	if err == nil {
		j.jo.password = chosen
	}
	return "a new password, with the token of the mail", err
}

// Kim signs up and confirms by e-mail.

// mailbox keeps the journey from leaving an account on a real tenant that cannot be
// confirmed.
func (j *journey) mailbox() error {
	if j.fake == nil {
		return needs("a tenant with double opt-in, and the mailbox that its mails go to")
	}
	return nil
}

func (j *journey) signUpKim(ctx context.Context) (string, error) {
	if err := j.mailbox(); err != nil {
		return "", err
	}
	err := j.kim.signUp(ctx, emporix.SignUpRequest{})
	return "customer " + j.kim.number + ", " + j.kim.email, err
}

func (j *journey) resendActivation(ctx context.Context) (string, error) {
	if err := cmp.Or(j.mailbox(), j.kim.hasAccount()); err != nil {
		return "", err
	}
	err := j.kim.Customers.ResendActivation(ctx, j.kim.email)
	j.expectMail(emporixfake.MailOptIn, j.kim.email, err)
	return "another mail is on its way to " + j.kim.email, err
}

func (j *journey) confirmSignUp(ctx context.Context) (string, error) {
	result, err := j.kim.Customers.ConfirmSignUp(ctx, j.mails[emporixfake.MailOptIn].token)
	switch {
	case err != nil:
		return "", err
	case result.LoggedIn:
		return "the account is active, and Kim is logged in; " + cart(result), nil
	default:
		return "the account is active", nil
	}
}

// Sam and Alex come from an identity provider. A shop gets the code with the
// redirect from there, and the token from its own backend.

func (j *journey) addSocialIdentity(ctx context.Context) error {
	return j.fake.addSocialIdentity(ctx, j.code, emporixfake.Identity{
		Email: j.sam.email, FirstName: "Sam", LastName: "Roe", CodeVerifier: j.verifier,
	})
}

func (j *journey) socialLogin(ctx context.Context) (string, error) {
	result, err := j.sam.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{
		Code: j.code, RedirectURI: "https://shop.example.com/callback", CodeVerifier: j.verifier,
	})
	if err != nil {
		return "", err
	}
	j.sam.account = "the account " + j.sam.email
	return fmt.Sprintf("logged in, may be idle for %s; %s", span(result.SessionIdleTime), cart(&result.LoginResult)), nil
}

func (j *journey) addSubjectToken(ctx context.Context) error {
	return j.fake.addSubjectToken(ctx, emporixfake.Subject{
		Token: j.subjectToken, Identity: emporixfake.Identity{Email: j.alex.email, FirstName: "Alex", LastName: "Poe"},
	})
}

func (j *journey) exchangeToken(ctx context.Context) (string, error) {
	result, err := j.alex.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: j.subjectToken})
	if err != nil {
		return "", err
	}
	j.alex.account = "the account " + j.alex.email
	return "logged in; " + cart(&result.LoginResult), nil
}

// cleanUp returns the steps that undo what the API lets a customer undo.
func (j *journey) cleanUp(ctx context.Context) chapter {
	c := chapter{title: "Cleaning up"}
	for _, p := range j.people() {
		info, err := p.Info(ctx)
		if err != nil || info.Kind != emporix.SessionCustomer || info.Expired {
			continue
		}
		if p == j.jo {
			list, err := p.Addresses.List(ctx)
			c.steps = append(c.steps, step{"Addresses.List", nil, func(context.Context) (string, error) {
				return addresses(len(list)) + " left", err
			}})
			for _, a := range list {
				c.steps = append(c.steps, step{"Addresses.Delete", nil, func(ctx context.Context) (string, error) {
					return "address " + a.ID, p.Addresses.Delete(ctx, a.ID)
				}})
			}
		}
		c.steps = append(c.steps, step{"Auth.Logout", nil, func(ctx context.Context) (string, error) {
			return p.email, p.Auth.Logout(ctx)
		}})
	}
	return c
}

// mail is one that the journey asked for.
type mail struct{ to, token string }

// expectMail notes where a mail was sent to, unless asking for it failed.
func (j *journey) expectMail(kind, to string, err error) {
	if err == nil {
		j.mails[kind] = mail{to: to}
	}
}

// mailOf gets the token of the mail of that kind.
func (j *journey) mailOf(kind string) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		m, requested := j.mails[kind]
		if !requested {
			if kind == emporixfake.MailOptIn {
				return cmp.Or(j.mailbox(), needs("the mail that was not sent"))
			}
			return needs("the request for it, which was not made")
		}
		m.token, err = j.fake.mailToken(ctx, kind, m.to)
		j.mails[kind] = m
		return err
	}
}

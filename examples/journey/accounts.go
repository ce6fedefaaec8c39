package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
)

// envEmail names the address of the account that the journey makes.
const envEmail = "EMPORIX_JOURNEY_EMAIL"

// account is that of one visitor: a session of the client, and what only the
// visitor knows.
type account struct {
	*emporix.Session
	email, password string
	number          string // of the customer
	account         string // what is left behind, "" if no account was made
	opened          bool   // whether the journey made the account, for certain
	activated       bool   // by an employee
}

// newAccount returns one that no tenant knows yet.
func newAccount(client *emporix.Client, name string) *account {
	return &account{
		Session:  client.Session(name + "-" + rand.Text()),
		email:    newEmail(name),
		password: newPassword(),
	}
}

// newEmail is an address that nobody has: example.com is reserved.
func newEmail(name string) string {
	return "journey-" + name + "-" + strings.ToLower(rand.Text()[:10]) + "@example.com"
}

// newPassword meets the usual rules of tenants.
func newPassword() string { return "Jo-1" + strings.ToLower(rand.Text()) }

// newJo returns the account that stays on a real tenant.
func newJo(client *emporix.Client) *account {
	jo := newAccount(client, "jo")
	if email := os.Getenv(envEmail); email != "" {
		jo.email = email
	}
	return jo
}

// signUp fills in what the visitor knows, and remembers what was made.
func (p *account) signUp(ctx context.Context, req emporix.SignUpRequest) error {
	req.Email, req.Password = p.email, p.password
	id, err := p.Customers.SignUp(ctx, req)
	p.number = id
	switch {
	case err == nil:
		p.opened, p.account = true, "the account "+p.email+", number "+id
	case errors.Is(err, emporix.ErrOutcomeUnknown) || errors.Is(err, emporix.ErrBadResponse):
		p.account = "perhaps the account " + p.email
	}
	return err
}

// hasAccount keeps the journey away from an account that somebody else made.
func (p *account) hasAccount() error {
	if !p.opened {
		return needs("the account that was not opened")
	}
	return nil
}

// login tells a tenant that wants accounts activated first, as most do, from
// one that refuses for another reason.
func (p *account) login(ctx context.Context) (string, error) {
	result, err := p.Auth.Login(ctx, emporix.LoginRequest{Email: p.email, Password: p.password})
	switch {
	case !p.activated && (errors.Is(err, emporix.ErrUnauthorized) || errors.Is(err, emporix.ErrForbidden)):
		return "", needs(fmt.Sprintf("an account that an employee activated; the tenant said: %v", err))
	case err != nil:
		return "", err
	}
	return "logged in; " + cart(result), nil
}

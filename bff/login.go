package bff

import (
	"context"
	"errors"
	"fmt"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// Login is what a login came to. It holds no token.
type Login struct {
	emporix.LoginResult
	// Customer is the profile, read right after the login.
	Customer *emporix.Customer
	// Guest is the session before the login: the cart to merge is bound to its
	// SessionID.
	Guest emporix.SessionInfo
}

// Login logs the visitor in, and gives them a new ID. The session goes on as the
// customer's, with the cart. A wrong password changes nothing. The login ends as
// it should even when the browser goes away before it is done, but not past the deadline of
// ctx: what is cut off then is no login. It costs two calls of the
// API: the login, and the profile, whose customer number is what logging out
// everywhere goes by. A *HookError of BeforeLogin means that no customer is logged
// in; one of AfterLogin comes with the result, and the login stands. Where the
// profile can't be read, or the login can't be listed, no customer is logged in, and
// the guest's session is over with it. Other errors: those of
// emporix.AuthService.Login, emporix.ErrStoreUnavailable (no customer is logged in),
// ErrTooLate, ErrReadOnly.
func (v *Visit) Login(ctx context.Context, req emporix.LoginRequest) (*Login, error) {
	return v.login(ctx, func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
		return plain(s.Auth.Login(ctx, req))
	})
}

// ExchangeToken logs the visitor in with a token of an external identity
// provider; see Login. Errors: also those of emporix.AuthService.ExchangeToken.
func (v *Visit) ExchangeToken(ctx context.Context, req emporix.ExchangeTokenRequest) (*Login, error) {
	return v.login(ctx, func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
		result, err := s.Auth.ExchangeToken(ctx, req)
		if err != nil {
			return emporix.LoginResult{}, err
		}
		return result.LoginResult, nil
	})
}

// ConfirmSignUp completes a sign-up with the token of the activation mail. Where
// the tenant logs the customer in with it, it is a login. A link in a mail is
// opened by scanners too: have a person press a button. Errors: also those of
// emporix.CustomersService.ConfirmSignUp; any error of a login that was to follow is
// emporix.ErrOutcomeUnknown too: the sign-up is complete, and the token used.
func (v *Visit) ConfirmSignUp(ctx context.Context, token string) (*Login, error) {
	confirmed := false
	login, err := v.login(ctx, func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
		result, err := plain(s.Customers.ConfirmSignUp(ctx, token))
		confirmed = err == nil
		return result, err
	})
	if err != nil && login == nil && confirmed {
		return nil, fmt.Errorf("%w: %w", errConfirmed, err)
	}
	return login, err
}

var errConfirmed = fmt.Errorf("bff: %w: the sign-up is complete, but the customer was not logged in", emporix.ErrOutcomeUnknown)

func plain(result *emporix.LoginResult, err error) (emporix.LoginResult, error) {
	if err != nil {
		return emporix.LoginResult{}, err
	}
	return *result, nil
}

func (v *Visit) login(ctx context.Context, call func(context.Context, *emporix.Session) (emporix.LoginResult, error)) (*Login, error) {
	in := v.inner()
	if err := v.beforeLogin(ctx); err != nil {
		return nil, err
	}
	var login Login
	var customer *emporix.Session
	err := in.change(ctx, true, func(ctx context.Context, s *emporix.Session, r *record) error {
		customer = s
		var err error
		if login.Guest, err = inTime(ctx, s.Info); err != nil {
			return err
		}
		err = timely(ctx, func(ctx context.Context) (err error) {
			login.LoginResult, err = call(ctx, s)
			return err
		})
		if err != nil || !login.LoggedIn {
			return err
		}
		if login.Customer, err = in.loggedIn(ctx, s); err != nil {
			return spentError{errors.Join(err, endSession(ctx, s))} // who it is must be known
		}
		now := time.Now()
		r.Customer, r.LoggedIn, r.Listed, r.Began = login.Customer.CustomerNumber, now.UnixMilli(), 0, now.Unix()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return in.afterLogin(ctx, customer, login)
}

// beforeLogin runs the hook of that name.
func (v *Visit) beforeLogin(ctx context.Context) error {
	hook := v.inner().b.opts.BeforeLogin
	if hook == nil {
		return nil
	}
	guest, err := v.Session(ctx)
	if err != nil {
		return err
	}
	_, err = runHook(ctx, "BeforeLogin", func() (struct{}, error) { return struct{}{}, hook(ctx, guest) })
	return err
}

// loggedIn returns the profile of the customer who has logged in, and makes sure that
// the login can be listed.
func (v *requestState) loggedIn(ctx context.Context, s *emporix.Session) (customer *emporix.Customer, err error) {
	err = timely(ctx, func(ctx context.Context) (err error) {
		customer, err = s.Customers.Get(ctx)
		return err
	})
	switch {
	case err != nil:
		return customer, err
	case customer.CustomerNumber == "" || customer.IsAnonymous():
		return customer, fmt.Errorf("bff: %w: the profile after a login has no customer number", emporix.ErrBadResponse)
	case v.b.index != nil:
		return customer, v.b.index.usable(ctx, customer.CustomerNumber)
	}
	return customer, nil
}

// afterLogin runs the hook of that name, which may change the login that is returned.
func (v *requestState) afterLogin(ctx context.Context, customer *emporix.Session, login Login) (*Login, error) {
	hook := v.b.opts.AfterLogin
	if hook == nil || !login.LoggedIn {
		return &login, nil
	}
	detached, cancel := detach(ctx)
	waiting, left := detached, context.CancelFunc(func() {})
	if deadline, found := ctx.Deadline(); found { // a browser that has gone is no reason to hurry
		waiting, left = context.WithDeadline(detached, deadline)
	}
	defer left()
	given := login // the hook may go on when this has returned
	_, err := runHook(waiting, "AfterLogin", func() (struct{}, error) {
		defer cancel()
		return struct{}{}, hook(detached, customer, &given)
	})
	if err != nil {
		return &login, err
	}
	return &given, nil
}

// SwitchLegalEntity makes the customer act for a company, and gives them a new
// ID. Errors: those of emporix.AuthService.SwitchLegalEntity,
// emporix.ErrStoreUnavailable and, when a logout everywhere comes in between,
// emporix.ErrSessionExpired (nothing has changed, unless the error is
// emporix.ErrOutcomeUnknown too: then the customer is logged out), ErrTooLate,
// ErrReadOnly.
func (v *Visit) SwitchLegalEntity(ctx context.Context, legalEntityID string) (info emporix.SessionInfo, err error) {
	err = v.inner().change(ctx, false, func(ctx context.Context, s *emporix.Session, _ *record) error {
		return timely(ctx, func(ctx context.Context) (err error) {
			info, err = s.Auth.SwitchLegalEntity(ctx, legalEntityID)
			return err
		})
	})
	return info, err
}

// ChangePassword changes the customer's password, and gives them a new ID. Their
// other sessions go on, as far as the server lets them; LogoutEverywhere ends
// those. Errors: those of emporix.CredentialsService.ChangePassword,
// emporix.ErrStoreUnavailable and, when a logout everywhere comes in between,
// emporix.ErrSessionExpired (the password is as it was, unless the error is
// emporix.ErrOutcomeUnknown too: then it is changed, and the customer logged
// out), ErrTooLate, ErrReadOnly.
func (v *Visit) ChangePassword(ctx context.Context, req emporix.ChangePasswordRequest) error {
	return v.inner().change(ctx, false, func(ctx context.Context, s *emporix.Session, _ *record) error {
		return timely(ctx, func(ctx context.Context) error { return s.Credentials.ChangePassword(ctx, req) })
	})
}

// Logout logs the customer out, here whatever the server says, and removes the
// cookie: the next request is of a new visitor. At the deadline of ctx the call of
// the server goes on, and the error is emporix.ErrUnavailable. Errors: those of
// emporix.AuthService.Logout, ErrTooLate, ErrReadOnly. After
// emporix.ErrStoreUnavailable, also of a request that had to wait for another one,
// and after ErrTooLate and ErrReadOnly the customer may still be logged in; after
// any other error they are not.
func (v *Visit) Logout(ctx context.Context) error {
	in := v.inner()
	switch {
	case in.readOnly:
		return ErrReadOnly
	case in.late():
		return ErrTooLate
	}
	ctx, cancel := detach(ctx) // also for who closes the tab at once
	defer cancel()
	if err := in.hold(ctx); err != nil {
		return stillIn(err)
	}
	defer in.release()
	for range saveTries {
		// A customer who switched the company a moment ago is logged out all the same.
		who, err := in.successor(ctx)
		if err != nil {
			return stillIn(err)
		}
		if who == nil {
			in.become(nil, false)
			return emporix.ErrNotLoggedIn
		}
		if done, err := in.logout(ctx, who); done {
			return err
		}
		in.opened = false // another request was faster
	}
	return stillIn(errBusy)
}

// stillIn is the error of a logout that has ended nothing.
func stillIn(err error) error {
	if errors.Is(err, emporix.ErrStoreUnavailable) {
		return err
	}
	return fmt.Errorf("bff: %w: the customer may still be logged in: %w", emporix.ErrStoreUnavailable, err)
}

// logout ends the visitor's ID and then the session. With the ID or
// the session gone, the ID logs no customer in. It is not done if the record has changed.
func (v *requestState) logout(ctx context.Context, who *visitorRecord) (done bool, err error) {
	session := v.b.client.Session(who.Key)
	info, err := inTime(ctx, session.Info)
	switch {
	case errors.Is(err, emporix.ErrStoreCorrupt): // the row goes
	case err != nil:
		return true, stillIn(err)
	case info.Kind != emporix.SessionCustomer && !info.Expired && who.Customer == "":
		return true, emporix.ErrNotLoggedIn
	}
	retired, idErr := v.b.keep.retire(ctx, who)
	if idErr == nil && !retired {
		return false, nil
	}
	err = endSession(ctx, session) // nil also where it had ended by itself, long ago
	switch {
	case idErr == nil:
		err = notRemoved(err)
	case errors.Is(err, errStuck), // before or after it was removed
		errors.Is(err, emporix.ErrStoreUnavailable), errors.Is(err, emporix.ErrClosed):
		return true, stillIn(err)
	}
	if idErr != nil {
		v.b.log(ctx, "the ID of a customer who has logged out could not be removed", idErr)
	}
	v.unlist(ctx, who.Customer, who.id)
	v.become(nil, true)
	return true, err
}

// LogoutEverywhere logs the visiting customer out of all their sessions, this
// one included. Errors: emporix.ErrNotLoggedIn, those of BFF.LogoutEverywhere
// and of Logout.
func (v *Visit) LogoutEverywhere(ctx context.Context) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	in := v.inner()
	switch {
	case in.readOnly:
		return ErrReadOnly
	case in.late():
		return ErrTooLate
	}
	if err := in.hold(ctx); err != nil {
		return stillIn(err)
	}
	defer in.release()
	who, err := in.successor(ctx)
	if err != nil {
		return stillIn(err)
	}
	if who == nil || who.Customer == "" {
		return emporix.ErrNotLoggedIn
	}
	info, err := inTime(ctx, in.b.client.Session(who.Key).Info)
	switch {
	case err != nil:
		return stillIn(err)
	case info.Kind != emporix.SessionCustomer:
		return emporix.ErrNotLoggedIn
	}
	err = in.b.logoutEverywhere(ctx, who.Customer, entry{ID: who.id})
	if err == nil || !errors.Is(err, emporix.ErrStoreUnavailable) && !errors.Is(err, ErrNeedsStore) {
		in.become(nil, true)
	}
	return err
}

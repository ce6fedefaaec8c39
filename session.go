package emporix

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// Session is one visitor's view of the client: the same services, with this
// visitor's tokens. Client.Session makes it; a nil or zero Session panics. It
// holds no goroutine, no timer and nothing to close.
type Session struct {
	// Auth logs the customer in and out and keeps the tokens.
	Auth *AuthService
	// Customers signs customers up and keeps their profile.
	Customers *CustomersService
	// Addresses keeps the customer's addresses.
	Addresses *AddressesService
	// Credentials changes passwords and e-mail addresses.
	Credentials *CredentialsService

	core    func() *core
	visitor lifecycle.Visitor
	common  service
	invalid error // why the key is refused
}

// service is what every service is: a view of its session.
type service struct{ session *Session }

// on returns the session that a service acts for. A service that was made otherwise, such
// as that of a zero Client, panics with words.
func (s *service) on() *Session {
	if s == nil {
		return (*Session)(nil).made()
	}
	return s.session.made()
}

func (s *AuthService) on() *Session        { return (*service)(s).on() }
func (s *CustomersService) on() *Session   { return (*service)(s).on() }
func (s *AddressesService) on() *Session   { return (*service)(s).on() }
func (s *CredentialsService) on() *Session { return (*service)(s).on() }

// made returns s if Client.Session has made it, or NewClient for its client.
func (s *Session) made() *Session {
	if s == nil || s.core == nil {
		panic("emporix: a call on a Client, Session or service that NewClient and Client.Session have not made; check the error that NewClient returned")
	}
	return s
}

// visitorPrefix keeps visitors' rows apart from the client's own.
const visitorPrefix = "visitor/"

func newSession(get func() *core, prefix, key string) *Session {
	s := &Session{core: get}
	s.visitor.Init(get().sessions, prefix, key)
	s.common.session = s
	s.Auth = (*AuthService)(&s.common)
	s.Customers = (*CustomersService)(&s.common)
	s.Addresses = (*AddressesService)(&s.common)
	s.Credentials = (*CredentialsService)(&s.common)
	return s
}

func checkKey(key string) string {
	switch {
	case key == "":
		return "is empty; give each visitor a random key of its own"
	case len(key) > 256:
		return fmt.Sprintf("has %d bytes; at most 256 are allowed", len(key))
	case headerText(key, len(key)) == "": // the usual case, and quick
		return ""
	case !utf8.ValidString(key):
		return "is not valid UTF-8"
	case strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }):
		return "holds a control character"
	}
	return ""
}

// SessionKind says whose session it is.
type SessionKind string

const (
	// SessionNone: nothing has been asked of the API yet, or the customer logged out.
	SessionNone SessionKind = "none"
	// SessionAnonymous: a guest's session.
	SessionAnonymous SessionKind = "anonymous"
	// SessionCustomer: a customer is logged in.
	SessionCustomer SessionKind = "customer"
)

var sessionKinds = map[lifecycle.Kind]SessionKind{
	lifecycle.None: SessionNone, lifecycle.Anonymous: SessionAnonymous, lifecycle.Customer: SessionCustomer,
}

// SessionInfo tells about a session, without a secret.
type SessionInfo struct {
	Kind SessionKind
	// Expired is set when a customer's session ended by itself and there was no
	// login or logout since.
	Expired bool
	// SessionID is Emporix's ID, to which the visitor's cart is bound.
	SessionID string
	// LegalEntityID is the company that a B2B customer acts for, if any.
	LegalEntityID string
	// AccessExpires is when the present access token ends; renewals move it.
	AccessExpires time.Time
	// RefreshExpires is when the session can't be renewed any more.
	RefreshExpires time.Time
	// CanRefresh is set while there is a live refresh token. A customer's
	// session without one goes on until AccessExpires.
	CanRefresh bool
	// SaaSTokenExpires is when the customer's SaaS token ends, as it says
	// itself; zero if there is none, or it does not say.
	SaaSTokenExpires time.Time
}

// Info tells what the session is now. It makes no request of the API and starts
// no session. Errors: ErrStoreUnavailable, ErrStoreCorrupt, ErrClosed.
func (s *Session) Info(ctx context.Context) (SessionInfo, error) {
	s.made()
	r, err := s.record(ctx)
	if err != nil {
		return SessionInfo{}, failedCall(ctx, "Session.Info", err)
	}
	return SessionInfo{
		Kind: sessionKinds[r.Kind], Expired: r.Over(), SessionID: r.SessionID, LegalEntityID: r.LegalEntity,
		AccessExpires: r.AccessUntil, RefreshExpires: r.RefreshUntil, CanRefresh: r.CanRenew(),
		SaaSTokenExpires: jwtExpiry(r.SaaS),
	}, nil
}

// SaaSToken returns the customer's SaaS token, which the checkout asks for in
// its saas-token header. It comes with the login, is never renewed, and is empty
// (IsZero) if the login answered none. Errors: ErrNotLoggedIn, ErrSessionExpired,
// and those of Info.
func (s *Session) SaaSToken(ctx context.Context) (Secret, error) {
	s.made()
	r, err := s.record(ctx)
	switch {
	case err != nil:
	case r.Ended:
		err = ErrSessionExpired
	case r.Kind != lifecycle.Customer:
		err = ErrNotLoggedIn
	}
	if err != nil {
		return Secret{}, failedCall(ctx, "Session.SaaSToken", err)
	}
	return r.SaaS, nil
}

// MoveTo carries the session over to another key, one that has never been used,
// and returns the session there. The old key then names no session. A BFF gives
// its visitor a new key at login, logout, password change and company switch, so
// that the old one is of no use to others who knew it. Errors: ErrConflict (the key is
// in use), ErrStoreUnavailable (the session stays where it is, and what the store may
// have written at the new key is replaced by a tombstone), ErrClosed, and the
// context's. If ctx ends before the move has begun, the session stays. If ctx ends
// later, the move goes on, and the error is ErrOutcomeUnknown as well.
func (s *Session) MoveTo(ctx context.Context, key string) (*Session, error) {
	s.made()
	to := newSession(s.core, visitorPrefix, key)
	if reason := checkKey(key); reason != "" {
		return nil, &ArgumentError{Field: "session key", Reason: reason}
	}
	if s.invalid != nil {
		return nil, s.invalid
	}
	if err := s.visitor.MoveTo(ctx, &to.visitor); err != nil {
		return nil, failedCall(ctx, "Session.MoveTo", err)
	}
	return to, nil
}

// RenewIfDue renews the session's tokens if it is time to, and waits for the renewal.
// It is of use only with WithForegroundRenewal. If a renewal fails while the access
// token lives, RenewIfDue returns an error, and the session goes on. Errors: those
// of Auth.Refresh.
func (s *Session) RenewIfDue(ctx context.Context) error {
	s.made()
	if s.invalid != nil {
		return s.invalid
	}
	if err := s.visitor.RenewIfDue(ctx); err != nil {
		return failedCall(ctx, "Session.RenewIfDue", err)
	}
	return nil
}

func (s *Session) record(ctx context.Context) (lifecycle.Record, error) {
	if s.invalid != nil {
		return lifecycle.Record{}, s.invalid
	}
	return s.visitor.Info(ctx)
}

// jwtExpiry reads the exp claim without verifying anything: it is for display.
func jwtExpiry(token Secret) time.Time {
	_, rest, _ := strings.Cut(token.Reveal(), ".")
	payload, _, found := strings.Cut(rest, ".")
	if !found {
		return time.Time{}
	}
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	var claims struct {
		Expires wire.Time `json:"exp"` // a number by RFC 7519, a string where it was re-encoded
	}
	if err != nil || json.Unmarshal(data, &claims) != nil || claims.Expires.IsZero() {
		return time.Time{}
	}
	return time.Unix(claims.Expires.Unix(), 0)
}

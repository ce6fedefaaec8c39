package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Login is what a login came to.
type Login struct {
	Grant          Grant
	SessionID      string
	SessionChanged bool
	Established    bool // false: the call succeeded and answered without tokens
}

// Login runs a call that may answer with a customer's tokens, authorised with
// the visitor's own anonymous token so that cart and session ID survive. Over
// another customer's session it is authorised with a new anonymous session, and
// nothing of the old one is carried over.
func (m *Manager) Login(ctx context.Context, v *Visitor, call func(context.Context, Token) (Grant, error)) (Login, error) {
	if m.shut() {
		return Login{}, sentinel.Closed
	}
	before, bearer, err := m.loginBearer(ctx, v)
	if err != nil {
		return Login{}, err
	}
	g, err := call(ctx, bearer)
	if outcome(err) == BearerRefused && err != nil && bearer.owner != nil {
		renewed, ok, renewErr := m.Renew(ctx, v, WantAnonymous, bearer)
		switch {
		case renewErr != nil:
			return Login{}, renewErr
		case ok && renewed.owner == v:
			bearer = renewed
			g, err = call(ctx, bearer)
		}
	}
	if err != nil {
		return Login{}, cause(err)
	}
	if g.Access.IsZero() {
		return Login{Grant: g, SessionID: before.SessionID}, nil
	}
	if g.SessionID == "" {
		g.SessionID = bearer.SessionID
	}
	// An error here is told to the observer: the login stands, and is written later.
	_, _ = m.put(v, before, func(current *Record) *Record { return begin(Customer, g, current.Generation) }, EventLoggedIn)
	return Login{Grant: g, SessionID: g.SessionID, SessionChanged: g.SessionID != before.SessionID, Established: true}, nil
}

// loginBearer returns the session as it was, and the bearer for a login.
func (m *Manager) loginBearer(ctx context.Context, v *Visitor) (*Record, Token, error) {
	s, err := m.read(ctx, v)
	if err != nil {
		return nil, Token{}, err
	}
	if s.record.Kind == Customer {
		g, err := m.cfg.Issuer.Anonymous(ctx, m.cfg.Context)
		if err != nil {
			return nil, Token{}, cause(err)
		}
		return s.record, Token{&bearer{
			Kind: Anonymous, Access: g.Access, Bearer: secret.New("Bearer " + g.Access.Reveal()), SessionID: g.SessionID,
		}}, nil
	}
	bearer, err := m.Token(ctx, v, WantAnonymous)
	if err != nil {
		return nil, Token{}, err
	}
	s, err = m.read(ctx, v)
	if err != nil {
		return nil, Token{}, err
	}
	return s.record, bearer, nil
}

// Logout removes the customer's session, whatever the server says, and then
// tells the server with call.
func (m *Manager) Logout(ctx context.Context, v *Visitor, call func(context.Context, Token) error) error {
	if m.shut() {
		return sentinel.Closed
	}
	s, err := m.read(ctx, v)
	if errors.Is(err, sentinel.StoreCorrupt) {
		return m.discard(ctx, v)
	}
	if err != nil {
		return err
	}
	if s.record.Kind != Customer && !s.record.Ended {
		return sentinel.NotLoggedIn
	}
	out, storeErr := m.put(v, s.record, func(current *Record) *Record { return current.gone(false) }, EventLoggedOut)
	if storeErr != nil {
		storeErr = m.discard(ctx, v)
	}
	var callErr error
	if out.Kind == Customer && time.Now().Before(out.AccessUntil) {
		callErr = call(ctx, m.snapshot(v, out, 0).token())
	}
	return errors.Join(storeErr, cause(callErr))
}

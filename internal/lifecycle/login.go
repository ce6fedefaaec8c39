package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
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
func (v *Visitor) Login(ctx context.Context, call func(context.Context, Token) (Grant, error)) (Login, error) {
	if v.m().Closed() {
		return Login{}, sentinel.Closed
	}
	before, bearer, err := v.loginBearer(ctx)
	if err != nil {
		return Login{}, err
	}
	g, err := call(ctx, bearer)
	if outcome(err) == failure.BearerRefused && err != nil && bearer.owner != nil {
		renewed, ok, renewErr := v.replaceRejected(ctx, WantAnonymous, bearer, perhaps(err))
		switch {
		case renewErr != nil:
			return Login{}, renewErr
		case ok && renewed.owner == v:
			bearer = renewed
			g, err = call(ctx, bearer)
		}
	}
	if err != nil {
		return Login{}, err
	}
	if g.Access.IsZero() {
		return Login{Grant: g, SessionID: before.SessionID}, nil
	}
	if g.SessionID == "" {
		g.SessionID = bearer.SessionID
	}
	// An error here is told to the observer: the login stands, and is written later.
	_, _ = v.overwrite(ctx, before, func(current *Record) *Record { return begin(Customer, g, current.Generation) }, EventLoggedIn)
	return Login{Grant: g, SessionID: g.SessionID, SessionChanged: g.SessionID != before.SessionID, Established: true}, nil
}

// loginBearer returns the session as it was, and the bearer for a login. That is not
// the utility session's: a login takes over the session of its bearer, so customers
// would share one session ID and one cart.
func (v *Visitor) loginBearer(ctx context.Context) (*Record, Token, error) {
	s, err := v.snapshot(ctx)
	if err != nil {
		return nil, Token{}, err
	}
	if s.record.Kind != Customer {
		bearer, err := v.Token(ctx, WantAnonymous)
		if err != nil {
			return nil, Token{}, err
		}
		if s, err = v.snapshot(ctx); err != nil {
			return nil, Token{}, err
		}
		if bearer.owner == v { // else a customer has logged in since, perhaps in another process
			return s.record, bearer, nil
		}
	}
	g, err := v.m().cfg.Issuer.Anonymous(ctx, v.m().cfg.Context)
	if err != nil {
		return nil, Token{}, err
	}
	return s.record, Token{&bearer{
		Kind: Anonymous, Access: g.Access, Bearer: secret.New("Bearer " + g.Access.Reveal()), SessionID: g.SessionID,
	}}, nil
}

// Logout removes the customer's session, whatever the server says, and then
// tells the server with call.
func (v *Visitor) Logout(ctx context.Context, call func(context.Context, Token) error) error {
	if v.m().Closed() {
		return sentinel.Closed
	}
	var known *Record
	began := time.Now()
	s, err := v.snapshot(ctx)
	if err == nil && s.record.Kind != Customer && s.taken.Before(began) {
		s, err = v.freshSnapshot(ctx)
	}
	switch {
	case err == nil && s.record.Kind != Customer && !s.record.Ended:
		return sentinel.NotLoggedIn
	case err == nil:
		known = s.record
	case ctx.Err() != nil: // it is read and removed all the same
	case !errors.Is(err, sentinel.StoreCorrupt) && !errors.Is(err, sentinel.RowLocked):
		return err
	}
	was, storeErr := v.remove(ctx, known)
	if was == nil || !was.aliveCustomer() {
		return storeErr
	}
	err = call(ctx, v.newSnapshot(was, 0).token())
	if storeErr != nil {
		err = errors.Join(storeErr, err)
	}
	return err
}

// remove puts a tombstone in place of the session; where the store does not take
// that, or the row can't be read, it deletes the row. It goes on when the caller
// leaves, and then tells the server too. It returns what it removed.
func (v *Visitor) remove(ctx context.Context, known *Record) (*Record, error) {
	var was *Record
	err, done := errPanic, make(chan struct{})
	began := v.m().detach(func() {
		defer close(done)
		was, err = v.writeTombstone(known)
		if ctx.Err() != nil && was != nil && was.aliveCustomer() {
			v.revoke(was)
		}
	})
	if !began {
		return nil, sentinel.Closed
	}
	select {
	case <-done:
		return was, err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: the session is still being removed: %w", sentinel.StoreUnavailable, context.Cause(ctx))
	}
}

func (v *Visitor) writeTombstone(known *Record) (was *Record, err error) {
	if known == nil {
		known, err = v.current(v.m().ctx)
		switch {
		case err == nil && known.Kind != Customer && !known.Ended:
			return nil, sentinel.NotLoggedIn
		case err != nil && !errors.Is(err, sentinel.StoreCorrupt) && !errors.Is(err, sentinel.RowLocked):
			return nil, err
		}
	}
	if known != nil {
		was, err = v.overwrite(v.m().ctx, known, func(current *Record) *Record { return current.tombstone(false) }, EventLoggedOut)
	}
	if known == nil || err != nil {
		err = v.discard(known != nil)
	}
	return was, err
}

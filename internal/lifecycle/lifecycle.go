// Package lifecycle keeps the sessions of a client alive: it obtains anonymous
// tokens, upgrades them to customer tokens, renews both in time, and persists
// every step. It knows no HTTP: tokens come from an Issuer, rows live in a Store.
//
// A session is a Record under one key. Its state decides what a call does next
// (plan.go); everything that changes a record runs in one flight per key
// (flight.go) or is an explicit login or logout (login.go), and every change is
// written by comparing generations (commit.go). How a refresh token is sent, step
// by step, begins in refresh.go.
package lifecycle

import (
	"context"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// Kind says whose session a record holds.
type Kind uint8

// None is a key without a session: never seen, or logged out.
const (
	None Kind = iota
	Anonymous
	Customer
	Employee
)

func (k Kind) String() string {
	return [...]string{"none", "anonymous", "customer", "employee"}[k]
}

// Want says which bearer a call needs.
type Want uint8

const (
	// WantAnonymous is the visitor's own anonymous bearer, or the utility
	// session's while a customer is logged in.
	WantAnonymous Want = iota
	// WantCustomer is the logged-in customer's bearer.
	WantCustomer
	// WantAny is the customer's bearer, else the anonymous one.
	WantAny
	// WantEmployee is the bearer of the configured employee credentials.
	WantEmployee
)

// SessionContext is what an anonymous session starts with.
type SessionContext struct {
	Currency       string `json:"c,omitempty" url:"currency,omitempty"`
	SiteCode       string `json:"s,omitempty" url:"siteCode,omitempty"`
	Language       string `json:"l,omitempty" url:"language,omitempty"`
	TargetLocation string `json:"t,omitempty" url:"targetLocation,omitempty"`
}

// Grant is the response of a token call, and when the call was sent: lifetimes
// count from there.
type Grant struct {
	wire.Token
	SentAt time.Time
	// Date is the server's own time; zero if the response does not say.
	Date time.Time
}

// Issuer makes the token calls. Each sends at most what its name says and
// returns an error with a *failure.Failure in it when it fails.
type Issuer interface {
	Anonymous(ctx context.Context, sc SessionContext) (Grant, error)
	RefreshAnonymous(ctx context.Context, refresh secret.Secret) (Grant, error)
	RefreshCustomer(ctx context.Context, bearer, refresh secret.Secret, legalEntityID string) (Grant, error)
	Employee(ctx context.Context) (Grant, error)
	// Revoke ends an access token that is of no use any more; best effort.
	Revoke(ctx context.Context, access secret.Secret) error
}

// Store keeps rows. Its methods have the semantics of the root package's
// TokenStore.
type Store interface {
	Load(ctx context.Context, key string) (data []byte, found bool, err error)
	Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
}

// conditionalStore is the optional upgrade of a Store: save only if the row has
// the expected generation (0: there is no row).
type conditionalStore interface {
	Load(ctx context.Context, key string) (data []byte, found bool, err error)
	Delete(ctx context.Context, key string) error
	SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error)
}

// EventKind says what happened to a session.
type EventKind uint8

// The events; the root package exports and documents each.
const (
	EventStarted EventKind = iota + 1
	EventRefreshed
	EventReplaced
	EventLoggedIn
	EventLoggedOut
	EventExpired
	EventSessionIDChanged
	EventRefreshFailed
	EventStoreWriteFailed
)

// Event is one thing that happened to one session.
type Event struct {
	Kind    EventKind
	Session Kind
	Key     secret.Secret // the visitor's key; zero for the client's own session
	Err     error
}

// Token is a bearer ready for use. It is a view of the snapshot that it comes
// from, so that handing it out costs a pointer.
type Token struct{ *bearer }

type bearer struct {
	Kind       Kind
	Generation uint64
	Access     secret.Secret
	Bearer     secret.Secret // "Bearer …", the value of an Authorization header
	SessionID  string
	owner      *Visitor
}

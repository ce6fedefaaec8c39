package emporix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Error is one of the errors below. It is a constant, so that no program can
// overwrite it.
type Error = sentinel.Error

// Errors to branch on with errors.Is. The package documentation has the table
// of which status and body become which.
const (
	// ErrUnauthorized: the server rejected the access token (401).
	ErrUnauthorized Error = "emporix: unauthorized"
	// ErrForbidden: the bearer lacks a scope or right (403).
	ErrForbidden Error = "emporix: forbidden"
	// ErrNotFound: it does not exist, or no longer (404, 410).
	ErrNotFound Error = "emporix: not found"
	// ErrConflict: it exists already, or has changed since it was read (409, 412).
	ErrConflict Error = "emporix: conflict"
	// ErrInvalidRequest: the server (400, 413, 415, 422) or the SDK refused the
	// input. From the SDK it is an *ArgumentError, and nothing was sent.
	ErrInvalidRequest Error = "emporix: invalid request"
	// ErrRateLimited: too many requests (429); the error says how long to wait.
	ErrRateLimited Error = "emporix: rate limited"
	// ErrUnavailable: the service can't be reached, doesn't answer in time, or
	// can't answer now (408, 5xx); or a renewal was refused for another reason than
	// the refresh token. The end of the caller's own context is not it.
	ErrUnavailable Error = "emporix: unavailable"
	// ErrNotLoggedIn: the call needs a logged-in customer. Nothing was sent.
	ErrNotLoggedIn Error = "emporix: not logged in"
	// ErrLoggedIn: the call needs a session without a customer; log out first.
	ErrLoggedIn Error = "emporix: a customer is logged in"
	// ErrSessionExpired: the customer's session is over; ask for the password
	// again. Calls that need no customer go on working.
	ErrSessionExpired Error = "emporix: session expired"
	// ErrInvalidCredentials: the e-mail address or the password is wrong.
	ErrInvalidCredentials Error = "emporix: invalid credentials" // #nosec G101 -- a text
	// ErrAccountInactive: the account exists, but is not activated, is on hold or is
	// blocked. The API documents no code for it: it is told by the words of its message.
	// It is ErrInvalidCredentials too: a shop that must not tell who has an account
	// looks for that.
	ErrAccountInactive Error = "emporix: account inactive"
	// ErrNotRefreshable: the session lives, but no refresh token does.
	ErrNotRefreshable Error = "emporix: no live refresh token"
	// ErrOutcomeUnknown: the request may have been processed, but the response is
	// lost, can't be read, or does not say. Look before sending it again. Addresses.Delete,
	// AddTags and RemoveTags may be sent again; where they get no response, the error
	// is ErrUnavailable as well.
	ErrOutcomeUnknown Error = "emporix: outcome unknown"
	// ErrBadResponse: the response is not what the API promises.
	ErrBadResponse Error = "emporix: bad response"
	// ErrStoreUnavailable: the token store failed. No session was lost, unless
	// Client.Close returned the error.
	ErrStoreUnavailable Error = "emporix: token store unavailable"
	// ErrStoreCorrupt: the stored row can't be read. Logout discards it.
	ErrStoreCorrupt Error = "emporix: token store row unreadable"
	// ErrEmptyPatch: the patch sets nothing. Nothing was sent.
	ErrEmptyPatch Error = "emporix: empty patch"
	// ErrClosed: the client was closed.
	ErrClosed Error = "emporix: client closed"
	// ErrNoEmployee: the call needs WithEmployeeCredentials or WithEmployeeToken.
	ErrNoEmployee Error = "emporix: no employee credentials" // #nosec G101 -- a text
)

// APIError is a response of the server that is no success. It holds no request,
// no header and no secret. Always a pointer:
//
//	var apiErr *emporix.APIError
//	if errors.As(err, &apiErr) { … }
type APIError struct {
	Operation  string        // such as "Customers.Update"
	StatusCode int           // of HTTP
	Code       string        // the server's own classification, such as "conflict_resource"
	Message    string        // the server's words, cleaned and cut; may hold personal data
	MoreInfo   string        // where the server says that there is more to read, cleaned and cut
	Details    []ErrorDetail // causes, if the server names any
	RequestID  string        // for the vendor's support, if the server sent one
	RetryAfter time.Duration // how long the server asks to wait; 0 if it does not say
	Attempts   int           // how many requests were sent

	failure *failure.Failure // nil for an error that a user made
	scopes  string           // 403: the scope that the call needs, and those that were granted
}

// ErrorDetail is one cause of an APIError.
type ErrorDetail struct {
	Field    string // element of the request, if the cause lies in one
	Type     string
	Message  string
	MoreInfo string
}

// Error says which operation failed, how, and why.
func (e *APIError) Error() string { return "emporix: " + e.Operation + ": " + e.text() }

// text is Error without the operation.
func (e *APIError) text() string {
	var b strings.Builder
	fmt.Fprint(&b, e.StatusCode)
	switch {
	case e.Code != "":
		b.WriteString(" " + e.Code)
	case http.StatusText(e.StatusCode) != "":
		b.WriteString(" " + http.StatusText(e.StatusCode))
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	for i, d := range e.Details {
		if i == 3 {
			fmt.Fprintf(&b, " (and %d more)", len(e.Details)-i)
			break
		}
		b.WriteString(" [" + strings.TrimSpace(strings.TrimSpace(d.Field+" "+d.Message)) + "]")
	}
	if hint := e.hint(); hint != "" {
		b.WriteString("; " + hint)
	}
	switch {
	case e.Attempts > 1 && e.RequestID != "":
		b.WriteString(" (" + tries(e.Attempts) + ", request ID " + e.RequestID + ")")
	case e.Attempts > 1:
		b.WriteString(" (" + tries(e.Attempts) + ")")
	case e.RequestID != "":
		b.WriteString(" (request ID " + e.RequestID + ")")
	}
	return b.String()
}

func (e *APIError) hint() string {
	var hints []string
	f := e.cause()
	if f.Err != nil { // why a success is none
		hints = append(hints, f.Err.Error())
	}
	if hint := outcomeHints[f.Effect()]; hint != "" {
		hints = append(hints, hint)
	}
	switch {
	case f.LateDeadline:
		hints = append(hints, fmt.Sprintf("after %s the deadline leaves no time for another", tries(e.Attempts)))
	case e.RetryAfter > 0:
		hints = append(hints, fmt.Sprintf("the server asks to wait %s", max(e.RetryAfter.Round(time.Second), time.Second)))
	}
	if e.StatusCode >= 300 && e.StatusCode < 400 && e.StatusCode != http.StatusNotModified {
		hints = append(hints, "redirects are never followed, because tokens would follow them; check the base URL")
	}
	if e.scopes != "" {
		hints = append(hints, e.scopes)
	}
	return strings.Join(hints, "; ")
}

var outcomeHints = map[failure.Effect]string{
	failure.EffectUnknown:    "it may have been processed; look before sending it again",
	failure.EffectRepeatable: "it may have been processed; sending it again does no harm",
}

// cause is the failure that the error tells of. An error that a user made, for a test
// of their own, has none: its status counts, of a call that only reads.
func (e *APIError) cause() *failure.Failure {
	if e.failure != nil {
		return e.failure
	}
	return &failure.Failure{Op: userMade, Kind: failure.KindAnswered, Status: e.StatusCode}
}

var userMade = &operation.Operation{Retry: operation.Safe}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// Is matches the sentinels of this package.
func (e *APIError) Is(target error) bool {
	f := e.cause()
	switch target {
	case error(ErrUnauthorized):
		return e.StatusCode == http.StatusUnauthorized
	case error(ErrOutcomeUnknown):
		return f.Effect() != failure.EffectNone
	case error(ErrAccountInactive):
		return f.IsAccountInactive()
	case error(ErrInvalidCredentials):
		return f.IsAccountInactive() || f.Sentinel() == sentinel.InvalidCredentials
	case error(sentinel.NotTheCustomer):
		return f.IsNotTheCustomer()
	case error(sentinel.DeadToken):
		return f.IsDeadToken()
	case context.DeadlineExceeded:
		return f.LateDeadline
	}
	return target == error(f.Sentinel())
}

// As finds what the SDK itself knows of the response.
func (e *APIError) As(target any) bool { return asFailure(e.failure, target) }

func asFailure(f *failure.Failure, target any) bool {
	t, wanted := target.(**failure.Failure)
	if !wanted || f == nil {
		return false
	}
	*t = f
	return true
}

// LogValue returns the error's fields for slog.
func (e *APIError) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("operation", e.Operation), slog.Int("status", e.StatusCode), slog.String("code", e.Code),
		slog.String("message", e.Message), slog.String("request_id", e.RequestID), slog.Int("attempts", e.Attempts))
}

// TransportError is a call without a usable response. What it wraps holds no URL.
type TransportError struct {
	Operation string
	Attempts  int // how many requests were sent
	Err       error

	failure *failure.Failure // nil for an error that a user made
}

// Error says which operation failed, why, and what that means.
func (e *TransportError) Error() string { return "emporix: " + e.Operation + ": " + e.text() }

// text is Error without the operation.
func (e *TransportError) text() string {
	what, end := "no response", ""
	if f := e.failure; f != nil {
		switch {
		case f.Kind == failure.KindUnreadable:
			what = "bad response"
		case f.Kind == failure.KindInvalid:
			what = "not sent"
		case f.Effect() != failure.EffectNone:
			what = "the response was lost"
		}
		if hint := outcomeHints[f.Effect()]; hint != "" {
			end = "; " + hint
		}
	}
	if e.Attempts > 1 {
		what += " (" + tries(e.Attempts) + ")"
	}
	return fmt.Sprintf("%s: %v%s", what, e.Err, end)
}

// Is matches ErrOutcomeUnknown beside the sentinel that Unwrap returns.
func (e *TransportError) Is(target error) bool {
	return e.failure != nil && e.failure.Effect() != failure.EffectNone && target == error(ErrOutcomeUnknown)
}

// As finds what the SDK itself knows of the call.
func (e *TransportError) As(target any) bool { return asFailure(e.failure, target) }

// Unwrap returns the sentinel and the cause.
func (e *TransportError) Unwrap() []error {
	if e.failure != nil && e.failure.Sentinel() != "" {
		return []error{e.failure.Sentinel(), e.Err}
	}
	return []error{e.Err} // the caller's context ended
}

// Timeout reports whether a time limit ended the call, the caller's or one of
// the SDK's. Only the caller's is context.DeadlineExceeded.
func (e *TransportError) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(e.Err, &timeout) && timeout.Timeout()
}

// AuthError is a token call that failed while another call needed its token, or
// a renewal that was asked for.
type AuthError struct {
	Operation string // "anonymous", "refresh anonymous", "refresh" or "employee"
	Err       error  // what failed: an *APIError, a *TransportError or a sentinel
}

// Error says which token call failed and why.
func (e *AuthError) Error() string {
	text := textOf(e.Err)
	var apiErr *APIError
	if errors.As(e.Err, &apiErr) {
		if hint := tokenHints[tokenRefusal{e.Operation, apiErr.StatusCode}]; hint != "" {
			text = strings.TrimSuffix(text, ".") + "; " + hint
		}
	}
	return fmt.Sprintf("emporix: token (%s): %s", e.Operation, text)
}

// textOf is the text of an error without the operation, for an error that names
// another one.
func textOf(err error) string {
	if named, ok := err.(interface{ text() string }); ok {
		return named.text()
	}
	return strings.TrimPrefix(err.Error(), "emporix: ")
}

// tokenRefusal is a token call that needs no bearer, and the status that it got.
type tokenRefusal struct {
	call   string
	status int
}

// tokenHints say what to check when a token call is refused.
var tokenHints = map[tokenRefusal]string{
	{"anonymous", http.StatusBadRequest}:   "check the tenant's name",
	{"anonymous", http.StatusUnauthorized}: "check the tenant and the storefront's client ID",
	{"anonymous", http.StatusForbidden}:    "check the tenant and the storefront's client ID",
	{"anonymous", http.StatusNotFound}:     "check the base URL: it ends before /customerlogin and /customer",
	{"employee", http.StatusUnauthorized}:  "check the employee's client ID and secret",
	{"employee", http.StatusNotFound}:      "check the base URL: it ends before /oauth",
}

// Unwrap returns the cause.
func (e *AuthError) Unwrap() error { return e.Err }

// ArgumentError is an input that was refused before anything was sent. It is
// ErrInvalidRequest. It does not repeat the value, which may be a secret.
type ArgumentError struct {
	Operation string // such as "Customers.SignUp"; "" where it is no operation's
	Field     string // in the API's own words, such as "signup.email"; or the option
	Reason    string
}

// Error names the operation, the field and what is wrong with it.
func (e *ArgumentError) Error() string {
	if e.Operation == "" {
		return "emporix: " + e.text()
	}
	return "emporix: " + e.Operation + ": " + e.text()
}

// text is Error without the operation.
func (e *ArgumentError) text() string { return "invalid argument: " + e.Field + " " + e.Reason }

// Is matches ErrInvalidRequest.
func (e *ArgumentError) Is(target error) bool { return target == error(ErrInvalidRequest) }

// publicError is the error that a caller gets for a call that came to no usable
// response.
func publicError(f *failure.Failure) error {
	switch {
	case f.Kind == failure.KindInvalid && f.Field != "":
		return argumentError(f)
	case f.Kind != failure.KindAnswered:
		return &TransportError{Operation: f.Op.Name, Attempts: f.Attempts, Err: f.Err, failure: f}
	}
	p := f.Problem
	e := &APIError{
		Operation: f.Op.Name, StatusCode: f.Status, Code: p.Code, Message: p.Message, MoreInfo: p.MoreInfo,
		RequestID: f.RequestID, RetryAfter: f.RetryAfter, Attempts: f.Attempts, failure: f,
	}
	for _, d := range p.Details {
		e.Details = append(e.Details, ErrorDetail(d))
	}
	return e
}

func argumentError(f *failure.Failure) *ArgumentError {
	e := &ArgumentError{Field: f.Field, Reason: f.Err.Error()}
	if f.Op != nil {
		e.Operation = f.Op.Name
	}
	return e
}

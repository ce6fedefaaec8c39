package emporix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/transport"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// Errors to branch on with errors.Is. The package documentation has the table
// of which status and body become which.
const (
	// ErrUnauthorized: the server took the bearer for no good (401).
	ErrUnauthorized = sentinel.Unauthorized
	// ErrForbidden: the bearer lacks a scope or right (403).
	ErrForbidden = sentinel.Forbidden
	// ErrNotFound: it does not exist, or no longer (404, 410).
	ErrNotFound = sentinel.NotFound
	// ErrConflict: it exists already, or has changed meanwhile (409, 412).
	ErrConflict = sentinel.Conflict
	// ErrInvalidRequest: the server (400, 413, 415, 422) or the SDK refused the
	// input. From the SDK it is an *ArgumentError, and nothing was sent.
	ErrInvalidRequest = sentinel.InvalidRequest
	// ErrRateLimited: too many requests (429); the error says how long to wait.
	ErrRateLimited = sentinel.RateLimited
	// ErrUnavailable: the service can't be reached, doesn't answer in time, or
	// can't answer now (408, 5xx); or a renewal was refused for another reason than
	// the refresh token. The end of the caller's own context is not it.
	ErrUnavailable = sentinel.Unavailable
	// ErrNotLoggedIn: the call needs a logged-in customer. Nothing was sent.
	ErrNotLoggedIn = sentinel.NotLoggedIn
	// ErrLoggedIn: the call needs a session without a customer; log out first.
	ErrLoggedIn = sentinel.LoggedIn
	// ErrSessionExpired: the customer's session is over; ask for the password
	// again. Calls that need no customer go on working.
	ErrSessionExpired = sentinel.SessionExpired
	// ErrInvalidCredentials: the e-mail address or the password is wrong.
	ErrInvalidCredentials = sentinel.InvalidCredentials
	// ErrNotRefreshable: the session lives, but no refresh token does.
	ErrNotRefreshable = sentinel.NotRefreshable
	// ErrOutcomeUnknown: the request may have been processed, but the answer is
	// lost, can't be read, or does not say. Look before sending it again. Together
	// with ErrUnavailable for Addresses.Delete, AddTags and RemoveTags, which may be
	// sent again.
	ErrOutcomeUnknown = sentinel.OutcomeUnknown
	// ErrBadResponse: the answer is not what the API promises.
	ErrBadResponse = sentinel.BadResponse
	// ErrStoreUnavailable: the token store failed. No session was lost.
	ErrStoreUnavailable = sentinel.StoreUnavailable
	// ErrStoreCorrupt: the stored row can't be read. Logout discards it.
	ErrStoreCorrupt = sentinel.StoreCorrupt
	// ErrEmptyPatch: the patch sets nothing. Nothing was sent.
	ErrEmptyPatch = sentinel.EmptyPatch
	// ErrClosed: the client was closed.
	ErrClosed = sentinel.Closed
	// ErrNoEmployee: the call needs WithEmployeeCredentials or WithEmployeeToken.
	ErrNoEmployee = sentinel.NoEmployee
)

// APIError is an answer of the server that is no success. It holds no request,
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

	kind         sentinel.Error
	rejects      lifecycle.Rejection // whether the answer is about the bearer
	tokenOutcome lifecycle.Outcome   // of a token call
	about        wire.Subject
	foreign      bool // the body is none of the API's: a proxy's page, or anything
	outcome      outcome
	reason       string // why a success is none
	lateDeadline bool
	scopes       string // 403: the scope that the call needs, and those that were granted
}

// ErrorDetail is one cause of an APIError.
type ErrorDetail struct {
	Field    string // element of the request, if the cause lies in one
	Type     string
	Message  string
	MoreInfo string
}

// Error says which operation failed, how, and why.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "emporix: %s: %d", e.Operation, e.StatusCode)
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
	if e.RequestID != "" {
		b.WriteString(" (request ID " + e.RequestID + ")")
	}
	return b.String()
}

func (e *APIError) hint() string {
	var hints []string
	if e.reason != "" {
		hints = append(hints, e.reason)
	}
	if e.outcome != decided {
		hints = append(hints, e.outcome.hint())
	}
	switch {
	case e.lateDeadline:
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

// outcome says whether a call that failed may have been done all the same.
type outcome uint8

const (
	decided    outcome = iota // it was not, or it only reads
	unknown                   // it may have been
	repeatable                // it may have been, and ends in the same state when it is sent again
)

func (o outcome) hint() string {
	if o == repeatable {
		return "it may have been processed; sending it again does no harm"
	}
	return "it may have been processed; look before sending it again"
}

// outcomeOfLost is the outcome of an operation whose answer is lost, can't be
// read, or does not say what happened.
func outcomeOfLost(op *operation.Operation) outcome {
	switch op.Retry {
	case operation.Safe:
		return decided
	case operation.Repeatable:
		return repeatable
	default:
		return unknown
	}
}

// isAmbiguous reports the statuses that do not say whether the request was
// processed. A 4xx refuses it, but for a timeout; 501, 503 and 505 say that the
// server did not take it. Every other server error may have come after the work, a
// success that can't be used came after it, and a redirect is what many servers
// answer to a form that they have processed.
func isAmbiguous(status int) bool {
	switch status {
	case http.StatusNotImplemented, http.StatusServiceUnavailable, http.StatusHTTPVersionNotSupported:
		return false
	case http.StatusRequestTimeout:
		return true
	}
	return status < 400 || status >= 500
}

// lostByGateway reports a gateway fault about the connection to the API, such as the
// 503 when the API closes the connection while the gateway sends the request. The API
// may have processed the request.
func lostByGateway(status int, p wire.Problem) bool {
	return status >= 500 && p.Fault && strings.HasPrefix(p.Code, "messaging.adaptors.http.")
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// Is matches the sentinels of this package.
func (e *APIError) Is(target error) bool {
	switch target {
	case error(e.kind):
		return e.kind != ""
	case error(ErrUnauthorized):
		return e.StatusCode == http.StatusUnauthorized
	case error(ErrOutcomeUnknown):
		return e.outcome != decided
	case error(sentinel.NotTheCustomer):
		return e.StatusCode == http.StatusUnauthorized && e.kind == ErrUnauthorized && e.about == wire.SubjectOther
	case error(sentinel.DeadToken):
		return e.deadAlready()
	case context.DeadlineExceeded:
		return e.lateDeadline
	}
	return e.kind == "" && target == error(kindOf(e.StatusCode))
}

// LogValue returns the error's fields for slog.
func (e *APIError) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("operation", e.Operation), slog.Int("status", e.StatusCode), slog.String("code", e.Code),
		slog.String("message", e.Message), slog.String("request_id", e.RequestID), slog.Int("attempts", e.Attempts))
}

// TransportError is a call without a usable answer. What it wraps holds no URL.
type TransportError struct {
	Operation string
	Attempts  int // how many requests were sent
	Err       error

	kind    sentinel.Error
	outcome outcome
}

// Error says which operation failed, why, and what that means.
func (e *TransportError) Error() string {
	what, end := "no answer", ""
	switch e.kind {
	case ErrBadResponse:
		what = "bad response"
	case ErrInvalidRequest:
		what = "not sent"
	case ErrOutcomeUnknown:
		what = "the answer was lost"
	case ErrUnavailable:
		if e.outcome != decided {
			what = "the answer was lost"
		}
	}
	if e.Attempts > 1 {
		what += " (" + tries(e.Attempts) + ")"
	}
	if e.outcome != decided {
		end = "; " + e.outcome.hint()
	}
	return fmt.Sprintf("emporix: %s: %s: %v%s", e.Operation, what, e.Err, end)
}

// Is matches ErrOutcomeUnknown beside the sentinel that Unwrap returns.
func (e *TransportError) Is(target error) bool {
	return e.outcome != decided && target == error(ErrOutcomeUnknown)
}

// Unwrap returns the sentinel and the cause.
func (e *TransportError) Unwrap() []error {
	if e.kind == "" { // the caller's context ended
		return []error{e.Err}
	}
	return []error{e.kind, e.Err}
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
	Op  string // "anonymous", "refresh anonymous", "refresh" or "employee"
	Err error  // what failed: an *APIError, a *TransportError or a sentinel
}

// Error says which token call failed and why.
func (e *AuthError) Error() string {
	text := strings.TrimPrefix(e.Err.Error(), "emporix: ")
	if name, rest, found := strings.Cut(text, ": "); found && tokenCalls[name] {
		text = rest // Op says it
	}
	if errors.Is(e.Err, ErrUnauthorized) {
		text += whoseFault[e.Op]
	}
	return fmt.Sprintf("emporix: token (%s): %s", e.Op, text)
}

// whoseFault says what to look at when a token call that needs no bearer is 401.
var whoseFault = map[string]string{
	"anonymous": "; check the tenant and the storefront's client ID",
	"employee":  "; check the employee's client ID and secret",
}

var tokenCalls = map[string]bool{
	operation.AuthAnonymous.Name: true, operation.AuthRefreshAnonymous.Name: true, operation.AuthRefresh.Name: true, operation.OAuthToken.Name: true,
}

// Unwrap returns the cause.
func (e *AuthError) Unwrap() error { return e.Err }

// ArgumentError is an input that was refused before anything was sent. It is
// ErrInvalidRequest. It does not repeat the value, which may be a secret.
type ArgumentError struct {
	Field  string // in the API's own words, such as "signup.email"; or the option
	Reason string
}

// Error names the field and what is wrong with it.
func (e *ArgumentError) Error() string {
	return fmt.Sprintf("emporix: invalid argument: %s %s", e.Field, e.Reason)
}

// Is matches ErrInvalidRequest.
func (e *ArgumentError) Is(target error) bool { return target == error(ErrInvalidRequest) }

// kindOf maps a status to its sentinel.
func kindOf(status int) sentinel.Error {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return ErrInvalidRequest
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return ErrConflict
	case http.StatusTooManyRequests:
		return ErrRateLimited
	case http.StatusRequestTimeout:
		return ErrUnavailable
	}
	if status >= 500 && status <= 599 {
		return ErrUnavailable
	}
	return ErrBadResponse
}

// apiError turns an answer that is no success into an error.
func apiError(op *operation.Operation, a *transport.Answer) *APIError {
	p := wire.DecodeProblem(a.Body, a.Header.Get("Content-Type"))
	e := &APIError{
		Operation: op.Name, StatusCode: a.Status, Code: a.Scrub(p.Code), Message: a.Scrub(p.Message), MoreInfo: a.Scrub(p.MoreInfo),
		RequestID: a.Scrub(requestID(a.Header)), RetryAfter: a.RetryAfter, Attempts: a.Attempts, lateDeadline: a.LateDeadline,
		kind: kindOf(a.Status),
	}
	for _, d := range p.Details {
		e.Details = append(e.Details, ErrorDetail{
			Field: a.Scrub(d.Field), Type: a.Scrub(d.Type), Message: a.Scrub(d.Message), MoreInfo: a.Scrub(d.MoreInfo),
		})
	}
	if a.Cut { // what is missing may say otherwise
		p.Empty, p.Other = false, true
	}
	e.foreign = p.HTML || p.Other
	judge(e, op, p)
	if isAmbiguous(a.Status) || a.MaybeDone || lostByGateway(a.Status, p) {
		e.outcome = outcomeOfLost(op)
	}
	return e
}

// requestID returns the ID that support asks for, if it looks like one.
func requestID(h http.Header) string {
	for _, name := range []string{"X-Correlation-Id", "X-Request-Id", "X-B3-Traceid"} {
		id := h.Get(name)
		if id != "" && len(id) <= 128 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == "" {
			return id
		}
	}
	return ""
}

// callFailed turns a call without a usable answer into an error.
func callFailed(op *operation.Operation, err error) error {
	var f *transport.Failure
	if !errors.As(err, &f) {
		return fmt.Errorf("emporix: %s: %w", op.Name, err)
	}
	e := &TransportError{Operation: op.Name, Attempts: f.Attempts, Err: f.Err, kind: ErrUnavailable}
	switch {
	case f.Kind == transport.Invalid && f.Field != "":
		return refused(f)
	case f.Kind == transport.Invalid:
		e.kind = ErrInvalidRequest
	case f.Kind == transport.Unreadable:
		e.kind, e.outcome = ErrBadResponse, outcomeOfLost(op)
	case f.Kind == transport.Lost:
		e.outcome = outcomeOfLost(op)
		switch {
		case e.outcome == unknown:
			e.kind = ErrOutcomeUnknown
		case f.Ended:
			e.kind = "" // the service had no chance to answer
		}
	case f.Ended:
		e.kind = ""
	}
	return e
}

package emporix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/transport"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// request is one use of an operation, as a service method describes it.
type request struct {
	op         *operation.Operation
	path       []string  // values for the placeholders after {tenant}, in order
	query      any       // struct with url tags for go-querystring, or nil
	header     [2]string // name and value of a header of this operation's own
	body       any       // encoded as JSON; nil for none
	mergePatch bool      // send the body as application/merge-patch+json
	into       any       // what the answer is decoded into; nil if it is not read
}

var wants = map[operation.Bearer]lifecycle.Want{
	operation.Anonymous: lifecycle.WantAnonymous, operation.Customer: lifecycle.WantCustomer,
	operation.CustomerOrAnonymous: lifecycle.WantAny, operation.Employee: lifecycle.WantEmployee,
}

// do runs a request with the bearer that its operation needs.
func (s *Session) do(ctx context.Context, r request) error {
	call, err := s.prepare(r)
	if err != nil {
		return err
	}
	c, began := s.core(), time.Now()
	answer, err := c.authorized(ctx, &s.visitor, call)
	c.explainScopes(r.op, err)
	c.log(ctx, r.op, answer, err, began)
	if err != nil {
		return ofCall(ctx, r.op.Name, err)
	}
	defer answer.Release()
	return decode(r.op, answer, r.into)
}

// prepare turns a request into a call of the pipeline.
func (s *Session) prepare(r request) (transport.Call, error) {
	if s.invalid != nil {
		return transport.Call{}, s.invalid
	}
	call := transport.Call{Op: r.op, Path: r.path, Query: r.query, Header: r.header}
	if err := s.core().pipeline.Check(call); err != nil {
		return transport.Call{}, callFailed(r.op, err)
	}
	if r.body == nil {
		return call, nil
	}
	body, err := encode(r.body)
	if err != nil {
		return transport.Call{}, err
	}
	call.Body, call.ContentType = body, "application/json"
	if r.mergePatch {
		call.ContentType = "application/merge-patch+json"
	}
	call.Hidden = hiddenIn(r.op, body)
	return call, nil
}

// hiddenIn returns the values in a body that the operation's table calls secret.
func hiddenIn(op *operation.Operation, body []byte) (hidden []Secret) {
	for _, input := range op.Secrets {
		if path, inBody := strings.CutPrefix(input, "body:"); inBody {
			value := json.RawMessage(body)
			for name := range strings.SplitSeq(path, ".") {
				var members map[string]json.RawMessage
				_ = json.Unmarshal(value, &members)
				value = members[name]
			}
			var text string
			if json.Unmarshal(value, &text) == nil {
				hidden = append(hidden, NewSecret(text))
			}
		}
	}
	return hidden
}

// authorized sends a call with a bearer, and once more with a renewed one if
// the server rejects the first.
func (c *core) authorized(ctx context.Context, v *lifecycle.Visitor, call transport.Call) (*transport.Answer, error) {
	if call.Op.Bearer == operation.Employee && c.employeeToken != nil {
		token, err := c.suppliedToken(ctx)
		if err != nil {
			return nil, err
		}
		call.Bearer = NewSecret("Bearer " + token.Reveal())
		return c.send(ctx, call)
	}
	want := wants[call.Op.Bearer]
	token, err := c.sessions.Token(ctx, v, want)
	if err != nil {
		return nil, err
	}
	call.Bearer = token.Bearer
	answer, err := c.send(ctx, call)
	rejection := rejectionIn(err)
	if rejection == lifecycle.NotTheBearer || call.Op.Retry == operation.Once {
		return answer, err
	}
	renewed, ok, renewErr := c.renewRejected(ctx, v, want, token, rejection)
	switch {
	case renewErr != nil:
		return nil, renewErr
	case !ok:
		return nil, err
	}
	call.Bearer = renewed.Bearer
	call.MaybeDone = errors.Is(err, ErrOutcomeUnknown) // by a try before the one that was rejected
	before := attemptsOf(err)
	answer, err = c.send(ctx, call)
	if answer != nil {
		answer.Attempts += before
	}
	return answer, countMore(err, before)
}

// renewRejected renews a token that was rejected.
func (c *core) renewRejected(ctx context.Context, v *lifecycle.Visitor, want lifecycle.Want, token lifecycle.Token, how lifecycle.Rejection) (lifecycle.Token, bool, error) {
	if how == lifecycle.PerhapsTheBearer {
		renewed, ok := c.sessions.RenewDoubtful(ctx, v, want, token)
		return renewed, ok, nil
	}
	return c.sessions.Renew(ctx, v, want, token)
}

// attemptsOf returns how many requests an error of send tells of.
func attemptsOf(err error) (n int) {
	var apiErr *APIError
	if errors.As(err, &apiErr) {
		n = apiErr.Attempts
	}
	return n
}

// countMore adds what was sent with a bearer that was refused.
func countMore(err error, before int) error {
	switch e := err.(type) { //nolint:errorlint // send's own
	case *APIError:
		e.Attempts += before
	case *TransportError:
		e.Attempts += before
	}
	return err
}

func (c *core) suppliedToken(ctx context.Context) (Secret, error) {
	token, err := c.callEmployeeToken(ctx)
	if err != nil {
		return Secret{}, &AuthError{Op: "employee", Err: err}
	}
	if reason := headerText(token.Reveal(), 16<<10); token.IsZero() || reason != "" {
		return Secret{}, &AuthError{Op: "employee", Err: &ArgumentError{Field: "WithEmployeeToken", Reason: "returned no usable token"}}
	}
	return token, nil
}

// callEmployeeToken contains a panic of the user's function. Its value may hold
// anything and is not repeated.
func (c *core) callEmployeeToken(ctx context.Context) (token Secret, err error) {
	type result struct {
		token Secret
		err   error
	}
	defer func() {
		if recover() != nil {
			err = &ArgumentError{Field: "WithEmployeeToken", Reason: "panicked"}
		}
	}()
	got, err := bounded.Do(ctx, &c.calls, "the employee token function", func() (r result) {
		r.token, r.err = c.employeeToken(ctx)
		return r
	}, nil)
	if err != nil {
		return Secret{}, err
	}
	return got.token, got.err
}

// send carries a call to the server; the answer's status is a success. Which one
// does not matter: a write that is answered 2xx was done, and what the call
// returns has to be in the body whatever the status.
func (c *core) send(ctx context.Context, call transport.Call) (*transport.Answer, error) {
	answer, err := c.pipeline.Send(ctx, call)
	if err != nil {
		return nil, callFailed(call.Op, err)
	}
	keepRaw(ctx, call.Op, answer)
	if answer.Status >= 200 && answer.Status <= 299 {
		return answer, nil
	}
	if kindOf(answer.Status) == ErrNotFound && answer.MaybeDone && call.Op.GoneIsDone && saysGone(answer) {
		answer.Body = nil // an earlier try did it
		return answer, nil
	}
	defer answer.Release()
	return nil, apiError(call.Op, answer)
}

// saysGone reports whether a "not found" can be the API's: a gateway or a proxy
// without a route to the API answers the same.
func saysGone(a *transport.Answer) bool {
	p := wire.DecodeProblem(a.Body, a.Header.Get("Content-Type"))
	return !a.Cut && !p.Fault && !p.HTML && !p.Other
}

// callError names the operation on errors that don't name it themselves.
type callError struct {
	op  string
	err error
}

func (e *callError) Error() string {
	text := strings.TrimPrefix(e.err.Error(), "emporix: ")
	var known sentinel.Error
	if errors.As(e.err, &known) && hints[known] != "" {
		text += "; " + hints[known]
	}
	return "emporix: " + e.op + ": " + text
}

// hints say what to do about errors that arise here and not at the server.
var hints = map[sentinel.Error]string{
	sentinel.NotLoggedIn:    "call Auth.Login first",
	sentinel.SessionExpired: "ask the customer to log in again",
	sentinel.LoggedIn:       "call Auth.Logout first",
	sentinel.EmptyPatch:     "set at least one field, with Set or Null",
	sentinel.NoEmployee:     "configure WithEmployeeCredentials or WithEmployeeToken",
}

func (e *callError) Unwrap() error { return e.err }

// ofCall is wrap for what a call with that context failed with. A context that
// ended for a cause of the caller's own ended all the same. As long as it has not
// ended, the end of another context is a limit of the SDK's or of a store's: token
// calls and renewals belong to no caller.
func ofCall(ctx context.Context, op string, err error) error {
	switch err.(type) { //nolint:errorlint // the pipeline says itself whose context ended
	case *APIError, *TransportError:
		return err
	}
	end := ctx.Err()
	switch {
	case end != nil && !errors.Is(err, end) && errors.Is(err, context.Cause(ctx)):
		err = fmt.Errorf("%w: %w", err, end)
	case end == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)):
		err = &limitError{err}
	}
	return wrap(op, err)
}

// limitError is what the SDK or a store gave up, and not the caller.
type limitError struct{ err error }

func (e *limitError) Error() string { return e.err.Error() }

func (e *limitError) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded, context.Canceled:
		return false
	case error(ErrUnavailable):
		var auth *AuthError
		return errors.As(e.err, &auth) || errors.Is(e.err, target)
	}
	return errors.Is(e.err, target)
}

func (e *limitError) As(target any) bool { return errors.As(e.err, target) }

func wrap(op string, err error) error {
	switch err.(type) { //nolint:errorlint // it names its operation itself, or it is wrapped
	case *APIError, *TransportError, *ArgumentError, *callError:
		return err
	}
	return &callError{op: op, err: err}
}

func (c *core) log(ctx context.Context, op *operation.Operation, answer *transport.Answer, err error, began time.Time) {
	if c.logger == nil || c.plainLogger && !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{slog.String("operation", op.Name), slog.Duration("duration", time.Since(began))}
	if answer != nil {
		attrs = append(attrs, slog.Int("status", answer.Status), slog.Int("attempts", answer.Attempts))
	}
	attrs = append(attrs, errorAttrs(err)...)
	c.write(ctx, slog.LevelDebug, "emporix: call", attrs)
}

// logOdd tells of a token answer that was taken although it is not as documented.
func (c *core) logOdd(ctx context.Context, op *operation.Operation, odd []string) {
	if c.logger != nil && len(odd) > 0 {
		c.write(ctx, slog.LevelWarn, "emporix: odd token answer", []slog.Attr{slog.String("operation", op.Name), slog.String("odd", strings.Join(odd, "; "))})
	}
}

// errorAttrs says what a log line may say about an error: not the server's own
// message, which may hold an e-mail address.
func errorAttrs(err error) []slog.Attr {
	var apiErr *APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &apiErr):
		return []slog.Attr{
			slog.String("failed", apiErr.Operation), slog.Int("status", apiErr.StatusCode), slog.Int("attempts", apiErr.Attempts),
			slog.String("code", apiErr.Code), slog.String("request_id", apiErr.RequestID),
		}
	default:
		return []slog.Attr{slog.String("error", err.Error())}
	}
}

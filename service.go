package emporix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// request is one use of an operation, as a service method describes it.
type request struct {
	op          *operation.Operation
	path        []string // values for the placeholders after {tenant}, in order
	query       any      // struct with url tags for go-querystring, or nil
	body        any      // encoded as JSON; nil for none
	mergePatch  bool     // send the body as application/merge-patch+json
	withSession bool     // send the ID of the visitor's session in a header
	into        any      // what the response is decoded into; nil if it is not read
}

var wants = map[operation.Bearer]lifecycle.Want{
	operation.Anonymous: lifecycle.WantAnonymous, operation.Customer: lifecycle.WantCustomer,
	operation.CustomerOrAnonymous: lifecycle.WantAny, operation.Employee: lifecycle.WantEmployee,
}

// do runs a request with the bearer that its operation needs.
func (s *Session) do(ctx context.Context, r request) error {
	call, err := s.prepare(r)
	if err != nil {
		return named(r.op, err)
	}
	c, began := s.core(), time.Now()
	resp, err := c.authorized(ctx, &s.visitor, call)
	c.explainScopes(r.op, err)
	if err != nil {
		err = failedCall(ctx, r.op.Name, err)
	} else {
		defer resp.Release()
		err = decode(r.op, resp, r.into)
	}
	c.log(ctx, r.op, resp, err, began)
	return err
}

// named adds the operation to an error about one of its arguments.
func named(op *operation.Operation, err error) error {
	var argument *ArgumentError
	if errors.As(err, &argument) && argument.Operation == "" {
		own := *argument
		own.Operation = op.Name
		return &own
	}
	return err
}

// prepare checks and encodes a request, before anything is done to get a bearer.
func (s *Session) prepare(r request) (transport.Prepared, error) {
	if s.invalid != nil {
		return transport.Prepared{}, s.invalid
	}
	call := transport.Call{Op: r.op, Path: r.path, Query: r.query}
	if r.body != nil {
		body, err := encode(r.body)
		if err != nil {
			return transport.Prepared{}, err
		}
		call.Body, call.ContentType = body, "application/json"
		if r.mergePatch {
			call.ContentType = "application/merge-patch+json"
		}
		call.Hidden = hiddenIn(r.op, body)
	}
	return s.core().prepare(call)
}

func (c *core) prepare(call transport.Call) (transport.Prepared, error) {
	prepared, err := c.pipeline.Prepare(call)
	if err != nil {
		return transport.Prepared{}, publicError(failure.Of(err))
	}
	return prepared, nil
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
func (c *core) authorized(ctx context.Context, v *lifecycle.Visitor, call transport.Prepared) (*transport.Response, error) {
	if call.Op.Bearer == operation.Employee && c.employeeToken != nil {
		token, err := c.suppliedToken(ctx)
		if err != nil {
			return nil, unsent(err)
		}
		return c.send(ctx, call, transport.Authorization{Bearer: NewSecret("Bearer " + token.Reveal())})
	}
	want := wants[call.Op.Bearer]
	token, err := v.Token(ctx, want)
	if err != nil {
		return nil, unsent(err)
	}
	resp, err := c.send(ctx, call, transport.Authorization{Bearer: token.Bearer})
	f := failure.Of(err)
	if f == nil || f.Bearer == failure.NotTheBearer || call.Op.Retry == operation.Once {
		return resp, err
	}
	renewed, ok, renewErr := c.renewRejected(ctx, v, want, token, f.Bearer)
	switch {
	case renewErr != nil && errors.Is(err, ErrOutcomeUnknown): // by a try before the one that was rejected
		return nil, fmt.Errorf("%w: an earlier try of the call may have been processed: %w", ErrOutcomeUnknown, renewErr)
	case renewErr != nil:
		return nil, unsent(renewErr)
	case !ok:
		return nil, err
	}
	return c.send(ctx, call.After(f), transport.Authorization{Bearer: renewed.Bearer})
}

// renewRejected renews a token that was rejected.
func (c *core) renewRejected(ctx context.Context, v *lifecycle.Visitor, want lifecycle.Want, token lifecycle.Token, how failure.Rejection) (lifecycle.Token, bool, error) {
	if how == failure.PerhapsTheBearer {
		renewed, ok := v.ReplaceDoubtful(ctx, want, token)
		return renewed, ok, nil
	}
	return v.ReplaceRejected(ctx, want, token)
}

func (c *core) suppliedToken(ctx context.Context) (Secret, error) {
	token, err := c.callEmployeeToken(ctx)
	if err != nil {
		return Secret{}, &AuthError{Operation: "employee", Err: err}
	}
	if reason := headerText(token.Reveal(), 16<<10); token.IsZero() || reason != "" {
		return Secret{}, &AuthError{Operation: "employee", Err: &ArgumentError{Field: "WithEmployeeToken", Reason: "returned no usable token"}}
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

// send sends a call and returns its response if the status is 2xx. Which 2xx it is does
// not matter: the write was done, and the body must hold the result with any of them.
func (c *core) send(ctx context.Context, call transport.Prepared, auth transport.Authorization) (*transport.Response, error) {
	resp, err := c.pipeline.Send(ctx, call, auth)
	if err != nil {
		return nil, publicError(failure.Of(err))
	}
	keepRaw(ctx, call.Op, resp)
	if resp.Status >= 200 && resp.Status <= 299 {
		return resp, nil
	}
	f := resp.Failure(call.Op)
	if f.IsDone() {
		resp.Body = nil // an earlier try did it
		return resp, nil
	}
	defer resp.Release()
	return nil, publicError(f)
}

// callError names the operation on errors that don't name it themselves.
type callError struct {
	op  string
	err error
	// limit is set where the SDK or a store gave up, and not the caller: the end of a
	// context in err is then no end of the caller's.
	limit bool
}

func (e *callError) Error() string {
	text := textOf(e.err)
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

// Unwrap returns the cause. It returns nil for a limit: Is and As look into its cause.
func (e *callError) Unwrap() error {
	if e.limit {
		return nil
	}
	return e.err
}

// Is looks into the cause of a limit. A limit is not the end of the caller's context. It
// matches ErrUnavailable for a token call, and where its cause has no sentinel.
func (e *callError) Is(target error) bool {
	switch {
	case !e.limit, target == context.DeadlineExceeded, target == context.Canceled:
		return false
	case target == error(ErrUnavailable):
		var auth *AuthError
		var known sentinel.Error
		if errors.As(e.err, &auth) || !errors.As(e.err, &known) {
			return true
		}
	}
	return errors.Is(e.err, target)
}

// As finds the cause of a limit.
func (e *callError) As(target any) bool { return e.limit && errors.As(e.err, target) }

// failedCall returns the error of a call that failed, with the operation's name. If the
// caller ended its context with a cause of its own, the error also is ctx.Err(). If the
// caller's context has not ended but err says that a context has, a limit of the SDK or
// of a store has ended: token calls and renewals do not run in a caller's context.
func failedCall(ctx context.Context, op string, err error) error {
	switch err.(type) { //nolint:errorlint // they name their operation, and say whose context ended
	case *APIError, *TransportError, *ArgumentError, *callError:
		return err
	}
	end := ctx.Err()
	if end != nil && !errors.Is(err, end) && errors.Is(err, context.Cause(ctx)) {
		err = fmt.Errorf("%w: %w", err, end)
	}
	limit := end == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled))
	return &callError{op: op, err: err, limit: limit}
}

// unsent returns the error of a call whose token could not be had. A renewal may
// have an unknown outcome; the call that needed it was not processed.
func unsent(err error) error {
	var auth *AuthError
	if errors.As(err, &auth) && errors.Is(err, ErrOutcomeUnknown) {
		return &unsentError{err}
	}
	return err
}

type unsentError struct{ err error }

func (e *unsentError) Error() string {
	return strings.ReplaceAll(e.err.Error(), outcomeHints[failure.EffectUnknown], "the call itself was not processed")
}

// Is matches ErrUnavailable, or else ErrBadResponse, instead of ErrOutcomeUnknown.
func (e *unsentError) Is(target error) bool {
	switch target {
	case error(ErrOutcomeUnknown):
		return false
	case error(ErrUnavailable):
		return errors.Is(e.err, ErrUnavailable) || !errors.Is(e.err, ErrBadResponse)
	}
	return errors.Is(e.err, target)
}

func (e *unsentError) As(target any) bool { return errors.As(e.err, target) }

// log tells of a call: at debug, and at warn of one that failed for a reason that an
// operator has to know, but not more often than every second.
func (c *core) log(ctx context.Context, op *operation.Operation, resp *transport.Response, err error, began time.Time) {
	if c.logger == nil {
		return
	}
	level, leftOut := slog.LevelDebug, 0
	if isTrouble(ctx, err) {
		if due, n := c.troubleLog.due(time.Now()); due {
			level, leftOut = slog.LevelWarn, n
		}
	}
	if !c.logs(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("operation", op.Name), slog.Duration("duration", time.Since(began))}
	if resp != nil {
		attrs = append(attrs, slog.Int("status", resp.Status), slog.Int("attempts", resp.Attempts))
	}
	attrs = append(attrs, errorAttrs(err)...)
	text := "emporix: call"
	if level == slog.LevelWarn {
		text = "emporix: call failed"
	}
	if leftOut > 0 {
		attrs = append(attrs, slog.Int("left_out", leftOut))
	}
	c.write(ctx, level, text, attrs)
}

// isTrouble reports a failure of the API, of the store or of the configuration, and
// none that a visitor causes: a wrong password, input that is refused, a page that is
// left.
func isTrouble(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	var token *AuthError
	for _, trouble := range []error{ErrUnavailable, ErrBadResponse, ErrOutcomeUnknown, ErrRateLimited, ErrForbidden, ErrStoreUnavailable, ErrStoreCorrupt, ErrNoEmployee} {
		if errors.Is(err, trouble) {
			return !errors.Is(err, ErrAccountInactive)
		}
	}
	return errors.As(err, &token) && !errors.Is(err, ErrSessionExpired)
}

// logPace is how often a trouble is logged at warn.
const logPace = time.Second

// paced says when a line is due, and how many were left out since the last one.
type paced struct {
	mu      sync.Mutex
	next    time.Time
	leftOut int
}

func (p *paced) due(now time.Time) (bool, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.next) {
		p.leftOut++
		return false, 0
	}
	leftOut := p.leftOut
	p.next, p.leftOut = now.Add(logPace), 0
	return true, leftOut
}

// logOdd tells of a token response that was taken although it is not as documented.
func (c *core) logOdd(ctx context.Context, op *operation.Operation, odd []string) {
	if c.logger != nil && len(odd) > 0 {
		c.write(ctx, slog.LevelWarn, "emporix: odd token response", []slog.Attr{slog.String("operation", op.Name), slog.String("odd", strings.Join(odd, "; "))})
	}
}

// errorAttrs says what a log line may say about an error: not the server's own
// message, or what a peer sent instead of a response: both may hold an e-mail address.
func errorAttrs(err error) []slog.Attr {
	var apiErr *APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &apiErr):
		return []slog.Attr{
			slog.String("failed", apiErr.Operation), slog.Int("status", apiErr.StatusCode), slog.Int("attempts", apiErr.Attempts),
			slog.String("code", transport.WithoutAddresses(apiErr.Code)), slog.String("request_id", apiErr.RequestID),
		}
	default:
		return []slog.Attr{slog.String("error", transport.LogText(err))}
	}
}

package bff

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Errors to branch on with errors.Is, beside those of package emporix.
var (
	// ErrReadOnly: a prefetch asked for what would begin or change a session.
	ErrReadOnly = errors.New("bff: the request is a prefetch and must not begin or change a session")
	// ErrTooLate: the response had begun before the visitor's cookie could be written.
	ErrTooLate = errors.New("bff: the response has begun, so the visitor's cookie can't be written; ask for the session before writing")
	// ErrCrossOrigin: the request came from another site.
	ErrCrossOrigin = errors.New("bff: refused a request that another site may have caused")
	// ErrState: the state of a social login is unknown, used or too old. Begin anew.
	ErrState = errors.New("bff: this social login is unknown, used or too old; begin it again")
	// ErrSocialRefused: the identity provider answered without a code.
	ErrSocialRefused = errors.New("bff: the identity provider did not log the customer in")
	// ErrNoProvider: there is no identity provider of that name in Options.Providers.
	ErrNoProvider = errors.New("bff: there is no identity provider of that name")
	// ErrCookieTooLarge: the session does not fit into a cookie; use a token store.
	ErrCookieTooLarge = errors.New("bff: the session does not fit into a cookie of 4096 bytes; keep sessions in a token store instead")
	// ErrNeedsStore: with sessions in cookies there is no list of a customer's sessions.
	ErrNeedsStore = errors.New("bff: logging out everywhere needs a token store; sessions in cookies can't be found")
)

// HookError is a hook that failed, panicked, or did not return in time.
type HookError struct {
	Hook string // "BeforeLogin", "AfterLogin", "Options.Site" or "Options.ReadOnly"
	Err  error
}

// Error names the hook and what went wrong.
func (e *HookError) Error() string { return fmt.Sprintf("bff: %s: %v", e.Hook, e.Err) }

// Unwrap returns what the hook returned.
func (e *HookError) Unwrap() error { return e.Err }

var errPanic = errors.New("a panic (its text may hold secrets and is dropped)")

var statuses = []struct {
	err    error
	status int
}{
	{errNotKept, http.StatusBadGateway},
	{errConfirmed, http.StatusBadGateway},
	{ErrCrossOrigin, http.StatusForbidden},
	{ErrState, http.StatusBadRequest},
	{ErrSocialRefused, http.StatusUnauthorized},
	{ErrNoProvider, http.StatusNotFound},
	{ErrReadOnly, http.StatusServiceUnavailable},
	{emporix.ErrStoreUnavailable, http.StatusServiceUnavailable},
	{emporix.ErrStoreCorrupt, http.StatusServiceUnavailable},
	{emporix.ErrNotLoggedIn, http.StatusUnauthorized},
	{emporix.ErrSessionExpired, http.StatusUnauthorized},
	{emporix.ErrInvalidCredentials, http.StatusUnauthorized},
	{emporix.ErrUnauthorized, http.StatusUnauthorized},
	{emporix.ErrNotRefreshable, http.StatusUnauthorized},
	{emporix.ErrOutcomeUnknown, http.StatusBadGateway}, // before those of which nothing is lost
	{emporix.ErrRateLimited, http.StatusServiceUnavailable},
	{emporix.ErrUnavailable, http.StatusServiceUnavailable},
	{emporix.ErrClosed, http.StatusServiceUnavailable},
	{emporix.ErrInvalidRequest, http.StatusBadRequest},
	{emporix.ErrEmptyPatch, http.StatusBadRequest},
	{emporix.ErrForbidden, http.StatusForbidden},
	{emporix.ErrNotFound, http.StatusNotFound},
	{emporix.ErrConflict, http.StatusConflict},
	{emporix.ErrLoggedIn, http.StatusConflict},
	{emporix.ErrBadResponse, http.StatusBadGateway},
	{context.DeadlineExceeded, http.StatusServiceUnavailable}, // the request's own
	{context.Canceled, http.StatusServiceUnavailable},         // the visitor has left
}

// Status is the HTTP status that tells a browser about an error of this package
// or of package emporix; 500 for any other.
func Status(err error) int {
	var auth *emporix.AuthError
	if errors.As(err, &auth) && auth.Operation != "refresh" && errors.Is(err, emporix.ErrUnauthorized) {
		return http.StatusServiceUnavailable // the shop's own client ID was refused: a login would not help
	}
	if errors.Is(err, sentinel.NotTheCustomer) {
		return http.StatusServiceUnavailable // nor would it here
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusInternalServerError
}

// texts are what a person reads; they never repeat an error.
var texts = map[int]string{
	http.StatusBadRequest:            "This request could not be understood. Go back and try again.",
	http.StatusUnauthorized:          "Please log in.",
	http.StatusForbidden:             "You may not do this.",
	http.StatusNotFound:              "There is nothing here.",
	http.StatusConflict:              "This has changed meanwhile. Load it again.",
	http.StatusRequestEntityTooLarge: "This is more than can be sent at once.",
	http.StatusBadGateway:            "The shop's service gave no usable response. Please look whether your change was made, and try again.",
	http.StatusServiceUnavailable:    "The shop can't be reached at the moment. Nothing is lost; please try again in a few seconds.",
	http.StatusInternalServerError:   "Something went wrong here.",
}

// Error answers a request that failed: with Options.ErrorPage, else with a short
// plain text that repeats nothing of the error. An outage is a 503 with
// Retry-After, and leaves the visitor's cookie and session as they are. A visitor
// whose stored session can't be read (ErrStoreCorrupt) loses the cookie, and is a
// new guest with the next request.
func (b *BFF) Error(w http.ResponseWriter, r *http.Request, err error) {
	status := Status(err)
	if visit, ok := FromContext(r.Context()); ok && unreadable(err) {
		visit.inner().abandon()
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter(err)))
	}
	if b.opts.ErrorPage != nil && b.errorPage(w, r, status, err) {
		return
	}
	text := texts[status]
	if errors.Is(err, ErrCrossOrigin) {
		text = "This request was refused, because it did not come from this site's own pages."
	}
	http.Error(w, text, status)
}

// retryAfter is how many seconds the browser is asked to wait: a few, or as long as
// the API asks for.
func retryAfter(err error) int {
	const few = 5
	var api *emporix.APIError
	if !errors.As(err, &api) {
		return few
	}
	return max(few, int((min(api.RetryAfter, time.Hour)+time.Second-1)/time.Second))
}

// unreadable reports that the visitor's stored session can't be read: not a list,
// nor what AfterLogin met when the visitor had a new session.
func unreadable(err error) bool {
	var hook *HookError
	after := errors.As(err, &hook) && hook.Hook == "AfterLogin"
	return errors.Is(err, emporix.ErrStoreCorrupt) && !errors.Is(err, errLostSessions) && !after
}

// errorPage sends what Options.ErrorPage writes, if that returns in time. It is
// kept until then, because what goes on writing must not write into another text.
func (b *BFF) errorPage(w http.ResponseWriter, r *http.Request, status int, err error) bool {
	ctx, cancel := detach(r.Context())
	defer cancel()
	limited, cancel := bounded(ctx, changeLimit)
	defer cancel()
	header := w.Header().Clone()
	page, pageErr := await(limited, func(context.Context) (*page, error) {
		p := &page{header: header}
		b.opts.ErrorPage(p, r, status, err)
		return p, nil
	})
	if pageErr != nil {
		b.log(r.Context(), "Options.ErrorPage failed", pageErr)
		return false
	}
	clear(w.Header())
	maps.Copy(w.Header(), page.header)
	w.WriteHeader(cmp.Or(page.status, http.StatusOK))
	_, _ = w.Write(page.body.Bytes())
	return true
}

// page is a response that is kept.
type page struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (p *page) Header() http.Header { return p.header }

func (p *page) WriteHeader(status int) {
	if p.status == 0 && status >= 200 {
		p.status = status
	}
}

func (p *page) Write(data []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.body.Write(data)
}

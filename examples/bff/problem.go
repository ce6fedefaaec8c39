package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// problem is an error in words for the person in front of the page.
type problem struct {
	Status      int
	Code        string // for programs
	Title, Text string
}

// explain puts an error into words. None of it comes from the server, whose
// messages are for developers.
func explain(err error) problem {
	switch {
	case errors.Is(err, bff.ErrCrossOrigin):
		return problem{http.StatusForbidden, "cross-origin", "This did not come from our own pages",
			"Another site sent this request with your browser, so we have not done it. If you did it yourself, please go back and try again."}
	case errors.Is(err, bff.ErrState):
		return problem{http.StatusBadRequest, "social-state", "Please log in once more",
			"This log-in was not begun in this browser, or too long ago. Nothing has happened."}
	case errors.Is(err, bff.ErrReadOnly):
		return problem{http.StatusServiceUnavailable, "prefetch", "Not yet", "This page is made when you ask for it."}
	case errors.Is(err, errWrongPassword):
		return problem{http.StatusUnauthorized, "wrong-credentials", "That did not work", "The current password is not right."}
	case errors.Is(err, emporix.ErrInvalidCredentials):
		return problem{http.StatusUnauthorized, "wrong-credentials", "That did not work",
			"The e-mail address or the password is not right. A new account must be confirmed before it can be used."}
	case errors.Is(err, emporix.ErrSessionExpired):
		return problem{http.StatusUnauthorized, "session-expired", "Please log in again",
			"Your session has ended. Log in again and carry on where you were."}
	case errors.Is(err, emporix.ErrNotLoggedIn):
		return problem{http.StatusUnauthorized, "not-logged-in", "Please log in", "This is only for customers who are logged in."}
	case errors.Is(err, emporix.ErrLoggedIn):
		return problem{http.StatusConflict, "logged-in", "You are logged in already",
			"This is only for guests. Please go to your account, or log out first."}
	case errors.Is(err, emporix.ErrOutcomeUnknown):
		return problem{http.StatusBadGateway, "outcome-unknown", "We are not sure whether that worked",
			"The connection broke while your request was under way. Please look whether it is done before you try again."}
	case errors.Is(err, emporix.ErrStoreCorrupt):
		return problem{http.StatusServiceUnavailable, "visit-lost", "Your visit begins anew",
			"We could not read what we knew about your visit. Please log in again; your account is as you left it."}
	case errors.Is(err, emporix.ErrStoreUnavailable):
		return problem{http.StatusServiceUnavailable, "visit-unavailable", "We can't look up your visit just now",
			"The place where we keep visits does not answer. Nothing is lost: if you were logged in, you still are. Please try again in a moment."}
	case errors.Is(err, emporix.ErrRateLimited), errors.Is(err, errTooManyTries):
		return problem{http.StatusTooManyRequests, "too-many", "That was a bit much",
			"There were too many requests. Please wait a minute and try again."}
	case errors.Is(err, emporix.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, emporix.ErrClosed):
		return problem{http.StatusServiceUnavailable, "unavailable", "The shop is not available just now",
			"We can't reach our customer service. Nothing is lost; please try again in a moment."}
	case errors.Is(err, emporix.ErrBadResponse):
		return problem{http.StatusBadGateway, "bad-answer", "That answer made no sense",
			"Our customer service gave an answer that we can't read. Please look whether it is done before you try again."}
	case errors.Is(err, emporix.ErrNotRefreshable):
		return problem{http.StatusConflict, "log-in-first", "Please log in again first", "Your session can't be changed any more. Log out, log in, and try again."}
	case errors.Is(err, emporix.ErrConflict):
		return problem{http.StatusConflict, "conflict", "Another change was faster", "This has changed, or exists already."}
	case errors.Is(err, emporix.ErrNotFound):
		return problem{http.StatusNotFound, "not-found", "We can't find that", "It may have been deleted, or the link is incomplete."}
	case errors.Is(err, emporix.ErrForbidden):
		return problem{http.StatusForbidden, "forbidden", "You may not do that", "Your account has no right to do this."}
	case errors.Is(err, emporix.ErrInvalidRequest), errors.Is(err, emporix.ErrEmptyPatch):
		return problem{http.StatusUnprocessableEntity, "invalid", "Something is not right",
			"We could not accept this. Please check what you entered."}
	case errors.Is(err, emporix.ErrUnauthorized):
		return problem{http.StatusUnauthorized, "refused", "That did not work", "This was refused. Please try again."}
	}
	return problem{http.StatusInternalServerError, "internal", "Something went wrong",
		"This should not have happened. Please try again."}
}

// failed shows a page about an error that no form can show.
func (s *shop) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody is there to read it
	}
	if errors.Is(err, emporix.ErrNotLoggedIn) || errors.Is(err, emporix.ErrSessionExpired) {
		s.sendToLogin(w, r)
		return
	}
	s.visits.Error(w, r, err) // which ends a visit that can't be read, and calls refused
}

// formFailed shows an error in its form. A visit that can't be read is beyond
// any form, and has to end.
func (s *shop) formFailed(w http.ResponseWriter, r *http.Request, f *form, err error, show func(status int)) {
	if errors.Is(err, emporix.ErrStoreCorrupt) {
		s.failed(w, r, err)
		return
	}
	show(f.fail(err))
}

// refused is bff's Options.ErrorPage: errors of its own, and those of failed.
func (s *shop) refused(w http.ResponseWriter, r *http.Request, _ int, err error) {
	s.log.LogAttrs(r.Context(), slog.LevelWarn, "a page failed", slog.String("page", r.Pattern), slog.Any("error", err))
	if isAPI(r) {
		writeError(w, err)
		return
	}
	s.problem(w, r, explain(err))
}

// problem shows a page that says nothing else, or the same as JSON.
func (s *shop) problem(w http.ResponseWriter, r *http.Request, what problem) {
	shown := page{Title: what.Title, Data: what}
	switch {
	case isAPI(r):
		writeProblem(w, what)
	case what.Status >= http.StatusInternalServerError: // who is asking may be what failed: asking again would take as long again
		shown.Unknown = true
		s.render(w, what.Status, "problem", shown)
	default:
		s.show(w, r, what.Status, "problem", shown)
	}
}

// guarded answers with a page when a handler panics. What it panicked with may
// hold anything, so only the place is logged.
func (s *shop) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch cause := recover(); cause {
			case nil:
			case http.ErrAbortHandler:
				panic(cause)
			default:
				s.log.Error("a page broke", slog.String("stack", string(debug.Stack())))
				s.problem(w, r, explain(nil))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// nothingHere answers what no page takes: another address, or another method.
func (s *shop) nothingHere(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		what := problem{http.StatusNotFound, "not-found", "There is no such page", "The address may be mistyped, or the page has moved."}
		if allowed := methods(mux, r); len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			what = problem{http.StatusMethodNotAllowed, "method", "This can't be done here", "The page exists, but not for what was asked of it. Please begin again at the shop."}
		}
		s.problem(w, r, what)
	}
}

// methods are those that mux has a page for at the address of r.
func methods(mux *http.ServeMux, r *http.Request) []string {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

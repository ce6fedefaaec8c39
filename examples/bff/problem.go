package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

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
	case errors.Is(err, emporix.ErrInvalidCredentials):
		return problem{http.StatusUnauthorized, "wrong-credentials", "That did not work",
			"The e-mail address or the password is not right. A new account must be confirmed before it can be used."}
	case errors.Is(err, emporix.ErrSessionExpired):
		return problem{http.StatusUnauthorized, "session-expired", "Please log in again",
			"Your session has ended. Log in again and carry on where you were."}
	case errors.Is(err, emporix.ErrNotLoggedIn):
		return problem{http.StatusUnauthorized, "not-logged-in", "Please log in", "This is only for customers who are logged in."}
	case errors.Is(err, emporix.ErrOutcomeUnknown):
		return problem{http.StatusBadGateway, "outcome-unknown", "We are not sure whether that worked",
			"The connection broke while your request was under way. Please look whether it is done before you try again."}
	case errors.Is(err, emporix.ErrStoreUnavailable), errors.Is(err, emporix.ErrStoreCorrupt):
		return problem{http.StatusServiceUnavailable, "visit-unavailable", "We can't look up your visit just now",
			"Nothing is lost and you are still logged in. Please try again in a moment."}
	case errors.Is(err, emporix.ErrRateLimited):
		return problem{http.StatusTooManyRequests, "too-many", "That was a bit much",
			"There were too many requests. Please wait a minute and try again."}
	case errors.Is(err, emporix.ErrUnavailable), errors.Is(err, emporix.ErrBadResponse),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, emporix.ErrClosed):
		return problem{http.StatusBadGateway, "unavailable", "The shop is not available just now",
			"We can't reach our customer service. What you typed is still here; please try again in a moment."}
	case errors.Is(err, emporix.ErrNotRefreshable):
		return problem{http.StatusConflict, "log-in-first", "Please log in again first", "Your session can't be changed any more. Log out, log in, and try again."}
	case errors.Is(err, emporix.ErrConflict):
		return problem{http.StatusConflict, "conflict", "Somebody was faster", "This has changed, or exists already."}
	case errors.Is(err, emporix.ErrNotFound):
		return problem{http.StatusNotFound, "not-found", "We can't find that", "It may have been deleted, or the link is incomplete."}
	case errors.Is(err, emporix.ErrForbidden):
		return problem{http.StatusForbidden, "forbidden", "You may not do that", "Your account has no right to do this."}
	case errors.Is(err, emporix.ErrInvalidRequest):
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
	what := explain(err)
	s.log.LogAttrs(r.Context(), slog.LevelWarn, "a page failed", slog.String("page", r.Pattern), slog.Any("error", err))
	s.show(w, r, what.Status, "problem", page{Title: what.Title, Data: what})
}

package emporix

import (
	"errors"
	"net/http"

	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// What an error answer is about. The rules are in internal/wire (whom the words
// mean) and internal/lifecycle (what that means for a token).

// judge notes on e what its answer means for the tokens, and for the password.
func judge(e *APIError, op *operation.Operation, p wire.Problem) {
	e.about = p.About
	e.rejects = lifecycle.Rejects(e.StatusCode, p, op.PasswordCall)
	e.tokenOutcome = lifecycle.Failure{Call: op.Tokens, Status: e.StatusCode, Problem: p, Password: op.PasswordCall}.Outcome()
	if op.PasswordCall && e.StatusCode == http.StatusUnauthorized && aboutPassword(p) {
		e.kind = ErrInvalidCredentials
	}
}

// aboutPassword reports whether a 401 of a call with a password is about that:
// it is empty or the API's own, and not the gateway's, a proxy's or an OAuth error.
func aboutPassword(p wire.Problem) bool {
	return !p.Fault && !p.HTML && !p.Other && p.About != wire.SubjectOAuth
}

// outcomeOf says what a failed token call means for the token that was sent.
func outcomeOf(op *operation.Operation, err error) lifecycle.Outcome {
	var apiErr *APIError
	if errors.As(err, &apiErr) {
		return apiErr.tokenOutcome
	}
	var lost *TransportError
	sent := errors.As(err, &lost) && (errors.Is(lost, ErrOutcomeUnknown) || errors.Is(lost, ErrBadResponse))
	return lifecycle.Failure{Call: op.Tokens, Sent: sent}.Outcome()
}

// rejectionIn says how sure an error is about the bearer of the call.
func rejectionIn(err error) lifecycle.Rejection {
	if err == nil { // the usual case, for nothing
		return lifecycle.NotTheBearer
	}
	var apiErr *APIError
	if !errors.As(err, &apiErr) {
		return lifecycle.NotTheBearer
	}
	return apiErr.rejects
}

// deadAlready reports whether a 401 says that the access token is none any more.
func (e *APIError) deadAlready() bool {
	if e.StatusCode != http.StatusUnauthorized || e.foreign {
		return false
	}
	return e.rejects != lifecycle.NotTheBearer || e.about == wire.SubjectBearer || e.about == wire.SubjectRequest
}

package lifecycle

import (
	"net/http"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// hasBearer reports whether a token call is authorised with a bearer.
func hasBearer(call operation.TokenCall) bool {
	return call == operation.CustomerLogin || call == operation.CustomerRefresh
}

// Failure is a token call that gave no tokens.
type Failure struct {
	Call     operation.TokenCall
	Status   int          // of the answer; 0: there is none
	Problem  wire.Problem // what the answer's body says
	Sent     bool         // of a call without a usable answer: the request may have arrived
	Password bool         // an empty 401 means a wrong password
}

// Outcome says what the failure means for the refresh token that was sent, or
// for the bearer. Only a definite no of the API about that refresh token is
// Refused.
func (f Failure) Outcome() Outcome {
	switch status := f.Status; {
	case status == 0 && !f.Sent, status == http.StatusTooManyRequests:
		return NotSent
	case status < 300, status == http.StatusRequestTimeout, status == http.StatusBadGateway, status == http.StatusGatewayTimeout,
		status >= 500 && http.StatusText(status) == "":
		return Unknown // a success without tokens, or a proxy's answer for a server that may have gone on
	case status == http.StatusBadRequest, status == http.StatusUnauthorized:
		return f.refusal()
	case status == http.StatusForbidden && f.Call == operation.CustomerRefresh && f.Problem.About == wire.SubjectBearer:
		return BearerRefused
	}
	return Failed
}

// refusal is the outcome of a 400 or 401.
func (f Failure) refusal() Outcome {
	about := f.Problem.About
	switch {
	case f.Problem.HTML || f.Problem.Other:
		return Failed // something between here and the API answered
	case hasBearer(f.Call) && Rejects(f.Status, f.Problem, f.Password) != NotTheBearer:
		return BearerRefused
	case f.Call == operation.CustomerRefresh && about == wire.SubjectBearer:
		return BearerRefused
	case !f.Call.Redeems():
		return Failed
	case about == wire.SubjectRefreshToken, about == wire.SubjectRequest:
		return Refused
	}
	return Undecided
}

// Rejection says how sure a 401 is about the bearer.
type Rejection uint8

const (
	// NotTheBearer is an answer of the service that was asked, such as "no
	// product for this key" or "wrong password".
	NotTheBearer Rejection = iota
	// PerhapsTheBearer is an empty answer. It is worth a renewal, and ends nothing.
	PerhapsTheBearer
	// TheBearer is the gateway's word about the access token.
	TheBearer
)

// Rejects reports whether an answer rejects the bearer of its request.
func Rejects(status int, p wire.Problem, password bool) Rejection {
	switch {
	case status != http.StatusUnauthorized:
		return NotTheBearer
	case p.Fault && p.About == wire.SubjectBearer:
		return TheBearer
	case p.Empty && !password:
		return PerhapsTheBearer
	}
	return NotTheBearer
}

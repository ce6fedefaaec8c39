package failure

import (
	"net/http"
	"strings"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// SentinelOf maps a status to the error that callers branch on.
func SentinelOf(status int) sentinel.Error {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return sentinel.InvalidRequest
	case http.StatusUnauthorized:
		return sentinel.Unauthorized
	case http.StatusForbidden:
		return sentinel.Forbidden
	case http.StatusNotFound, http.StatusGone:
		return sentinel.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return sentinel.Conflict
	case http.StatusTooManyRequests:
		return sentinel.RateLimited
	case http.StatusRequestTimeout:
		return sentinel.Unavailable
	}
	if status >= 500 && status <= 599 {
		return sentinel.Unavailable
	}
	return sentinel.BadResponse
}

// Sentinel is the error that callers branch on; "" where only their own context
// ended.
func (f *Failure) Sentinel() sentinel.Error {
	switch {
	case f.Kind == KindInvalid:
		return sentinel.InvalidRequest
	case f.Kind == KindUnreadable:
		return sentinel.BadResponse
	case f.Kind == KindAnswered && f.isAboutPassword():
		return sentinel.InvalidCredentials
	case f.Kind == KindAnswered:
		return SentinelOf(f.Status)
	case f.Effect() == EffectUnknown:
		return sentinel.OutcomeUnknown
	case f.Ended: // the service had no chance to answer
		return ""
	}
	return sentinel.Unavailable
}

// isAboutPassword reports whether a 401 of a call with a password is about that:
// it is empty or the API's own, and not the gateway's, a proxy's, an OAuth error or
// one that speaks of an outage.
func (f *Failure) isAboutPassword() bool {
	p := f.Problem
	return f.Op.PasswordCall && f.Status == http.StatusUnauthorized && !p.Fault && !p.HTML && !p.Other && !p.Down && p.About != wire.SubjectOAuth
}

// IsAccountInactive reports a login that was refused because of the account's state,
// and not because of what the customer typed.
func (f *Failure) IsAccountInactive() bool {
	p := f.Problem
	return f.Kind == KindAnswered && f.Op.Tokens == operation.CustomerLogin &&
		(f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden) && p.Inactive && !p.Fault && !p.Down
}

// Effect says whether a request that failed may have been processed all the same.
type Effect uint8

const (
	// EffectNone: it was not, or it only reads.
	EffectNone Effect = iota
	// EffectUnknown: it may have been.
	EffectUnknown
	// EffectRepeatable: it may have been, and ends in the same state when it is sent
	// again.
	EffectRepeatable
)

// Effect says whether the request may have been processed.
func (f *Failure) Effect() Effect {
	lost := f.Kind == KindLost || f.Kind == KindUnreadable
	if f.Kind == KindAnswered {
		lost = isAmbiguous(f.Status) || f.MaybeDone || f.isLostByGateway()
	}
	switch {
	case !lost, f.Op.Retry == operation.Safe:
		return EffectNone
	case f.Op.Retry == operation.Repeatable:
		return EffectRepeatable
	}
	return EffectUnknown
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

// isLostByGateway reports a gateway fault about the connection to the API, such as
// the 503 when the API closes the connection while the gateway sends the request. The
// API may have processed the request.
func (f *Failure) isLostByGateway() bool {
	return f.Status >= 500 && f.Problem.Fault && strings.HasPrefix(f.Problem.Code, "messaging.adaptors.http.")
}

// IsRetryable reports the statuses after which a request that may be repeated is
// sent again.
func IsRetryable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// IsDone reports a "not found" that means success: an earlier try did what was asked
// for. A gateway or a proxy without a route to the API answers the same status.
func (f *Failure) IsDone() bool {
	return f.Op.GoneIsDone && f.MaybeDone && SentinelOf(f.Status) == sentinel.NotFound && !f.Problem.Fault && !f.IsForeign()
}

// IsForeign reports a response that is none of the API's: a proxy's page, or anything.
func (f *Failure) IsForeign() bool { return f.Problem.HTML || f.Problem.Other }

// IsDeadToken reports a 401 that says that the access token is none any more.
func (f *Failure) IsDeadToken() bool {
	if f.Status != http.StatusUnauthorized || f.IsForeign() {
		return false
	}
	return f.Bearer != NotTheBearer || f.Problem.About == wire.SubjectBearer || f.Problem.About == wire.SubjectRequest
}

// IsNotTheCustomer reports a 401 about the shop itself: its key, client or product.
func (f *Failure) IsNotTheCustomer() bool {
	return f.Sentinel() == sentinel.Unauthorized && f.Problem.About == wire.SubjectOther
}

// Outcome is what a failed token call means for the token that was sent.
type Outcome uint8

const (
	// Unknown: the request may have been processed, the response is lost.
	Unknown Outcome = iota
	// Failed: the server answered that it could not; nothing was consumed.
	Failed
	// NotSent: the request surely never reached the server.
	NotSent
	// Refused: a definite no about the refresh token.
	Refused
	// BearerRefused: the bearer that authorised the call was refused.
	BearerRefused
	// Undecided: a no that may be about the refresh token or about something else.
	Undecided
)

// outcome says what the failure means for the refresh token that was sent, or for
// the bearer. Only a definite no of the API about that refresh token is Refused.
func (f *Failure) outcome() Outcome {
	switch f.Kind {
	case KindInvalid, KindNotSent:
		return NotSent
	case KindLost:
		if f.Op.Retry == operation.Safe { // it sends nothing that could be spent
			return NotSent
		}
		return Unknown
	case KindUnreadable:
		return Unknown
	case KindAnswered: // its status decides
	}
	call := f.Op.Tokens
	switch status := f.Status; {
	case status == http.StatusTooManyRequests:
		return NotSent
	case status < 300, status == http.StatusRequestTimeout, status == http.StatusBadGateway, status == http.StatusGatewayTimeout,
		status >= 500 && http.StatusText(status) == "":
		return Unknown // a success without tokens, or a proxy's answer for a server that may have gone on
	case status == http.StatusBadRequest, status == http.StatusUnauthorized:
		return f.refusal(call)
	case status == http.StatusForbidden && call == operation.CustomerRefresh && f.Problem.About == wire.SubjectBearer:
		return BearerRefused
	}
	return Failed
}

// refusal is the outcome of a 400 or 401.
func (f *Failure) refusal(call operation.TokenCall) Outcome {
	about := f.Problem.About
	switch {
	case f.IsForeign():
		return Failed // something between here and the API answered
	case (call == operation.CustomerLogin || call == operation.CustomerRefresh) && f.rejection() != NotTheBearer:
		return BearerRefused
	case call == operation.CustomerRefresh && about == wire.SubjectBearer:
		return BearerRefused
	case !call.Redeems():
		return Failed
	case about == wire.SubjectRefreshToken, about == wire.SubjectRequest:
		return Refused
	}
	return Undecided
}

// Rejection says how sure a 401 is about the bearer.
type Rejection uint8

const (
	// NotTheBearer is a response of the service that was asked, such as "no
	// product for this key" or "wrong password".
	NotTheBearer Rejection = iota
	// PerhapsTheBearer is an empty response. It is worth a renewal, and ends nothing.
	PerhapsTheBearer
	// TheBearer is the gateway's word about the access token.
	TheBearer
)

func (f *Failure) rejection() Rejection { return Rejects(f.Status, f.Problem, f.Op.PasswordCall) }

// Rejects reports whether a response rejects the bearer of its request. password is
// set where an empty 401 means a wrong password.
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

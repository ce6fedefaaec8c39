// Package failure is a call that came to no usable response: what happened, and, in
// judge.go, what that means for the caller, for the request and for the tokens.
package failure

import (
	"errors"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// Kind says how far a call came.
type Kind uint8

const (
	// KindInvalid: refused before anything was sent.
	KindInvalid Kind = iota
	// KindNotSent: the request surely never reached the server.
	KindNotSent
	// KindLost: the request may have been processed; there is no response.
	KindLost
	// KindUnreadable: there is a response of success, and it can't be used.
	KindUnreadable
	// KindAnswered: the response's status is no success.
	KindAnswered
)

// Failure is a call without a usable response. Its texts hold no URL and no secret.
type Failure struct {
	Op       *operation.Operation
	Kind     Kind
	Field    string // KindInvalid: the argument at fault
	Attempts int    // how many requests were sent
	Ended    bool   // the caller's context ended
	Err      error  // why; may be nil where there is a response

	// Of a response.
	Status       int
	Problem      wire.Problem // what its body says
	RequestID    string
	RetryAfter   time.Duration
	MaybeDone    bool // an earlier try may have been processed
	LateDeadline bool // another try was due, but the caller's deadline leaves no time for it

	// Token is what the failure of a token call means for the token that was sent.
	Token Outcome
	// Bearer says whether the response rejects the bearer of the call.
	Bearer Rejection
}

func (f *Failure) Error() string {
	switch {
	case f.Err == nil:
		return fmt.Sprintf("status %d", f.Status)
	case f.Field != "":
		return f.Field + " " + f.Err.Error()
	}
	return f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Of returns the failure in an error's chain, or nil.
func Of(err error) *Failure {
	if err == nil { // the usual case, for nothing
		return nil
	}
	var f *Failure
	_ = errors.As(err, &f)
	return f
}

// Judged fills in what f means for the tokens.
func (f *Failure) Judged() *Failure {
	f.Token, f.Bearer = f.outcome(), f.rejection()
	return f
}

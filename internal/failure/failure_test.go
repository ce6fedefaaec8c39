package failure

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/wire"
)

func answered(op *operation.Operation, status int, body string) *Failure {
	return (&Failure{Op: op, Kind: KindAnswered, Status: status, Problem: wire.DecodeProblem([]byte(body), "")}).Judged()
}

func TestSentinelOfEveryStatus(t *testing.T) {
	named := map[int]sentinel.Error{
		400: sentinel.InvalidRequest, 401: sentinel.Unauthorized, 403: sentinel.Forbidden, 404: sentinel.NotFound, 408: sentinel.Unavailable,
		409: sentinel.Conflict, 410: sentinel.NotFound, 412: sentinel.Conflict, 413: sentinel.InvalidRequest, 415: sentinel.InvalidRequest,
		422: sentinel.InvalidRequest, 429: sentinel.RateLimited,
	}
	for status := range 700 {
		want, known := named[status]
		if !known && status/100 == 5 {
			want, known = sentinel.Unavailable, true
		}
		if !known {
			want = sentinel.BadResponse
		}
		assert.Equal(t, want, SentinelOf(status), status)
		assert.Equal(t, want, answered(operation.CustomersGet, status, "[]").Sentinel(), status)
	}
}

func TestSentinelOfACallWithoutAStatus(t *testing.T) {
	for _, ended := range []bool{false, true} {
		outage := sentinel.Unavailable
		if ended { // the service had no chance to answer
			outage = ""
		}
		for kind, want := range map[Kind][3]sentinel.Error{ // of a read, of what may be repeated, of a write
			KindInvalid:    {sentinel.InvalidRequest, sentinel.InvalidRequest, sentinel.InvalidRequest},
			KindNotSent:    {outage, outage, outage},
			KindLost:       {outage, outage, sentinel.OutcomeUnknown},
			KindUnreadable: {sentinel.BadResponse, sentinel.BadResponse, sentinel.BadResponse},
		} {
			for i, op := range []*operation.Operation{operation.CustomersGet, operation.AddressesDelete, operation.AddressesAdd} {
				assert.Equal(t, want[i], (&Failure{Op: op, Kind: kind, Ended: ended}).Sentinel(), "%d %s %v", kind, op.Name, ended)
			}
		}
	}
}

// A request may have been processed if nothing says that it was not, unless it only
// reads.
func TestEffect(t *testing.T) {
	may := map[*operation.Operation]Effect{
		operation.CustomersGet: EffectNone, operation.AddressesDelete: EffectRepeatable, operation.AddressesAdd: EffectUnknown, operation.AuthRefresh: EffectUnknown,
	}
	for op, effect := range may {
		for kind, lost := range map[Kind]bool{KindInvalid: false, KindNotSent: false, KindLost: true, KindUnreadable: true} {
			want := EffectNone
			if lost {
				want = effect
			}
			assert.Equal(t, want, (&Failure{Op: op, Kind: kind}).Effect(), "%s %d", op.Name, kind)
		}
		for status := 100; status < 700; status++ {
			refused := status/100 == 4 && status != 408 || status == 501 || status == 503 || status == 505
			want := effect
			if refused {
				want = EffectNone
			}
			f := answered(op, status, `{"message":"no"}`)
			assert.Equal(t, want, f.Effect(), "%s %d", op.Name, status)
			f.MaybeDone = true
			assert.Equal(t, effect, f.Effect(), "%s %d after a lost try", op.Name, status)
			cutOff := answered(op, status, `{"fault":{"faultstring":"Closed","detail":{"errorcode":"messaging.adaptors.http.flow.UnexpectedEOFAtTarget"}}}`)
			if status >= 500 {
				want = effect
			}
			assert.Equal(t, want, cutOff.Effect(), "%s %d of the gateway", op.Name, status)
		}
		other := answered(op, 503, `{"type":"messaging.adaptors.http.flow.X","message":"not the gateway's"}`)
		assert.Equal(t, EffectNone, other.Effect(), op.Name)
	}
}

func TestIsRetryable(t *testing.T) {
	retried := map[int]bool{408: true, 429: true, 502: true, 503: true, 504: true}
	for status := range 700 {
		assert.Equal(t, retried[status], IsRetryable(status), status)
	}
}

// A deletion that finds nothing is done only after a try that may have done it, and only
// if it is the API that finds nothing.
func TestIsDone(t *testing.T) {
	for body, api := range map[string]bool{
		"": true, `{"status":404,"type":"not_found","message":"No."}`: true, gatewayFault("No route", "messaging.runtime.RouteFailed"): false, "<html>": false, `{"ok":false}`: false,
	} {
		for _, op := range []*operation.Operation{operation.AddressesDelete, operation.AddressesAdd} {
			for status := range 600 {
				f := answered(op, status, body)
				assert.False(t, f.IsDone(), "%s %d %s", op.Name, status, body)
				f.MaybeDone = true
				assert.Equal(t, api && op.GoneIsDone && (status == 404 || status == 410), f.IsDone(), "%s %d %s", op.Name, status, body)
			}
		}
	}
}

// What a 401 says, beside what it means for a refresh token.
func TestWhatA401IsAbout(t *testing.T) {
	type about struct{ password, dead, shop, foreign bool }
	for body, want := range map[string]about{
		"": {password: true, dead: true},
		`{"status":401,"type":"unauthorized","message":"Wrong."}`:                          {password: true, dead: true},
		`{"status":401,"type":"unauthorized","message":"The access token is expired."}`:    {password: true, dead: true},
		gatewayFault("Access Token expired", "keymanagement.service.access_token_expired"): {dead: true},
		gatewayFault("Invalid ApiKey", "oauth.v2.InvalidApiKey"):                           {shop: true},
		`{"error":"invalid_client"}`:                                                       {},
		`{"status":401,"message":"Unknown tenant."}`:                                       {password: true, shop: true},
		`{"status":401,"message":"Too many attempts. Try again later."}`:                   {password: true, shop: true},
		`{"status":401,"message":"The account is temporarily locked."}`:                    {password: true, shop: true},
		// An outage says nothing about a password.
		`{"status":503,"type":"internal_service_error","message":"Try again."}`:                                 {shop: true},
		`{"status":500,"message":"Bad credentials."}`:                                                           {shop: true},
		`{"status":401,"type":"unauthorized","message":"Identity service temporarily unavailable"}`:             {shop: true},
		`{"status":401,"type":"unauthorized","message":"No.","details":[{"message":"upstream timeout"}]}`:       {shop: true},
		`{"timestamp":1,"status":401,"error":"Unauthorized","message":"Internal server error","path":"/login"}`: {shop: true},
		`{"ok":false}`: {foreign: true},
		"<html>":       {foreign: true},
	} {
		f := answered(operation.CustomersGet, 401, body)
		assert.Equal(t, want.foreign, f.IsForeign(), body)
		assert.Equal(t, want.dead, f.IsDeadToken(), body)
		assert.Equal(t, want.shop, f.IsNotTheCustomer(), body)
		assert.Equal(t, sentinel.Unauthorized, f.Sentinel(), body)
		login := answered(operation.AuthLogin, 401, body)
		assert.Equal(t, want.password, login.Sentinel() == sentinel.InvalidCredentials, body)
		assert.Equal(t, want.shop && !want.password, login.IsNotTheCustomer(), "a wrong password is the customer's: %s", body)
		for _, status := range []int{400, 403, http.StatusInternalServerError} {
			for _, op := range []*operation.Operation{operation.CustomersGet, operation.AuthLogin} {
				f := answered(op, status, body)
				assert.False(t, f.IsDeadToken(), "%d %s", status, body)
				assert.False(t, f.IsNotTheCustomer(), "%d %s", status, body)
				assert.NotEqual(t, sentinel.InvalidCredentials, f.Sentinel(), "%d %s", status, body)
			}
		}
	}
}

func TestOf(t *testing.T) {
	f := &Failure{Field: "id", Err: errors.New("is empty")}
	assert.Same(t, f, Of(fmt.Errorf("outer: %w", f)))
	assert.Nil(t, Of(nil))
	assert.Nil(t, Of(errors.New("another")))
	assert.EqualError(t, f, "id is empty")
	assert.EqualError(t, &Failure{Err: errors.New("lost")}, "lost")
	assert.EqualError(t, &Failure{Status: 404}, "status 404")
	assert.ErrorIs(t, &Failure{Err: sentinel.Closed}, sentinel.Closed)
}

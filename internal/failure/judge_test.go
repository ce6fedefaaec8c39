package failure

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// What a 400 and a 401 mean for a refresh token, by body. The other statuses
// decide nothing, whatever the body.
var judgedBodies = []struct {
	name, body, media string
	guest, customer   Outcome // of the two refreshes, with 401
	login             Outcome // of the calls that log a customer in, with 401
}{
	{"API, the refresh token", `{"status":401,"type":"unauthorized","message":"The refresh token is not valid."}`, "", Refused, Refused, Failed},
	{"API, a field", `{"status":400,"message":"No.","details":[{"field":"refresh_token","message":"unknown"}]}`, "", Refused, Refused, Failed},
	{"API, other services", `{"code":401,"status":"Unauthorized","message":"no","errorCode":"REFRESH_TOKEN_INVALID"}`, "", Refused, Refused, Failed},
	{"API, no subject", `{"status":401,"type":"unauthorized","message":"The account is disabled."}`, "", Refused, Refused, Failed},
	{"API, tenant", `{"status":400,"type":"bad_request","message":"Unknown tenant."}`, "", Undecided, Undecided, Failed},
	{"API, client", `{"status":401,"type":"unauthorized","message":"Unknown client_id."}`, "", Undecided, Undecided, Failed},
	{"API, legal entity", `{"status":400,"type":"bad_request","message":"No.","details":[{"field":"legalEntityId","message":"foreign"}]}`, "", Undecided, Undecided, Failed},
	{"API, its own trouble", `{"status":500,"type":"internal_service_error","message":"No."}`, "", Undecided, Undecided, Failed},
	{"API, an outage that names the refresh token", `{"status":400,"type":"bad_request","message":"Could not refresh token: upstream timeout"}`, "", Undecided, Undecided, Failed},
	{"API, an outage at a field", `{"status":400,"message":"No.","details":[{"field":"refreshToken","message":"could not be checked: temporarily unavailable"}]}`, "", Undecided, Undecided, Failed},
	{"API, an outage without a subject", `{"status":400,"type":"bad_request","message":"Failed to connect to the identity service"}`, "", Undecided, Undecided, Failed},
	{"API, the bearer", `{"status":401,"type":"unauthorized","message":"The access token is not valid."}`, "", Undecided, BearerRefused, Failed},
	{"a sentence alone", `{"message":"Unauthorized"}`, "", Undecided, Undecided, Failed},
	{"OAuth, invalid_grant", `{"error":"invalid_grant"}`, "", Refused, Refused, Failed},
	{"OAuth, invalid_client", `{"error":"invalid_client"}`, "", Undecided, Undecided, Failed},
	{"OAuth, invalid_request", `{"error":"invalid_request","error_description":"refresh_token"}`, "", Undecided, Undecided, Failed},
	{"OAuth, unauthorized_client", `{"error":"unauthorized_client"}`, "", Undecided, Undecided, Failed},
	{"OAuth, temporarily_unavailable", `{"error":"temporarily_unavailable"}`, "", Undecided, Undecided, Failed},
	{"OAuth, server_error", `{"error":"server_error"}`, "", Undecided, Undecided, Failed},
	{"OAuth, invalid_token", `{"error":"invalid_token"}`, "", Undecided, Undecided, Failed},
	{"OAuth, unheard of", `{"error":"slow_down"}`, "", Undecided, Undecided, Failed},
	{"gateway, key", gatewayFault("Invalid ApiKey", "oauth.v2.InvalidApiKey"), "", Undecided, Undecided, Failed},
	{"gateway, key for this resource", gatewayFault("Invalid ApiKey for given resource", "oauth.v2.InvalidApiKeyForGivenResource"), "", Undecided, Undecided, Failed},
	{"gateway, key management", gatewayFault("", "keymanagement.service.consumer_key_missing"), "", Undecided, Undecided, Failed},
	{"gateway, product", gatewayFault("Invalid API call as no apiproduct match found", "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound"), "", Undecided, Undecided, Failed},
	{"gateway, quota", gatewayFault("Rate limit quota violation", "policies.ratelimit.QuotaViolation"), "", Undecided, Undecided, Failed},
	{"gateway, spike", gatewayFault("Spike arrest violation", "policies.ratelimit.SpikeArrestViolation"), "", Undecided, Undecided, Failed},
	{"gateway, unheard of", gatewayFault("Something", "steps.raisefault.RaiseFault"), "", Undecided, Undecided, Failed},
	{"gateway, says nothing", `{"fault":{}}`, "", Undecided, Undecided, Failed},
	{"gateway, bearer invalid", gatewayFault("Invalid access token", "oauth.v2.InvalidAccessToken"), "", Undecided, BearerRefused, BearerRefused},
	{"gateway, bearer invalid, in other words", gatewayFault("Invalid Access Token", "keymanagement.service.invalid_access_token"), "", Undecided, BearerRefused, BearerRefused},
	{"gateway, bearer expired", gatewayFault("Access Token expired", "keymanagement.service.access_token_expired"), "", Undecided, BearerRefused, BearerRefused},
	{"gateway, bearer, without a code", `{"fault":{"faultstring":"Access Token expired"}}`, "", Undecided, BearerRefused, BearerRefused},
	{"empty", "", "", Undecided, BearerRefused, BearerRefused},
	{"foreign JSON", `{"ok":false}`, "", Failed, Failed, Failed},
	{"no object", `[]`, "", Failed, Failed, Failed},
	{"a page", "<html>The refresh token is not valid.</html>", "text/html", Failed, Failed, Failed},
	{"text", "The refresh token is not valid.", "text/plain", Failed, Failed, Failed},
	{"cut", `{"status":401,"type":"unauthorized","message":"The refresh token is not valid.","det`, "", Undecided, Undecided, Failed},
	{"cut before it says anything", `{"status":401,"ty`, "", Failed, Failed, Failed},
	{"cut OAuth", `{"error":"invalid_grant","err`, "", Undecided, Undecided, Failed},
}

func gatewayFault(text, code string) string {
	return fmt.Sprintf(`{"fault":{"faultstring":%q,"detail":{"errorcode":%q}}}`, text, code)
}

// tokenCalls are the operations that send a token, a password or a code for tokens.
var tokenCalls = []*operation.Operation{
	operation.AuthStartAnonymous, operation.AuthRefreshAnonymous, operation.AuthLogin, operation.AuthSocialLogin, operation.AuthRefresh, operation.OAuthToken,
}

func TestL06_WhatAFailedTokenCallMeans(t *testing.T) {
	judged := 0
	for _, tt := range judgedBodies {
		problem := wire.DecodeProblem([]byte(tt.body), tt.media)
		for _, op := range tokenCalls {
			for status := 200; status <= 599; status++ {
				f := (&Failure{Op: op, Kind: KindAnswered, Status: status, Problem: problem}).Judged()
				judged++
				if want := wantedOutcome(f, tt.guest, tt.customer, tt.login); f.Token != want {
					t.Errorf("%s, %s, status %d: %d, want %d", tt.name, op.Name, status, f.Token, want)
				}
			}
		}
	}
	t.Logf("%d judgements over %d bodies", judged, len(judgedBodies))
	assert.GreaterOrEqual(t, judged, 36*6*400)
	for _, op := range tokenCalls {
		lost := Unknown
		if op == operation.AuthStartAnonymous || op == operation.OAuthToken { // they send nothing that could be spent
			lost = NotSent
		}
		for kind, want := range map[Kind]Outcome{KindInvalid: NotSent, KindNotSent: NotSent, KindLost: lost, KindUnreadable: Unknown} {
			assert.Equal(t, want, (&Failure{Op: op, Kind: kind}).Judged().Token, "%s %d", op.Name, kind)
		}
	}
}

// wantedOutcome is written as the rules are: what decides nothing first.
func wantedOutcome(f *Failure, guest, customer, login Outcome) Outcome {
	switch status := f.Status; {
	case status < 300, status == 408, status == 502, status == 504, status > 511, status == 509:
		return Unknown
	case status == 429:
		return NotSent
	case status == 403 && f.Op.Tokens == operation.CustomerRefresh && f.Problem.About == wire.SubjectBearer:
		return BearerRefused
	case status != 400 && status != 401:
		return Failed
	case status == 400 && f.Op.Tokens == operation.CustomerRefresh && customer == BearerRefused:
		if f.Problem.About == wire.SubjectBearer {
			return BearerRefused
		}
		return Undecided // empty
	case status == 400 && f.Op.Tokens == operation.CustomerLogin:
		return Failed
	}
	switch f.Op.Tokens {
	case operation.AnonymousRefresh:
		return guest
	case operation.CustomerRefresh:
		return customer
	case operation.CustomerLogin:
		if f.Op.PasswordCall && f.Problem.Empty {
			return Failed // a wrong password
		}
		return login
	}
	return Failed
}

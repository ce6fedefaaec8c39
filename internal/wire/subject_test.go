package wire_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/internal/wire"
)

func fault(text, code string) string {
	return fmt.Sprintf(`{"fault":{"faultstring":%q,"detail":{"errorcode":%q}}}`, text, code)
}

// Codes and texts of gateways and services, in the spellings that they come in.
func TestWhatAnErrorIsAbout(t *testing.T) {
	for about, bodies := range map[wire.Subject][]string{
		wire.SubjectBearer: {
			fault("Invalid access token", "oauth.v2.InvalidAccessToken"),
			fault("Invalid Access Token", "keymanagement.service.invalid_access_token"),
			fault("Access Token expired", "keymanagement.service.access_token_expired"),
			fault("access token expired", "steps.oauth.v2.access_token_expired"),
			fault("Access Token not approved", "keymanagement.service.access_token_not_approved"),
			fault("Invalid token", "oauth.v2.InvalidToken"),
			fault("", "steps.jwt.TokenExpired"),
			fault("", "OAUTH.V2.INVALIDACCESSTOKEN"),
			fault("Invalid Access Token", "x.y.Unheard"),
			`{"fault":{"faultstring":"Invalid Access Token"}}`,
			`{"fault":{"faultString":"The token has expired"}}`,
			`{"fault":{"code":"invalid_access_token","message":"no"}}`,
			`{"fault":"Access Token expired"}`,
			`{"status":401,"type":"unauthorized","message":"The access token is not valid."}`,
			`{"status":400,"message":"No.","details":[{"field":"Authorization header","message":"is missing"}]}`,
			`{"status":400,"message":"AUTHORIZATION HEADER is missing."}`,
		},
		wire.SubjectOther: {
			fault("Invalid ApiKey", "oauth.v2.InvalidApiKey"),
			fault("Invalid ApiKey for given resource", "oauth.v2.InvalidApiKeyForGivenResource"),
			fault("API Key not approved", "keymanagement.service.apikey_not_approved"),
			fault("", "keymanagement.service.invalid_client-app_not_approved"),
			fault("Developer Status is not Active", "keymanagement.service.DeveloperStatusNotActive"),
			fault("Company Status is not Active", "keymanagement.service.CompanyStatusNotActive"),
			fault("Invalid API call as no apiproduct match found", "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound"),
			fault("Invalid API call as no apiproduct match found", "oauth.v2.InvalidAPICallAsNoApiProductMatchFound"),
			fault("Access token has no API product match", ""),
			fault("Required scope(s): x", "steps.oauth.v2.InsufficientScope"),
			fault("Rate limit quota violation. Quota limit  exceeded.", "policies.ratelimit.QuotaViolation"),
			fault("Spike arrest violation.", "policies.ratelimit.SpikeArrestViolation"),
			fault("Gateway Timeout", "messaging.adaptors.http.flow.GatewayTimeout"),
			`{"fault":{"faultstring":"Invalid ApiKey"}}`,
			`{"fault":{},"status":400,"message":"The tenant is not known."}`, `{"fault": { } ,"status":400,"message":"The tenant is not known."}`,
			`{"status":401,"error":"Unauthorized","message":"no","path":"/x"}`,
			`{"status":400,"type":"bad_request","message":"The tenant is not known."}`,
			`{"status":400,"type":"bad_request","message":"No.","details":[{"field":"tenant","message":"unknown"}]}`,
			`{"status":400,"type":"bad_request","message":"The refresh token can't be used.","details":[{"field":"client_id","message":"unknown"}]}`,
			`{"status":400,"message":"No.","details":[{"field":"refreshToken"},{"field":"legalEntityId"}]}`,
			`{"status":401,"type":"unauthorized","message":"The client may not use refresh tokens."}`,
			`{"code":400,"status":"Bad Request","message":"no","errorCode":"INVALID_CLIENT_ID"}`,
			`{"status":503,"type":"bad_request","message":"The refresh token store sleeps."}`,
			`{"status":500,"message":"The refresh token is not valid."}`, `{"status":429,"message":"The refresh token is not valid."}`,
			`{"status":408,"message":"The refresh token is not valid."}`, `{"status":500,"code":400,"message":"The refresh token is not valid."}`,
			`{"status":400,"type":"bad_request","message":"Service temporarily unavailable."}`,
			`{"status":401,"message":"Saas TOKEN is invalid","code":401,"errorCode":"SAAS"}`,
			`{"status":400,"type":"bad_request","message":"Request limit exceeded."}`, `{"status":400,"type":"bad_request","message":"Something went wrong."}`,
			`{"status":400,"type":"bad_request","message":"The system is busy."}`, `{"status":400,"type":"bad_request","message":"An unexpected error occurred."}`,
			// An outage that speaks of the refresh token is no verdict on it.
			`{"status":400,"type":"bad_request","message":"Could not refresh token: upstream timeout"}`,
			`{"status":400,"type":"bad_request","message":"Failed to refresh token: identity service temporarily unavailable, try again later"}`,
			`{"status":401,"type":"unauthorized","message":"The refresh token could not be checked: internal server error"}`,
			`{"status":400,"type":"bad_request","message":"Refresh token lookup failed: database connection lost"}`,
			`{"status":400,"type":"refresh_token_service_unavailable","message":"Service unavailable"}`,
			`{"status":400,"message":"No.","details":[{"field":"refreshToken","message":"could not be checked: service temporarily unavailable"}]}`,
			`{"status":400,"message":"The refresh token could not be checked.","detail":"connect ECONNREFUSED"}`,
			`{"status":401,"message":"Could not refresh token: too many requests"}`, `{"status":401,"message":"Refresh token: rate limit exceeded"}`,
			`{"status":400,"message":"Could not refresh token: an unexpected error occurred"}`, `{"status":400,"message":"Could not refresh token: bad gateway"}`,
			`{"status":401,"error":"Unauthorized","message":"Refresh token service is down","path":"/x"}`,
			`{"status":401,"message":"The access token could not be checked: timeout"}`, fault("Could not check the refresh token: backend timeout", ""),
			`{"status":400,"message":"Service is not available, please try later"}`, `{"status":400,"message":"Request limit reached"}`,
			`{"status":400,"message":"Service not ready"}`, `{"status":400,"message":"Failed to connect to the identity service"}`,
			// The same words wherever the response has them.
			`{"status":401,"type":"unauthorized","message":"No.","errorCode":"TENANT_NOT_FOUND"}`, `{"status":401,"type":"unauthorized","message":"No.","code":"QUOTA_EXCEEDED"}`,
			`{"status":400,"message":"No.","errors":[{"field":"tenant","message":"unknown"}]}`, `{"status":400,"message":"No.","errors":["unknown tenant"]}`,
			`{"status":401,"message":"Unauthorized","error_description":"The tenant is unknown."}`, `{"status":401,"message":"No.","title":"Unknown tenant"}`,
			// A field of the request that is no token.
			`{"status":400,"type":"bad_request","message":"No.","details":[{"field":"X-Version","message":"unknown"}]}`,
			`{"error":"invalid_grant","status":503}`,
		},
		wire.SubjectLegalEntity: {
			`{"status":400,"type":"bad_request","message":"The customer is not assigned to the legal entity."}`,
			`{"status":403,"message":"No.","details":[{"field":"legalEntityId"}]}`,
		},
		wire.SubjectOAuth: {
			`{"error":"invalid_grant0"}`, `{"error":"invalid_grant9"}`,
			`{"error":"invalid_client"}`, `{"error":"unauthorized_client"}`, `{"error":"temporarily_unavailable"}`, `{"error":"server_error"}`,
			`{"error":"invalid_request","error_description":"refresh_token is missing"}`, `{"error":"invalid_token","error_description":"Invalid refresh token"}`,
			`{"error":"Unauthorized","message":"no"}`, `{"timestamp":1,"status":401,"error":"Unauthorized","path":"/x"}`,
		},
		wire.SubjectRefreshToken: {
			`{"error":"invalid_grant"}`, `{"error":"Invalid_Grant","error_description":"expired"}`, `{"status":400,"error":"invalid_grant","message":"x"}`,
			`{"status":401,"type":"unauthorized","message":"The refresh token is not valid."}`,
			`{"status":401,"type":"unauthorized","message":"The refresh token was issued to another client."}`,
			`{"status":401,"error":"Unauthorized","message":"Refresh token expired","path":"/x"}`,
			`{"status":400,"message":"No.","details":[{"field":"refreshToken","message":"for this tenant"}]}`,
			`{"status":400,"message":"No.","details":[{"field":"refreshToken"},{"field":"refresh_token"},{"message":"for this tenant"}]}`,
			`{"code":401,"status":"Unauthorized","message":"no","errorCode":"REFRESH_TOKEN_EXPIRED"}`,
			`{"status":400,"message":"No.","details":["invalid refresh_token"]}`,
			`{"message":"Refresh token not found"}`, `{"status":401,"status":400,"message":"The refresh token is not valid."}`,
			// Refusals of the refresh token in the words of common servers.
			`{"status":400,"message":"Invalid refresh token"}`, `{"status":401,"message":"refresh token expired"}`, `{"status":401,"message":"Refresh token revoked"}`,
			`{"status":403,"message":"Refresh token is not in database!"}`, `{"status":400,"message":"Maximum allowed refresh token reuse exceeded"}`,
			`{"status":400,"message":"Refresh token lifetime exceeded"}`, `{"status":401,"message":"Refresh token was used concurrently"}`,
			`{"status":401,"message":"The refresh token belongs to another client"}`, `{"status":401,"message":"Refresh token expired. Please log in again."}`,
			`{"error":"invalid_grant","error_description":"Maximum allowed refresh token reuse exceeded"}`,
			fault("Invalid Refresh Token", "keymanagement.service.invalid_refresh_token"),
			fault("Refresh Token expired", "keymanagement.service.refresh_token_expired"),
		},
		wire.SubjectRequest: {
			`{"status":401,"type":"unauthorized","message":"No."}`, `{"status":400,"message":"The customer is not active."}`,
			`{"code":401,"status":"Unauthorized","message":"Session not found"}`, `{"type":"bad_request"}`,
			`{"message":"no","details":["why"]}`, `{"status":400,"message":"No.","details":[{"field":"token","message":"expired"}]}`,
		},
		wire.SubjectUnknown: {
			`{"error":{"message":"The refresh token has expired."}}`,
			`{"type":"about:blank","title":"refresh token expired","detail":"The access token is not valid."}`,
			"", "<html>", "Bad Gateway", "null", "[]", "{}", `{"a":1}`, `{"message":"Unauthorized"}`,
			`{"status":401,"type":"unauthorized","mess`, `{"status":401,"message":"The refresh token is not valid.","details":[{"fie`,
			`{"error":"invalid_grant"`, `{"fault":{}}`, `{"fault":{"faultstring":"x","detail":{"errorcode":"steps.raisefault.RaiseFault"}}}`,
			`{"error":{"code":401,"message":"The refresh token is not valid."}}`,
		},
	} {
		for _, body := range bodies {
			assert.Equal(t, about, wire.DecodeProblem([]byte(body), "application/json").About, body)
		}
	}
}

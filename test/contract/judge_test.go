package contract_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/test/contract"
)

const goodToken = `{"token_type":"Bearer","access_token":"a","expires_in":3599,"refresh_token":"r","refresh_token_expires_in":86399,"sessionId":"s","scope":"tenant=acme"}`

// hear lets the judge watch one request to a server that answers as it is told.
func hear(t *testing.T, d *contract.Document, method, path, contentType, requestBody string, status int, answerType, answerBody string) contract.Exchange {
	t.Helper()
	judge := contract.NewJudge(d, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("client_id") == "seed" { // the first request, for a bearer
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(goodToken))
			return
		}
		if answerType != "" {
			w.Header().Set("Content-Type", answerType)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answerBody))
	}))
	serve := func(method, path, bearer, contentType, body string) {
		req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		judge.ServeHTTP(httptest.NewRecorder(), req)
	}
	serve("GET", "/customerlogin/auth/anonymous/login?tenant=acme&client_id=seed", "", "", "")
	bearer := "a"
	if strings.HasPrefix(path, "/customerlogin") {
		bearer = ""
	}
	serve(method, path, bearer, contentType, requestBody)
	all := judge.Exchanges()
	require.Len(t, all, 2)
	require.Empty(t, all[0].Request)
	require.Empty(t, all[0].Answer)
	return all[1]
}

// A judge that convicts nobody proves nothing: each line is right but for one
// thing.
func TestTheJudgeConvicts(t *testing.T) {
	const anonymous, login, json = "/customerlogin/auth/anonymous/login?tenant=acme&client_id=x", "/customer/acme/login", "application/json"
	const credentials, customer = `{"email":"e","password":"password"}`, `{"token_type":"Bearer","access_token":"a","saas_token":"s","expires_in":1,"refresh_token":"r","refresh_token_expires_in":1,"session_id":"s","initialPassword":false}`
	without := func(member string) string { return strings.Replace(customer, member, "", 1) }
	tests := []struct {
		name, method, path, contentType, request string
		status                                   int
		answerType, answer                       string
		wrongRequest, wrongAnswer                string // "" is nothing wrong
	}{
		{"nothing", "POST", login, json, credentials, 200, json, customer, "", ""},
		{"nothing without a bearer", "GET", anonymous, "", "", 200, json, goodToken, "", ""},
		{"nothing refused", "POST", login, json, credentials, 401, json, `{"status":401,"type":"unauthorized","message":"no"}`, "", ""},

		{"an unknown path", "GET", "/customer/acme/you", "", "", 200, json, `{}`, "no matching operation", ""},
		{"an unknown method", "PUT", "/customer/acme/me", json, `{}`, 200, "", "", "method not allowed", ""},
		{"an undescribed parameter", "GET", anonymous + "&site=main", "", "", 200, json, goodToken, "query parameter site", ""},
		{"a parameter twice", "GET", anonymous + "&currency=EUR&currency=USD", "", "", 200, json, goodToken, "more than once", ""},
		{"a missing parameter", "GET", "/customerlogin/auth/anonymous/login?tenant=acme", "", "", 200, json, goodToken, "client_id", ""},
		{"an upper-case tenant", "GET", "/customerlogin/auth/anonymous/login?tenant=Acme&client_id=x", "", "", 200, json, goodToken, "tenant", ""},
		{"the wrong bearer", "GET", "/customer/acme/me/addresses", "", "", 200, json, `[]`, "the bearer is for AnonymousAccessToken", ""},
		{"a member that is misspelt", "POST", login, json, `{"email":"e","password":"password","pasword":"p"}`, 200, json, customer, "/pasword is not described", ""},
		{"a number for a text", "POST", login, json, `{"email":1,"password":"password"}`, 200, json, customer, "/email", ""},
		{"a text body", "POST", login, "text/plain", "hello", 200, json, customer, "content type", ""},
		{"a broken body", "POST", login, json, `{"email":`, 200, json, customer, "not JSON", ""},
		{"a body too many", "POST", "/customer/acme/socialLogin?code=c&redirect_uri=u", json, `{}`, 401, json, `{"status":401,"type":"unauthorized","message":"no"}`, "has a body", ""},
		{"a confirmation without its token", "POST", "/customer/acme/me/accounts/internal/email/change/confirm", json, `{"token":""}`, 204, "", "", "empty token", ""},

		{"an undescribed status", "POST", login, json, credentials, 418, json, `{}`, "", "status 418"},
		{"an answer in HTML", "POST", login, json, credentials, 200, "text/html", `<p>`, "", "not JSON"},
		{"an answer of another type", "POST", login, json, credentials, 200, "text/plain", customer, "", "Content-Type"},
		{"an empty object", "POST", login, json, credentials, 200, json, `{}`, "", "lacks access_token"},
		{"an empty anonymous token", "GET", anonymous, "", "", 200, json, strings.Replace(goodToken, `"a"`, `""`, 1), "", "empty access_token"},
		{"a token less", "POST", login, json, credentials, 200, json, without(`"refresh_token":"r",`), "", "lacks refresh_token"},
		{"a text for a number", "POST", login, json, credentials, 200, json, strings.Replace(customer, `"expires_in":1`, `"expires_in":"1"`, 1), "", "allOf"},
		{"a member too many", "POST", login, json, credentials, 200, json, strings.Replace(customer, `{`, `{"extra":1,`, 1), "", "/extra is not described"},
		{"a body where none is described", "POST", "/customer/acme/signup/optin/refresh_token", json, `{"email":"e"}`, 202, json, `{}`, "", "has a body"},
		{"a refusal without a message", "POST", login, json, credentials, 400, json, `{"status":400,"type":"bad_request"}`, "", "lacks message"},
		{"a refusal with another status", "POST", login, json, credentials, 400, json, `{"status":404,"type":"bad_request","message":"no"}`, "", "says status 404"},
		{"a fault that is not 401", "POST", login, json, credentials, 400, json, `{"fault":{"faultstring":"f","detail":{"errorcode":"e"}}}`, "", "gateway fault"},
		{"a fault without a code", "POST", login, json, credentials, 401, json, `{"fault":{"faultstring":"f","detail":{}}}`, "", "lacks errorcode"},
	}
	d := document(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := hear(t, d, tt.method, tt.path, tt.contentType, tt.request, tt.status, tt.answerType, tt.answer)
			convicted(t, tt.wrongRequest, e.Request)
			convicted(t, tt.wrongAnswer, e.Answer)
		})
	}
}

func convicted(t *testing.T, want string, found []string) {
	t.Helper()
	if want == "" {
		assert.Empty(t, found)
		return
	}
	assert.Contains(t, strings.Join(found, "\n"), want)
}

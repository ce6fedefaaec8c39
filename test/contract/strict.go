package contract

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The description requires almost nothing of an answer: {} is a valid token.
// These are the members that the vendor's own examples have, and without which
// a client can't go on. The session ID of login and refresh is in the vendor's
// change log of June 2025.
var requiredMembers = map[string]string{ // #nosec G101 -- names of members
	"Auth.StartAnonymous":     "token_type access_token expires_in refresh_token refresh_token_expires_in sessionId scope",
	"Auth.RefreshAnonymous":   "token_type access_token expires_in sessionId scope",
	"Auth.Login":              "token_type access_token saas_token expires_in refresh_token refresh_token_expires_in session_id initialPassword",
	"Auth.SocialLogin":        "token_type access_token saas_token expires_in refresh_token refresh_token_expires_in session_idle_time scope social_access_token social_id_token",
	"Auth.ExchangeToken":      "token_type access_token saas_token expires_in refresh_token refresh_token_expires_in session_idle_time scope session_id subject_access_token",
	"Auth.Refresh":            "token_type access_token expires_in refresh_token refresh_token_expires_in session_id",
	"Auth.Validate":           "token_type expires_in scope sessionId email",
	"Customers.SignUp":        "id",
	"Customers.ConfirmSignUp": "token_type access_token saas_token expires_in refresh_token refresh_token_expires_in",
	"Customers.Get":           "id customerNumber accounts",
	"Addresses.Add":           "id",
	"Addresses.Get":           "id contactName",
}

// The description forgets to require these of requests, though its prose does.
var requiredOfRequests = map[string]string{
	"Credentials.RequestEmailChange": "email password newEmail",
	"Credentials.ConfirmEmailChange": "token",
	"Addresses.Add":                  "",
	"Addresses.Update":               "",
	"Customers.Update":               "",
	"Customers.Activate":             "",
}

// emptyTextMayBe are the members of requiredMembers for which "" says
// something.
var emptyTextMayBe = []string{"initialPassword"}

// strictAnswer judges what the description leaves open about a success.
func strictAnswer(name string, body any) []string {
	names := strings.Fields(requiredMembers[name])
	if name == "Addresses.List" {
		var found []string
		list, _ := body.([]any)
		for i, item := range list {
			for _, reason := range lacking(item, strings.Fields(requiredMembers["Addresses.Get"])) {
				found = append(found, fmt.Sprintf("item %d %s", i, reason))
			}
		}
		return found
	}
	return lacking(body, names)
}

func lacking(body any, names []string) []string {
	object, _ := body.(map[string]any)
	var found []string
	for _, name := range names {
		value, given := object[name]
		switch {
		case !given:
			found = append(found, "lacks "+name)
		case value == nil, value == "" && !slices.Contains(emptyTextMayBe, name):
			found = append(found, "has an empty "+name)
		}
	}
	return found
}

// strictRefusal judges an error body: the API's own shape says status and
// message, the gateway's a fault.
func strictRefusal(status int, body any) []string {
	object, _ := body.(map[string]any)
	if fault, given := object["fault"]; given {
		if status != http.StatusUnauthorized {
			return []string{fmt.Sprintf("a gateway fault with status %d", status)}
		}
		found := lacking(fault, []string{"faultstring", "detail"})
		outer, _ := fault.(map[string]any)
		return append(found, lacking(outer["detail"], []string{"errorcode"})...)
	}
	found := lacking(body, []string{"status", "type", "message"})
	if said, isNumber := object["status"].(float64); isNumber && int(said) != status {
		found = append(found, fmt.Sprintf("says status %d in its body and %d in its first line", int(said), status))
	}
	return found
}

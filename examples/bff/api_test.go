package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheJSONBesideThePages(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	assert.JSONEq(t, `{"kind":"none"}`, v.get("/api/session").body)
	got := v.get("/api/addresses")
	assert.Equal(t, http.StatusUnauthorized, got.status)
	assert.Contains(t, got.body, `"code":"not-logged-in"`)
	assert.Equal(t, http.StatusUnauthorized, v.get("/api/account").status)

	got = v.json("POST", "/api/login", `{"email":"bea@example.com","password":"wrong"}`)
	assert.Equal(t, http.StatusUnauthorized, got.status)
	assert.Contains(t, got.body, `"code":"wrong-credentials"`)
	got = v.json("POST", "/api/login", fmt.Sprintf(`{"email":"bea@example.com","password":%q}`, seedPassword))
	require.Equal(t, http.StatusOK, got.status, got.body)
	assert.Contains(t, v.get("/api/session").body, `"kind":"customer"`)

	require.Equal(t, http.StatusNoContent, v.json("PATCH", "/api/account", `{"firstName":"Beatrice","contactPhone":null}`).status)
	assert.Contains(t, v.get("/api/account").body, `"firstName":"Beatrice"`)
	got = v.json("PATCH", "/api/account", `{"firstName":"B","metadata":{"version":1}}`)
	assert.Equal(t, http.StatusConflict, got.status, got.body)

	got = v.json("POST", "/api/addresses", `{"contactName":"Bea","city":"Bremen","country":"DE"}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(got.body)[1]
	got = v.json("POST", "/api/addresses", `{"city":"Bremen"}`)
	assert.Equal(t, http.StatusUnprocessableEntity, got.status)
	assert.Contains(t, got.body, `"fields":{"contactName"`)
	require.Equal(t, http.StatusNoContent, v.json("PATCH", "/api/addresses/"+id, `{"city":"Kiel"}`).status)
	assert.Contains(t, v.get("/api/addresses").body, "Kiel")
	require.Equal(t, http.StatusNoContent, v.send("DELETE", "/api/addresses/"+id, "", "").status)
	assert.Equal(t, http.StatusNotFound, v.send("DELETE", "/api/addresses/"+id, "", "").status)

	require.Equal(t, http.StatusNoContent, v.json("POST", "/api/account/company", `{"legalEntityId":"okafor-retail"}`).status)
	assert.Contains(t, v.get("/api/session").body, `"legalEntityId":"okafor-retail"`)
	assert.Equal(t, http.StatusForbidden, v.json("POST", "/api/account/company", `{"legalEntityId":"acme"}`).status)
	require.Equal(t, http.StatusNoContent, v.json("POST", "/api/account/password", fmt.Sprintf(`{"currentPassword":%q,"newPassword":"nine quiet harbours"}`, seedPassword)).status)

	for _, bad := range []seen{
		v.json("PATCH", "/api/account", `{"firstName":`), v.json("PATCH", "/api/account", `{"nickname":"B"}`), v.json("PATCH", "/api/account", `[]`),
		v.send("PATCH", "/api/account", "text/plain", `{"firstName":"B"}`),
	} {
		assert.Equal(t, http.StatusBadRequest, bad.status, bad.body)
	}
	assert.Equal(t, http.StatusNotFound, v.get("/api/nothing").status)
	require.Equal(t, http.StatusNoContent, v.json("POST", "/api/logout/everywhere", "").status)
	assert.JSONEq(t, `{"kind":"none"}`, v.get("/api/session").body)
}

// TestAProgramWalksThroughAllThatThePagesDo makes an account, its addresses and
// its changes by JSON alone, with the fake's mails.
func TestAProgramWalksThroughAllThatThePagesDo(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	var all strings.Builder
	send := func(method, path, body string, want int) string {
		t.Helper()
		got := v.json(method, path, body)
		require.Equal(t, want, got.status, "%s %s: %s", method, path, got.body)
		all.WriteString(got.where + got.body)
		return got.body
	}
	send("POST", "/api/signup", `{"email":"mira@example.com","password":"seven wide rivers","customerDetails":{"contactEmail":"mira@example.com","firstName":"Mira"}}`, 204)
	send("POST", "/api/signup", `{"email":"mira@example.com","password":"seven wide rivers"}`, 204)
	send("POST", "/api/signup/resend", `{"email":"mira@example.com"}`, 204)
	lastMail := func() string {
		t.Helper()
		mails := p.fake.Server().Outbox(emporixfake.MailFilter{})
		require.NotEmpty(t, mails)
		newest := mails[0]
		return fmt.Sprintf(`{"token":%q}`, newest.Token)
	}
	assert.JSONEq(t, `{"loggedIn":true}`, send("POST", "/api/signup/confirm", lastMail(), 200))
	assert.Contains(t, send("GET", "/api/account", "", 200), `"firstName":"Mira"`)

	var added struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(send("POST", "/api/addresses", `{"contactName":"Mira"}`, 200)), &added))
	send("POST", "/api/addresses/"+added.ID+"/tags", `{"tags":["SHIPPING","HOME"]}`, 204)
	send("DELETE", "/api/addresses/"+added.ID+"/tags/SHIPPING", "", 204)
	assert.Contains(t, send("GET", "/api/addresses/"+added.ID, "", 200), `"tags":["HOME"]`)

	assert.Contains(t, send("POST", "/api/account/email", `{"newEmail":"mira.lund@example.com","password":"wrong horse"}`, 401), `"code":"wrong-credentials"`)
	send("POST", "/api/account/email", `{"newEmail":"mira.lund@example.com","password":"seven wide rivers"}`, 204)
	change := lastMail()
	send("POST", "/api/email/confirm", change, 204)
	assert.GreaterOrEqual(t, v.json("POST", "/api/email/confirm", change).status, 400, "a link works once")
	send("POST", "/api/logout", "", 204)

	send("POST", "/api/password/forgotten", `{"email":"mira.lund@example.com"}`, 204)
	send("POST", "/api/password/reset", strings.TrimSuffix(lastMail(), "}")+`,"password":"nine quiet harbours"}`, 204)
	send("POST", "/api/login", `{"email":"mira.lund@example.com","password":"nine quiet harbours"}`, 200)
	p.fake.AssertNoSecrets(t, []byte(all.String()), p.log.Bytes())
}

func TestAWrongCurrentPasswordIsSaidInWords(t *testing.T) {
	v := open(t).visitor(t)
	v.logIn("jo@example.com")
	for path, body := range map[string]string{
		"/api/account/password": `{"currentPassword":"wrong horse","newPassword":"nine quiet harbours"}`,
		"/api/account/email":    `{"newEmail":"jo.marsh@example.com","password":"wrong horse"}`,
	} {
		got := v.json("POST", path, body)
		assert.Equal(t, http.StatusUnauthorized, got.status, path)
		assert.JSONEq(t, `{"error":{"code":"wrong-credentials","message":"The current password is not right."}}`, got.body, path)
	}
	got := v.json("POST", "/api/login", `{"email":"jo@example.com","password":"wrong horse"}`)
	assert.Contains(t, got.body, "The e-mail address or the password is not right.")
}

func TestWhatIsTakenForJSON(t *testing.T) {
	v := open(t).visitor(t)
	good := fmt.Sprintf(`{"email":"jo@example.com","password":%q}`, seedPassword)
	for _, row := range []struct {
		kind, body string
		want       int
	}{
		{"application/json", good, 200},
		{"application/json; charset=utf-8", good, 200},
		{"Application/JSON", good + "\n", 200},
		{"text/plain", good, 400},
		{"application/x-www-form-urlencoded", good, 400},
		{"", good, 400},
		{"application/json", good + good, 400},
		{"application/json", good + " x", 400},
		{"application/json", `{"email":`, 400},
		{"application/json", `{"mail":"jo@example.com"}`, 400},
		{"application/json", `[]`, 400},
	} {
		assert.Equal(t, row.want, v.send("POST", "/api/login", row.kind, row.body).status, "%s: %s", row.kind, row.body)
	}
}

package emporixfake_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

func TestControlInterface(t *testing.T) {
	c := newFake(t)
	assert.Equal(t, object{"status": "ok", "tenant": "acme", "clientId": "storefront", "backendClientId": "backend"}, c.must(200, "GET", "/__fake/health", nil).body)

	added := c.must(200, "POST", "/__fake/customers", object{"email": joEmail, "password": joPassword, "mixins": object{"m": object{}}})
	assert.Regexp(t, `^\d{8}$`, added.text("customerNumber"))
	c.must(200, "POST", "/__fake/companies", object{"id": "D1", "name": "Emporix", "contacts": []any{object{"email": joEmail}}})
	c.must(200, "POST", "/__fake/social-identities", object{"code": "code-1", "identity": object{"email": joEmail}})
	c.must(200, "POST", "/__fake/subject-tokens", object{"token": "subject-1", "config": "site_PL", "identity": object{"email": joEmail}})
	guest, session := c.visitor()
	guest.must(200, "POST", "/customer/acme/socialLogin?code=code-1&redirect_uri=x", nil)
	login := guest.must(200, "POST", "/customer/acme/exchangeauthtoken?subjectAccessToken=subject-1&config=site_PL", nil)
	guest.must(200, "GET", customerRefresh+login.text("refresh_token")+"&legalEntityId=D1", nil)

	guest.must(204, "POST", "/customer/acme/password/reset", object{"email": joEmail})
	guest.must(204, "POST", "/customer/acme/password/reset", object{"email": joEmail})
	mails := c.must(200, "GET", "/__fake/outbox?kind=password-reset&email=JO@example.com", nil).list
	require.Len(t, mails, 2)
	guest.must(204, "POST", "/customer/acme/password/reset/update", object{"token": mails[0].(object)["token"], "password": "p"})
	assert.Empty(t, c.must(200, "GET", "/__fake/outbox?kind=opt-in", nil).list)

	c.must(200, "POST", "/__fake/faults", object{"operation": "Customers.Get", "status": 429, "retryAfter": 7, "delay": "1ms", "call": 1})
	got := c.must(200, "POST", "/__fake/faults", []any{object{"cut": "after", "operation": "Auth.Login"}, object{"body": "html", "operation": "Auth.Login", "expiresIn": "absent"}})
	assert.Len(t, got.list, 3)
	assert.Equal(t, object{"operation": "Customers.Get", "status": 429.0, "retryAfter": "7", "delay": "1ms", "call": 1.0, "times": 1.0}, got.list[0])
	guest.must(200, "GET", "/customer/acme/me", nil)
	assert.Equal(t, "7", guest.must(429, "GET", "/customer/acme/me", nil).header.Get("Retry-After"))
	assert.Len(t, c.must(200, "GET", "/__fake/faults", nil).list, 2)
	c.must(200, "DELETE", "/__fake/faults", nil)
	assert.Empty(t, c.must(200, "GET", "/__fake/faults", nil).list)

	assert.Equal(t, 3.0, c.must(200, "POST", "/__fake/revoke", object{"kind": "refresh", "who": added.text("customerNumber")}).body["revoked"], "social, exchange and its refresh")
	assert.Equal(t, 4.0, c.must(200, "POST", "/__fake/revoke", object{"kind": "access", "who": session.text("sessionId")}).body["revoked"], "the guest's too")

	now := c.must(200, "GET", "/__fake/clock", nil).text("now")
	later := c.must(200, "POST", "/__fake/clock", object{"advance": "2h"}).text("now")
	assert.NotEqual(t, now, later)
	assert.Equal(t, later, c.must(200, "GET", "/__fake/clock", nil).text("now"))

	journal := c.must(200, "GET", "/__fake/journal", nil)
	assert.Equal(t, "Auth.StartAnonymous", journal.list[0].(object)["operation"])
	for _, entry := range journal.list {
		assert.NotContains(t, entry.(object)["path"], "__fake")
	}
	coverage := c.must(200, "GET", "/__fake/coverage", nil)
	assert.Equal(t, fmt.Sprint("7 of ", len(emporixfake.Operations())), coverage.text("summary"))
	assert.Len(t, coverage.body["operations"], len(emporixfake.Operations()))
	rows := c.must(200, "GET", "/__fake/assumptions", nil).list
	assert.Len(t, rows, len(c.fake.Assumptions()))

	c.must(200, "POST", "/__fake/reset", nil)
	assert.Equal(t, fmt.Sprint("0 of ", len(emporixfake.Operations())), c.must(200, "GET", "/__fake/coverage", nil).text("summary"))
	assert.Empty(t, c.must(200, "GET", "/__fake/outbox", nil).list)
	assert.Empty(t, c.must(200, "GET", "/__fake/journal", nil).list)
	assert.Equal(t, now, c.must(200, "GET", "/__fake/clock", nil).text("now"))
	assert.Equal(t, 401, guest.profile())
	c.must(200, "POST", "/__fake/customers", object{"email": joEmail})
}

func TestControlRefusals(t *testing.T) {
	c := newFake(t)
	for _, path := range []string{"/__fake/nope", "/__fake/outbox/", "/__fake/outbox/x"} {
		assert.NotEmpty(t, c.must(404, "GET", path, nil).text("error"), path)
	}
	c.must(404, "PUT", "/__fake/clock", object{})
	for path, bodies := range map[string][]string{
		"clock":             {"", "{", "[]", `{"advance":"soon"}`, `{"advance":5}`, `{"back":"1h"}`, `{} {}`},
		"faults":            {"", "null1", `{"operation":"x"}`, `{"wait":"1s"}`, `{"delay":"soon"}`, `[{"status":200},{"status":1}]`, `{"expiresIn":}`},
		"customers":         {`{}`, `{"mail":"x"}`, `{"email":"a","customerNumber":"1"}`, `{"email":"a","preferredCurrency":"EURO"}`, `{"email":"a","addresses":[{"city":"x"}]}`, `{"email":"a","companyRegistrationId":"1"}`},
		"companies":         {`{}`, `{"id":"x","contacts":[{"email":"nobody@example.com"}]}`},
		"social-identities": {`{}`},
		"subject-tokens":    {`{}`},
		"revoke":            {`{}`},
	} {
		for _, body := range bodies {
			assert.NotEmpty(t, c.must(400, "POST", "/__fake/"+path, body).text("error"), "%s %s", path, body)
		}
	}
	assert.Empty(t, c.fake.Faults(), "a list with a mistake adds nothing")
}

// Nothing that a client sends or gets may be found in the journal.
func TestJournalHasNoSecrets(t *testing.T) {
	c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.DoubleOptIn = true }))
	jo, login := c.loggedIn()
	guest, _ := c.visitor()
	guest.must(201, "POST", "/customer/acme/signup", object{"email": "n@example.com", "password": "sign-up password", "signup": object{"email": "n@example.com", "password": "separate password"}})
	token := c.mailToken(emporixfake.MailOptIn, "n@example.com")
	guest.must(200, "GET", "/customer/acme/signup/optin/"+token, nil)
	c.refreshCustomer(login.text("refresh_token"))
	// Confused clients put tokens where they don't belong.
	jo.send("GET", "/customer/acme/me/addresses/"+jo.bearer, nil)
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: "plain@example.com", Password: "plainpassword1"})
	require.NoError(t, err)
	jo.send("GET", "/customer/acme/me/addresses/plainpassword1", nil)
	jo.send("GET", "/customer/"+jo.bearer+"/me", nil)
	jo.send("GET", "/"+jo.bearer+"/"+token, nil)
	jo.send("PUT", "/customer/acme/signup/optin/"+token, nil)
	c.employee().send("PATCH", "/customer/acme/customers/"+token, object{"active": true})
	c.fail(fault{Operation: "Auth.Login", Status: 503})
	guest.send("POST", "/customer/acme/login", object{"email": joEmail, "password": "typed by mistake"})

	raw, err := json.Marshal(c.fake.Journal())
	require.NoError(t, err)
	lines := string(raw)
	for _, e := range c.fake.Journal() {
		lines += e.String() + "\n"
	}
	secrets := c.fake.Secrets()
	for _, want := range []string{jo.bearer, login.text("refresh_token"), login.text("saas_token"), token, joPassword, "sign-up password", "separate password", "typed by mistake", "backend-secret-for-tests"} {
		assert.Contains(t, secrets, want)
	}
	for _, secret := range secrets {
		assert.NotContains(t, lines, secret)
	}
	assert.Contains(t, lines, "/customer/acme/signup/optin/{token}")
	assert.Contains(t, lines, "status 503, before the effect")
}

func TestBoundedMemory(t *testing.T) {
	c := newFake(t)
	for range 10_050 {
		c.send("GET", "/nope", nil)
	}
	journal := c.fake.Journal()
	assert.Len(t, journal, 10_000)
	c.visitor()
	journal = c.fake.Journal()
	assert.Equal(t, "Auth.StartAnonymous", journal[len(journal)-1].Operation, "oldest first")
}

func TestAssumptionTable(t *testing.T) {
	a := emporixfake.DefaultAssumptions()
	seen := map[string]bool{}
	for _, row := range a.Table() {
		assert.Contains(t, []string{"documented", "measured", "assumed"}, row.Basis)
		assert.NotEmpty(t, row.Sentence)
		assert.Equal(t, row.Default, row.Value)
		assert.False(t, row.Name != "" && seen[row.Name], row.Name)
		seen[row.Name] = true
		for kind, value := range map[string]string{"bool": "maybe", "duration": "-1s", "status": "200"} {
			if row.Kind == kind {
				assert.Error(t, a.Set(row.Name, value))
				assert.NoError(t, a.Set(row.Name, row.Default))
			}
		}
	}
	require.NoError(t, a.Set("rotation-grace", "90s"))
	assert.Equal(t, 90*time.Second, a.RotationGrace)
	assert.Error(t, a.Set("gravity", "off"))
}

func TestReadSeed(t *testing.T) {
	seed, err := emporixfake.ReadSeed(strings.NewReader(`{
		"customers": [{"email": "jo@example.com", "password": "correct horse", "customerNumber": "13869007", "addresses": [{"id": "home", "contactName": "Jo"}]}],
		"companies": [{"id": "D1", "name": "Emporix", "contacts": [{"customerNumber": "13869007", "contactAssignmentId": "C1"}]}],
		"identities": {"code-1": {"email": "jo@example.com"}},
		"subjects": [{"token": "subject-1", "identity": {"email": "jo@example.com"}}]
	}`))
	require.NoError(t, err)
	c := newFake(t, func(cfg *emporixfake.Config) { cfg.Seed = seed })
	for range 2 {
		jo, _ := c.loggedIn()
		me := jo.must(200, "GET", "/customer/acme/me", nil)
		assert.Equal(t, "13869007", me.text("id"))
		assert.Equal(t, object{"legalEntities": []any{object{"id": "D1", "name": "Emporix", "contactAssignmentId": "C1"}}}, me.body["b2b"])
		jo.must(200, "GET", "/customer/acme/me/addresses/home", nil)
		c.fake.Reset()
	}
	for says, raw := range map[string]string{
		`it has no member "customer"`: `{"customer":[]}`,
		"it is empty":                 ``,
		"something after its end":     `{} {}`,
		"email is empty":              `{"customers":[{}]}`,
		"number is in use":            `{"customers":[{"email":"a","customerNumber":"00000001"},{"email":"b","customerNumber":"00000001"}]}`,
		"8 digits":                    `{"customers":[{"email":"a","customerNumber":"0"}]}`,
		"id is empty":                 `{"companies":[{}]}`,
		"code or the e-mail":          `{"identities":{"":{}}}`,
		"token or the e-mail":         `{"subjects":[{}]}`,
	} {
		_, err := emporixfake.ReadSeed(strings.NewReader(raw))
		assert.ErrorContains(t, err, strings.TrimPrefix(says, "number "), raw)
	}
	assert.Panics(t, func() {
		emporixfake.New(emporixfake.Config{Seed: emporixfake.Seed{Companies: []emporixfake.Company{{}}}})
	})
}

// Nobody changes a running fake by what New got or Config answered.
func TestConfigIsACopy(t *testing.T) {
	given := emporixfake.Config{Seed: emporixfake.Seed{
		Customers: []emporixfake.Customer{{
			Email: joEmail, Password: joPassword, Mixins: object{"m": object{"list": []any{"one"}}},
			Addresses: []map[string]any{{"contactName": "Jo", "tags": []any{"HOME"}}},
		}},
		Companies:  []emporixfake.Company{{ID: "D1", Contacts: []emporixfake.Contact{{Email: joEmail}}}},
		Identities: map[string]emporixfake.Identity{"code": {Email: joEmail}},
		Subjects:   []emporixfake.Subject{{Token: "subject", Identity: emporixfake.Identity{Email: joEmail}}},
	}}
	fake := emporixfake.New(given)
	want, err := json.Marshal(fake.Config().Seed)
	require.NoError(t, err)
	for _, seed := range []emporixfake.Seed{given.Seed, fake.Config().Seed} {
		jo := &seed.Customers[0]
		jo.Email = "changed"
		jo.Mixins["m"].(object)["list"].([]any)[0] = "changed"
		jo.Addresses[0]["tags"].([]any)[0] = "changed"
		jo.Addresses[0]["contactName"] = "changed"
		seed.Companies[0].Contacts[0].Email = "changed"
		seed.Identities["code"] = emporixfake.Identity{}
		seed.Subjects[0].Token = "changed"
		got, err := json.Marshal(fake.Config().Seed)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), string(got))
	}
	fake.Config().Assumptions.DoubleOptIn = true
	assert.False(t, fake.Config().Assumptions.DoubleOptIn)
	assert.NotPanics(t, fake.Reset)
}

func TestRetryAfterOfFaults(t *testing.T) {
	c := newFake(t)
	for given, want := range map[string]string{
		`7`: "7", `-1`: "-1", `1.5`: "1.5", `"soon"`: "soon", `"a\"b"`: `a"b`, `null`: "", `""`: "", `"Fri, 02 Jan 2026 03:04:05 GMT"`: "Fri, 02 Jan 2026 03:04:05 GMT",
	} {
		var f fault
		require.NoError(t, json.Unmarshal([]byte(`{"retryAfter":`+given+`}`), &f), given)
		assert.Equal(t, want, f.RetryAfter, given)
	}
	for _, given := range []string{`true`, `{}`, `[7]`, `{"seconds":7}`} {
		assert.Contains(t, c.must(400, "POST", "/__fake/faults", `{"retryAfter":`+given+`}`).text("error"), "a string or a number", given)
	}
}

func TestClockDoesNotOverflow(t *testing.T) {
	c := newFake(t)
	begin := c.fake.Now()
	c.must(200, "POST", "/__fake/clock", object{"advance": "2540400h"}) // 290 years
	there := c.fake.Now()
	assert.Contains(t, c.must(400, "POST", "/__fake/clock", object{"advance": "2540400h"}).text("error"), "292 years")
	assert.Panics(t, func() { c.fake.Advance(290 * 365 * 24 * time.Hour) })
	assert.Equal(t, there, c.fake.Now())
	c.must(200, "POST", "/__fake/clock", object{"advance": "-2540401h"})
	assert.Equal(t, begin.Add(-time.Hour), c.fake.Now(), "it goes back too")
	c.must(200, "POST", "/__fake/clock", object{"advance": "-2540400h"})
	c.must(400, "POST", "/__fake/clock", object{"advance": "-2540400h"})
	c.must(200, "POST", "/__fake/clock", object{"advance": "0s"})
}

func TestAddCustomerRefusals(t *testing.T) {
	c := newFake(t)
	address := func(id string) map[string]any { return map[string]any{"id": id, "contactName": "Jo"} }
	many := make([]map[string]any, 1001)
	for i := range many {
		many[i] = map[string]any{"contactName": "Jo"}
	}
	for says, cu := range map[string]emporixfake.Customer{
		"email is empty":                {Email: " \t"},
		"at least 6 characters":         {Email: joEmail, Password: "pässö"},
		`two addresses have the id "a"`: {Email: joEmail, Addresses: []map[string]any{address("a"), address("b"), address("a")}},
		"two addresses are the default": {Email: joEmail, Addresses: []map[string]any{
			{"contactName": "Jo", "isDefault": true}, {"contactName": "Jo"}, {"contactName": "Jo", "isDefault": true},
		}},
		"1001 addresses; a customer can": {Email: joEmail, Addresses: many},
		"addresses.steet is no member of an address": {Email: joEmail, Addresses: []map[string]any{
			{"contactName": "Jo", "steet": "Lindenallee"},
		}},
		"addresses.metadata.links is no member of an address": {Email: joEmail, Addresses: []map[string]any{
			{"contactName": "Jo", "mixins": map[string]any{"any": true}, "metadata": map[string]any{"links": map[string]any{}}},
		}},
	} {
		_, err := c.fake.AddCustomer(cu)
		assert.ErrorContains(t, err, says)
	}
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: "pässös", Addresses: append(many[:998:998], address("a"), address("b"))})
	assert.NoError(t, err)
}

// The longest lifetimes still fit what clients read seconds into.
func TestLifetimesAreBounded(t *testing.T) {
	c := newFake(t, func(cfg *emporixfake.Config) { cfg.Lifetimes.Anonymous = emporixfake.MaxLifetime })
	_, guest := c.visitor()
	assert.Equal(t, 2147483647.0, guest.body["expires_in"])
	for _, change := range []func(*emporixfake.Lifetimes, time.Duration){
		func(l *emporixfake.Lifetimes, d time.Duration) { l.Anonymous = d },
		func(l *emporixfake.Lifetimes, d time.Duration) { l.AnonymousRefresh = d },
		func(l *emporixfake.Lifetimes, d time.Duration) { l.Customer = d },
		func(l *emporixfake.Lifetimes, d time.Duration) { l.CustomerRefresh = d },
		func(l *emporixfake.Lifetimes, d time.Duration) { l.Exchange = d },
		func(l *emporixfake.Lifetimes, d time.Duration) { l.ExchangeRefresh = d },
		func(l *emporixfake.Lifetimes, d time.Duration) { l.Employee = d },
		func(l *emporixfake.Lifetimes, d time.Duration) { l.Mail = d },
	} {
		for _, d := range []time.Duration{emporixfake.MaxLifetime + 1, -time.Second} {
			var cfg emporixfake.Config
			change(&cfg.Lifetimes, d)
			assert.Panics(t, func() { emporixfake.New(cfg) })
		}
	}
}

// Who calls the control interface may know no Go.
func TestControlSpeaksWithoutGo(t *testing.T) {
	c := newFake(t)
	for _, tc := range []struct{ path, body, says string }{
		{"clock", ``, "it is empty"},
		{"clock", ` `, "it is empty"},
		{"faults", `null`, "it is null"},
		{"clock", `{"advance":5}`, "advance must be a string, not a number"},
		{"clock", `[]`, "it must be an object, not an array"},
		{"clock", `{"back":"1h"}`, `it has no member "back"`},
		{"clock", `{"advance":`, "breaks off"},
		{"clock", `{advance}`, "it is not JSON, near byte"},
		{"clock", `{} {}`, "after its end"},
		{"clock", `{} ]`, "after its end"},
		{"faults", `{"status":"503"}`, "status must be an integer, not a string"},
		{"faults", `[{"after":1}]`, "after must be true or false, not a number"},
		{"faults", `[null]`, "it is null"},
		{"faults", `{"times":1e3}`, "times must be an integer, and not so large"},
		{"faults", `{"headers":{"Via":1}}`, "headers.Via must be a string, not a number"},
		{"faults", `{"rawBody":{}}`, "rawBody must be a string, not an object"},
		{"faults", `{"delay":5}`, "delay must be a string, not a number"},
		{"clock", `{"Advance":"1h"}`, `it has no member "Advance"`},
		{"faults", `[7]`, "it must be an object, not a number"},
		{"faults", `{"wait":"1s"}`, `it has no member "wait"`},
		{"faults", `{"status":503,"headers":{"Retry After":"1"}}`, `the header "Retry After" can't be sent so`},
		{"faults", `{"status":503,"headers":{"Via":"a\nb"}}`, `the header "Via" can't be sent so`},
		{"faults", `{"status":503,"retryAfter":"1\r\nVia: a"}`, `redirect and retryAfter are headers, which are one line`},
		{"faults", `{"redirect":"/a\nb"}`, `redirect and retryAfter are headers, which are one line`},
		{"faults", `{"drop":"x"}`, "drop must be an array, not a string"},
		{"customers", `{"email":"a","addresses":[7]}`, "addresses[0] must be an object, not a number"},
		{"companies", `{"id":"x","contacts":[{"email":true}]}`, "contacts[0].email must be a string, not true or false"},
	} {
		said := c.must(400, "POST", "/__fake/"+tc.path, tc.body).text("error")
		assert.Contains(t, said, tc.says, tc.body)
		assert.NotRegexp(t, `Go |emporixfake\.|struct|json:|Fault\b`, said)
	}
	for query, says := range map[string]string{
		"mail=jo@example.com":     `"mail" is not a parameter`,
		"kind=reset":              `there is no kind of mail "reset"; there are password-reset, email-change and opt-in`,
		"kind=opt-in&kind=opt-in": "given twice",
		"kind=%zz":                "not encoded",
	} {
		assert.Contains(t, c.must(400, "GET", "/__fake/outbox?"+query, nil).text("error"), says)
	}
	c.must(200, "GET", "/__fake/outbox?kind=&email=", nil)
}

// A client that confuses names and values makes no secret of a name.
func TestWordsOfTheAPIAreNoSecrets(t *testing.T) {
	c := newFake(t)
	guest, _ := c.visitor()
	guest.send("GET", "/customer/acme/signup/optin/refresh_token", nil)
	guest.send("POST", "/customer/acme/login", object{"email": joEmail, "password": "password"})
	guest.send("GET", customerRefresh+"legalEntityId", nil)
	guest.send("POST", "/customer/acme/login", object{"email": joEmail, "password": "a secret"})
	secrets := c.fake.Secrets()
	for _, word := range []string{"refresh_token", "password", "legalEntityId"} {
		assert.NotContains(t, secrets, word)
	}
	assert.Contains(t, secrets, "a secret")
}

func TestControlStaysShort(t *testing.T) {
	c := newFake(t)
	said := c.must(400, "POST", "/__fake/clock", `{"`+strings.Repeat("x", 5000)+`":1}`).text("error")
	assert.Less(t, len(said), 200)
	large := `{"email":"jo@example.com"}` + strings.Repeat(" ", 10<<20)
	assert.Contains(t, c.must(400, "POST", "/__fake/customers", large).text("error"), "too large")
	c.must(200, "POST", "/__fake/customers", large[:1<<20])
}

func TestMissingListsWhatNeverSucceeded(t *testing.T) {
	c := newFake(t)
	assert.Equal(t, emporixfake.Operations(), c.fake.Coverage().Missing())
	guest, _ := c.visitor()
	guest.must(401, "POST", "/customer/acme/login", object{"email": joEmail, "password": "wrong password"})
	missing := c.fake.Coverage().Missing()
	assert.NotContains(t, missing, "Auth.StartAnonymous")
	assert.Contains(t, missing, "Auth.Login", "it was called, and refused")
	assert.Len(t, missing, len(emporixfake.Operations())-1)
}

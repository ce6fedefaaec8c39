package emporixfake_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

func TestCustomersAreShown(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	jo.must(201, "POST", "/customer/acme/me/addresses", object{"contactName": "Jo", "city": "Berlin"})
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: "ann@example.com", Inactive: true})
	require.NoError(t, err)
	require.NoError(t, c.fake.AddCompany(emporixfake.Company{ID: "D1", Contacts: []emporixfake.Contact{{Email: "ann@example.com"}}}))

	all := c.fake.Customers()
	require.Len(t, all, 2)
	assert.Equal(t, joEmail, all[0].Email)
	assert.True(t, all[0].Active && all[0].HasPassword)
	assert.Equal(t, "Berlin", all[0].Addresses[0]["city"])
	assert.Equal(t, c.fake.Now(), all[0].LastLogin)
	assert.Equal(t, []string{"D1"}, all[1].LegalEntities)
	assert.False(t, all[1].Active || all[1].HasPassword)

	all[0].Profile["firstName"], all[0].Addresses[0]["city"] = "Changed", "Changed" // a copy
	assert.Equal(t, "Berlin", c.fake.Customers()[0].Addresses[0]["city"])
	listed := c.must(200, "GET", "/__fake/customers", nil).list
	require.Len(t, listed, 2)
	assert.Equal(t, "ann@example.com", listed[1].(object)["email"])
	raw, err := json.Marshal(all)
	require.NoError(t, err)
	assert.NotContains(t, string(raw), joPassword)
}

func TestSessionsAreShownWithoutTheirTokens(t *testing.T) {
	c := newFake(t)
	jo, login := c.loggedIn()
	sessions := c.fake.Sessions()
	require.Len(t, sessions, 2, "the guest's, and the customer's")
	guest, customer := sessions[0], sessions[1]
	assert.Equal(t, []string{"anonymous", "customer"}, []string{guest.Kind, customer.Kind})
	assert.Equal(t, guest.SessionID, customer.SessionID)
	assert.NotEmpty(t, customer.CustomerNumber)
	assert.Equal(t, []string{emporixfake.TokenLive, emporixfake.TokenLive}, []string{customer.Access, customer.Refresh})

	c.fake.Advance(25 * time.Hour)
	customer = c.fake.Sessions()[1]
	assert.Equal(t, []string{emporixfake.TokenLive, emporixfake.TokenExpired}, []string{customer.Access, customer.Refresh})
	c.fake.Advance(-25 * time.Hour)
	jo.must(204, "GET", "/customer/acme/logout?accessToken="+jo.bearer, nil)
	customer = c.fake.Sessions()[1]
	assert.Equal(t, emporixfake.TokenRevoked, customer.Access)
	raw := c.must(200, "GET", "/__fake/sessions", nil).raw
	for _, secret := range []string{jo.bearer, login.text("refresh_token"), login.text("saas_token")} {
		assert.NotContains(t, raw, secret)
	}
}

func TestABearerIsIdentified(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	for _, bearer := range []string{jo.bearer, "Bearer " + jo.bearer, "bearer  " + jo.bearer} {
		state, known := c.fake.Identify(bearer)
		require.True(t, known, bearer)
		assert.Equal(t, "customer", state.Kind)
		assert.Equal(t, emporixfake.TokenLive, state.State)
		assert.NotEmpty(t, state.CustomerNumber)
		assert.NotEmpty(t, state.SessionID)
		assert.Contains(t, state.Scopes, "customer.customerprofile_view")
	}
	c.fake.Advance(31 * 24 * time.Hour)
	state, known := c.fake.Identify(jo.bearer)
	assert.True(t, known)
	assert.Equal(t, emporixfake.TokenExpired, state.State)
	for _, bearer := range []string{"", "Bearer", "Bearer ", "nobody's"} {
		_, known := c.fake.Identify(bearer)
		assert.False(t, known, bearer)
	}
	assert.Equal(t, "customer", c.must(200, "POST", "/__fake/identify", object{"bearer": jo.bearer}).text("kind"))
	c.must(400, "POST", "/__fake/identify", object{"bearer": "nobody's"})
	c.must(400, "POST", "/__fake/identify", object{})
}

// A service beside the API knows the fake's visitors, and keeps what is theirs over a
// login.
func TestAServiceBesideTheAPI(t *testing.T) {
	c := newFake(t)
	carts := map[string]int{}
	c.fake.Handle("POST /cart/{tenant}/carts", func(w http.ResponseWriter, r *http.Request) {
		visitor, known := c.fake.Identify(r.Header.Get("Authorization"))
		if !known || visitor.State != emporixfake.TokenLive || r.PathValue("tenant") != "acme" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		carts[visitor.SessionID]++
		fmt.Fprintf(w, `{"items":%d}`, carts[visitor.SessionID])
	})
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: joPassword})
	require.NoError(t, err)
	guest, _ := c.visitor()
	assert.Equal(t, 1.0, guest.must(200, "POST", "/cart/acme/carts", object{}).body["items"])
	login := guest.must(200, "POST", "/customer/acme/login", object{"email": joEmail, "password": joPassword})
	assert.Equal(t, 2.0, c.as(login.text("access_token")).must(200, "POST", "/cart/acme/carts", object{}).body["items"], "the same session")
	c.as("nobody's").must(401, "POST", "/cart/acme/carts", object{})
	c.must(404, "POST", "/wishlist/acme", object{})

	var seen []string
	for _, e := range c.fake.Journal() {
		if strings.Contains(e.Operation, "/cart/") {
			seen = append(seen, fmt.Sprint(e.Operation, " ", e.Bearer, " ", e.Status))
		}
	}
	assert.Equal(t, []string{
		"POST /cart/{tenant}/carts anonymous 200", "POST /cart/{tenant}/carts customer 200", "POST /cart/{tenant}/carts unknown 401",
	}, seen)
	preflight := c.send("OPTIONS", "/cart/acme/carts", nil, "Origin", "https://shop.example", "Access-Control-Request-Method", "POST")
	assert.Equal(t, "POST", preflight.header.Get("Access-Control-Allow-Methods"), "web pages may call it too")
	assert.Panics(t, func() { c.fake.Handle("not a pattern {", func(http.ResponseWriter, *http.Request) {}) })
}

func TestTheJournalShowsRequests(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	jo.must(200, "GET", "/customer/acme/me?expand=addresses", nil)
	jo.must(200, "PATCH", "/customer/acme/me", object{"firstName": "Joanna"})
	byOperation := map[string]emporixfake.Entry{}
	for _, e := range c.fake.Journal() {
		byOperation[e.Operation] = e
	}
	assert.Equal(t, []string{"addresses"}, byOperation["Customers.Get"].Query["expand"])
	assert.Equal(t, []string{"Bearer " + emporixfake.Masked}, byOperation["Customers.Get"].Header["Authorization"])
	assert.JSONEq(t, `{"firstName":"Joanna"}`, byOperation["Customers.Update"].Body)
	assert.Equal(t, fmt.Sprintf(`{"email":%q,"password":%q}`, joEmail, emporixfake.Masked), byOperation["Auth.Login"].Body)

	for _, e := range c.fake.JournalWithSecrets() {
		byOperation[e.Operation] = e
	}
	assert.Equal(t, []string{"Bearer " + jo.bearer}, byOperation["Customers.Get"].Header["Authorization"])
	assert.Contains(t, byOperation["Auth.Login"].Body, joPassword)

	only := c.must(200, "GET", "/__fake/journal?operation=Auth.Login", nil)
	require.Len(t, only.list, 1)
	assert.NotContains(t, only.raw, joPassword)
	assert.Contains(t, c.must(200, "GET", "/__fake/journal?operation=Auth.Login&secrets=show", nil).raw, joPassword)
	for _, query := range []string{"operation=Auth.Logon", "secrets=yes", "since=1", "secrets=show&secrets=show", "%"} {
		assert.NotEmpty(t, c.must(400, "GET", "/__fake/journal?"+query, nil).text("error"), query)
	}
	assert.Contains(t, c.must(400, "GET", "/__fake/journal?operation=Auth.Logon", nil).text("error"), "Auth.Login", "those that there are")
}

// What is large or no text is described, and what is nested is masked too.
func TestBodiesInTheJournal(t *testing.T) {
	c := newFake(t)
	guest, _ := c.visitor()
	for body, want := range map[string]string{
		`{"password":{"deep":["secret one"]}}`:          `{"password":"[masked]"}`,
		`{"email":"a","x":{"token":"mail secret"}}`:     `{"email":"a","x":{"token":"[masked]"}}`,
		`{"email":"` + strings.Repeat("x", 5000) + `"}`: "(5012 bytes)",
		`not JSON`: "(8 bytes that are neither JSON nor a form)",
		"\xff\xfe": "(2 bytes that are neither JSON nor a form)",
	} {
		guest.send("POST", "/customer/acme/login", body)
		journal := c.fake.Journal()
		assert.Equal(t, want, journal[len(journal)-1].Body)
	}
}

func TestDurations(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"2h": 2 * time.Hour, "31d": 31 * 24 * time.Hour, "1d12h": 36 * time.Hour, "-1d": -24 * time.Hour, "-90s": -90 * time.Second, "0d": 0, "0s": 0, "1.5h": 90 * time.Minute,
	} {
		got, err := emporixfake.ParseDuration(value)
		require.NoError(t, err, value)
		assert.Equal(t, want, got, value)
	}
	for _, value := range []string{"", "d", "1", "soon", "1d-2h", "1d2d", "--1d", "1w", "9999999d", "106752d", "106751d24h", " 1d"} {
		_, err := emporixfake.ParseDuration(value)
		assert.ErrorContains(t, err, "31d", "%q", value)
	}
	c := newFake(t)
	before := c.fake.Now()
	c.must(200, "POST", "/__fake/clock", object{"advance": "31d"})
	assert.Equal(t, 31*24*time.Hour, c.fake.Now().Sub(before))
}

func TestTheIndexAndItsDescription(t *testing.T) {
	c := newFake(t)
	index := c.must(200, "GET", "/__fake/", nil)
	assert.Equal(t, "acme", index.text("tenant"))
	described := c.must(200, "GET", "/__fake/openapi.json", nil)
	assert.Equal(t, "3.1.0", described.text("openapi"))
	paths := described.body["paths"].(object)
	for _, e := range index.body["endpoints"].([]any) {
		endpoint := e.(object)
		path, method := endpoint["path"].(string), endpoint["method"].(string)
		assert.Contains(t, paths[path], strings.ToLower(method), path)
		var body any
		if example, given := endpoint["example"].(string); given {
			body = example
		}
		switch path {
		case "/__fake/identify", "/__fake/companies": // about what is not there in a fake without customers
			c.must(400, method, path, body)
		default:
			c.must(200, method, path, body) // the examples work
		}
	}
}

// A person reads the page in a browser, and uses its forms.
func TestThePage(t *testing.T) {
	c := newFake(t)
	server := httptest.NewServer(c.fake)
	defer server.Close()
	jo, login := c.loggedIn()
	jo.must(204, "POST", "/customer/acme/password/change", object{"currentPassword": joPassword, "newPassword": "another one"})
	show := func() string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/__fake/", nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/html,application/xhtml+xml")
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		text := readAll(t, resp)
		assert.Equal(t, 200, resp.StatusCode)
		assert.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
		return text
	}
	submit := func(form string, header ...string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/__fake/", strings.NewReader(form))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		client := server.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := client.Do(req)
		require.NoError(t, err)
		readAll(t, resp)
		return resp.StatusCode
	}
	text := show()
	for _, secret := range []string{jo.bearer, login.text("refresh_token"), joPassword, "another one"} {
		assert.NotContains(t, text, secret)
	}
	for _, want := range []string{joEmail, "2026-01-02 03:04:05 UTC", "Auth.Login", "Credentials.ChangePassword"} {
		assert.Contains(t, text, want)
	}
	assert.Equal(t, 303, submit("do=advance&duration=31d"))
	assert.Contains(t, show(), "2026-02-02 03:04:05 UTC")
	assert.Equal(t, 303, submit("do=customer&email=%3Cb%3E%40example.com&password=P%40ssw0rd"))
	assert.Contains(t, show(), "&lt;b&gt;@example.com", "what others typed is text")
	assert.Equal(t, 303, submit("do=fault&operation=Auth.Login&status=503&times=2"))
	assert.Contains(t, show(), "status 503, before the effect")
	assert.Equal(t, 303, submit("do=clear"))
	assert.Empty(t, c.fake.Faults())
	for _, form := range []string{"", "do=nothing", "do=advance&duration=soon", "do=fault&status=x&times=1", "do=fault&status=503&times=x", "do=customer", "%"} {
		assert.Equal(t, 400, submit(form), form)
	}
	assert.Equal(t, 403, submit("do=reset", "Origin", "https://elsewhere.example"))
	assert.NotEmpty(t, c.fake.Customers())
	assert.Equal(t, 303, submit("do=reset"))
	assert.Empty(t, c.fake.Customers())
}

func TestKindsOfMailThatThereAreNot(t *testing.T) {
	c := newFake(t)
	assert.PanicsWithValue(t, `emporixfake: there is no kind of mail "reset"; there are password-reset, email-change and opt-in`, func() {
		c.fake.Outbox(emporixfake.MailFilter{Kind: "reset"})
	})
}

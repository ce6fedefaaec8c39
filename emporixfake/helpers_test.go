package emporixfake_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

type object = map[string]any

// client speaks to a fake as a program of another origin would.
type client struct {
	t      *testing.T
	fake   *emporixfake.Server
	bearer string
}

type reply struct {
	status int
	body   object
	list   []any
	raw    string
	header http.Header
}

func newFake(t *testing.T, change ...func(*emporixfake.Config)) client {
	t.Helper()
	assumptions := emporixfake.DefaultAssumptions()
	// The time stands still unless a test moves it.
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cfg := emporixfake.Config{Assumptions: &assumptions, Now: func() time.Time { return begin }}
	for _, c := range change {
		c(&cfg)
	}
	return client{t: t, fake: emporixfake.New(cfg)}
}

func assume(change func(*emporixfake.Assumptions)) func(*emporixfake.Config) {
	return func(cfg *emporixfake.Config) { change(cfg.Assumptions) }
}

func (c client) as(bearer string) client {
	c.bearer = bearer
	return c
}

// send takes a body that is nil, a string (as it is) or something for JSON. A header
// whose name comes twice is sent twice.
func (c client) send(method, path string, body any, header ...string) reply {
	c.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		raw, err := json.Marshal(body)
		require.NoError(c.t, err)
		reader = strings.NewReader(string(raw))
	}
	r := httptest.NewRequest(method, path, reader)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	given := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		given.Add(header[i], header[i+1])
	}
	maps.Copy(r.Header, given)
	w := httptest.NewRecorder()
	c.fake.ServeHTTP(w, r)
	got := reply{status: w.Code, raw: w.Body.String(), header: w.Header()}
	if strings.HasPrefix(got.raw, "[") {
		require.NoError(c.t, json.Unmarshal(w.Body.Bytes(), &got.list))
	} else {
		_ = json.Unmarshal(w.Body.Bytes(), &got.body)
	}
	return got
}

// must sends and expects a status.
func (c client) must(status int, method, path string, body any, header ...string) reply {
	c.t.Helper()
	got := c.send(method, path, body, header...)
	require.Equal(c.t, status, got.status, "%s %s: %s", method, path, got.raw)
	return got
}

func (r reply) text(name string) string {
	s, _ := r.body[name].(string)
	return s
}

func (r reply) faultCode() string {
	fault, _ := r.body["fault"].(object)
	detail, _ := fault["detail"].(object)
	code, _ := detail["errorcode"].(string)
	return code
}

// fields are those that details of an error name.
func (r reply) fields() []string {
	var names []string
	details, _ := r.body["details"].([]any)
	for _, d := range details {
		name, _ := d.(object)["field"].(string)
		names = append(names, name)
	}
	return names
}

const anonymousPath = "/customerlogin/auth/anonymous/"

// visitor starts an anonymous session.
func (c client) visitor() (client, reply) {
	c.t.Helper()
	got := c.as("").must(200, "GET", anonymousPath+"login?tenant=acme&client_id=storefront", nil)
	return c.as(got.text("access_token")), got
}

func (c client) employee() client {
	c.t.Helper()
	got := c.as("").must(200, "POST", "/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"backend"}, "client_secret": {"backend-secret-for-tests"},
	}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	return c.as(got.text("access_token"))
}

const (
	joEmail    = "jo@example.com"
	joPassword = "correct horse"
)

// loggedIn adds Jo, if she is not there, and logs her in.
func (c client) loggedIn() (client, reply) {
	c.t.Helper()
	_, _ = c.fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: joPassword, FirstName: "Jo", LastName: "Doe"})
	guest, _ := c.visitor()
	got := guest.must(200, "POST", "/customer/acme/login", object{"email": joEmail, "password": joPassword})
	return c.as(got.text("access_token")), got
}

func (c client) mailToken(kind, email string) string {
	c.t.Helper()
	mails := c.fake.Outbox(emporixfake.MailFilter{Kind: kind, Email: email})
	require.NotEmpty(c.t, mails, "no %s mail", kind)
	return mails[0].Token
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

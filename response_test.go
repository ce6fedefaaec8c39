package emporix_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// answering is a tenant that gives one answer to the operation under test, and
// usual ones to everything else.
type answering struct {
	path   string // the end of the path of the operation under test
	status int
	body   string
	last   *http.Request
	sent   string // the body of the last request to it
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := 200, customerTokens
	switch {
	case strings.HasSuffix(r.URL.Path, a.path):
		status, body, a.last, a.sent = a.status, a.body, r, ""
		if r.Body != nil {
			sent, _ := io.ReadAll(r.Body)
			a.sent = string(sent)
		}
	case strings.Contains(r.URL.Path, "/anonymous/"):
		body = anonymousTokens
	case strings.HasSuffix(r.URL.Path, "/oauth/token"):
		body = `{"access_token":"staff","expires_in":3599,"token_type":"Bearer"}`
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// answers returns a tenant and a client whose customer is logged in.
func answers(t *testing.T, path string, opts ...emporix.Option) (*answering, *emporix.Client) {
	t.Helper()
	tenant := &answering{path: "\x00"}
	client, err := emporix.NewClient("acme", "storefront", append([]emporix.Option{emporix.WithTransport(tenant), emporix.WithForegroundRenewal()}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
	require.NoError(t, login(t.Context(), client))
	tenant.path, tenant.status = path, 200
	return tenant, client
}

// member is a member of a JSON document with members in their order.
type member struct {
	name  string
	value any // []member, []any, or what encodes itself
}

func encodeDocument(value any) string {
	switch v := value.(type) {
	case []member:
		parts := make([]string, len(v))
		for i, m := range v {
			parts[i] = strconv.Quote(m.name) + ":" + encodeDocument(m.value)
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		parts := make([]string, len(v))
		for i, element := range v {
			parts[i] = encodeDocument(element)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	out, _ := json.Marshal(value)
	return string(out)
}

// documentOf builds a document with a value for every field of a type.
func documentOf(typ reflect.Type, name string) any {
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return "2025-02-14T10:00:00Z"
	case typ == reflect.TypeFor[emporix.Mixins]():
		return []member{{"loyalty", []member{{"level", 3}, {"note", nil}}}}
	case typ == reflect.TypeFor[emporix.MixinSchemas]():
		return []member{{"loyalty", "https://x.example/s.json"}, {"odd", 7}, {"list", []any{1, nil}}}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return documentOf(typ.Elem(), name)
	case reflect.Slice:
		return []any{documentOf(typ.Elem(), name)}
	case reflect.Struct:
		var members []member
		for i := range typ.NumField() {
			tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			members = append(members, member{tag, documentOf(typ.Field(i).Type, name+"."+tag)})
		}
		return members
	case reflect.Bool:
		return true
	case reflect.Int:
		return 3
	default:
		return "value of " + name
	}
}

// change is what is done to one member.
type change struct {
	name  string
	apply func(members []member, at int) []member
}

func set(value any) func([]member, int) []member {
	return func(members []member, at int) []member {
		members[at].value = value
		return members
	}
}

var memberChanges = []change{
	{"absent", func(members []member, at int) []member { return slices.Delete(members, at, at+1) }},
	{"null", set(nil)}, {"a string", set("text")}, {"an empty string", set("")}, {"a number", set(7)}, {"a fraction", set(json.RawMessage("7.5"))},
	{"a huge number", set(json.RawMessage("1e400"))}, {"a bool", set(true)}, {"an object", set([]member{{"x", 1}})}, {"an empty object", set([]member{})},
	{"an array", set([]any{1, "x", nil})}, {"an empty array", set([]any{})}, {"nested arrays", set([]any{[]any{}})},
	{"doubled, null last", func(members []member, at int) []member { return append(members, member{members[at].name, nil}) }},
	{"doubled, null first", func(members []member, at int) []member {
		return append([]member{{members[at].name, nil}}, members...)
	}},
	{"doubled, unreadable last", func(members []member, at int) []member {
		return append(members, member{members[at].name, []any{[]any{}}})
	}},
	{"another case after it", func(members []member, at int) []member {
		return append(members, member{strings.ToUpper(members[at].name), "other"})
	}},
	{"another case before it", func(members []member, at int) []member {
		return append([]member{{strings.ToUpper(members[at].name), "other"}}, members...)
	}},
	{"unknown members beside it", func(members []member, at int) []member {
		return append([]member{{"unknown", []member{{members[at].name, 1}}}}, append(members, member{"other", nil})...)
	}},
}

// eachMemberOf calls visit for every member at every depth of a fresh document.
// Within a visit, edit changes that member.
func eachMemberOf(build func() any, visit func(path []string, document any, edit func(change) any)) {
	var walk func(path []string)
	at := func(document any, path []string) any {
		for _, step := range path {
			switch v := document.(type) {
			case []member:
				document = v[slices.IndexFunc(v, func(m member) bool { return m.name == step })].value
			case []any:
				document = v[0]
			}
		}
		return document
	}
	var replace func(document any, path []string, c change) any
	replace = func(document any, path []string, c change) any {
		switch v := document.(type) {
		case []any:
			v[0] = replace(v[0], path[1:], c)
			return v
		case []member:
			i := slices.IndexFunc(v, func(m member) bool { return m.name == path[0] })
			if len(path) == 1 {
				return c.apply(v, i)
			}
			v[i].value = replace(v[i].value, path[1:], c)
			return v
		}
		return document
	}
	walk = func(path []string) {
		switch v := at(build(), path).(type) {
		case []member:
			for _, m := range v {
				inner := append(slices.Clone(path), m.name)
				visit(inner, build(), func(c change) any { return replace(build(), inner, c) })
				walk(inner)
			}
		case []any:
			walk(append(slices.Clone(path), "0"))
		}
	}
	walk(nil)
}

// at returns a part of a value as JSON.
func at(t *testing.T, value any, path []string) any {
	t.Helper()
	part := without(t, value, nil)
	for _, step := range path {
		switch v := part.(type) {
		case map[string]any:
			part = v[step]
		case []any:
			part = v[0]
		}
	}
	return part
}

// without returns a value as JSON with one member left out.
func without(t *testing.T, value any, path []string) any {
	t.Helper()
	encoded, err := json.Marshal(value)
	require.NoError(t, err)
	var out any
	numbers := json.NewDecoder(bytes.NewReader(encoded))
	numbers.UseNumber()
	require.NoError(t, numbers.Decode(&out))
	inner := out
	for i, step := range path {
		switch v := inner.(type) {
		case map[string]any:
			if i == len(path)-1 {
				delete(v, step)
			}
			inner = v[step]
		case []any:
			if len(v) == 0 {
				return out
			}
			inner = v[0]
		}
	}
	return out
}

// One member that is absent, null, doubled or of another type costs no other
// member, and the answer can be read as it was sent. The documents are made from
// the types, so a new field is tested as soon as it exists.
func TestAnswersAreReadMemberByMember(t *testing.T) {
	for name, tt := range map[string]struct {
		path string
		typ  reflect.Type
		call func(context.Context, *emporix.Client) (any, error)
	}{
		"Customers.Get": {"/me", reflect.TypeFor[emporix.Customer](), func(ctx context.Context, c *emporix.Client) (any, error) { return c.Customers.Get(ctx) }},
		"Addresses.Get": {"/me/addresses/a1", reflect.TypeFor[emporix.Address](), func(ctx context.Context, c *emporix.Client) (any, error) {
			return c.Addresses.Get(ctx, "a1")
		}},
		"Addresses.List": {"/me/addresses", reflect.TypeFor[[]emporix.Address](), func(ctx context.Context, c *emporix.Client) (any, error) { return c.Addresses.List(ctx) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant, client := answers(t, tt.path)
			get := func(document any) any {
				tenant.body = encodeDocument(document)
				var raw emporix.RawResponse
				got, err := tt.call(emporix.WithRawResponse(t.Context(), &raw), client)
				require.NoError(t, err, tenant.body)
				require.Equal(t, tenant.body, string(raw.Body()))
				require.Equal(t, name, raw.Operation())
				require.Equal(t, 200, raw.StatusCode())
				return got
			}
			build := func() any { return documentOf(tt.typ, "") }
			full := get(build())
			require.JSONEq(t, encodeDocument(build()), mustJSON(t, full), "an answer as documented is read whole")
			eachMemberOf(build, func(path []string, _ any, edit func(change) any) {
				for _, c := range memberChanges {
					got := get(edit(c))
					rest := path
					if inMixins(path) { // which are kept as they are
						rest = path[:slices.Index(path, "mixins")+1]
						if !strings.HasPrefix(c.name, "doubled") {
							assert.Equal(t, at(t, json.RawMessage(tenant.body), rest), at(t, got, rest), tenant.body)
						}
					}
					assert.Equal(t, without(t, full, rest), without(t, got, rest), "%v, %s: %s", path, c.name, tenant.body)
					// Of two values the last counts: for a list, a map and a pointer also if
					// it is null, as everywhere in encoding/json.
					if !inMixins(path) && (c.name == "doubled, unreadable last" || c.name == "doubled, null first" || strings.HasPrefix(c.name, "another case") || strings.HasPrefix(c.name, "unknown")) {
						assert.Equal(t, full, got, "%v, %s: what can be read is read", path, c.name)
					}
				}
			})
		})
	}
}

// Of two members with one name the last counts, and not a mixture of both: an
// address must not have the ID of one and the city of another.
func TestDoubledMembersAreNotMixed(t *testing.T) {
	t.Parallel()
	tenant, client := answers(t, "/me")
	one, other := `{"id":"a1","city":"Berlin","tags":["BILLING"],"mixins":{"x":{"y":1,"y":2}}}`, `{"id":"a2","metadata":{"version":2}}`
	for name, body := range map[string]string{
		"a list":        `"addresses":[` + one + `],"addresses":[` + other + `]`,
		"another case":  `"Addresses":[` + one + `],"addresses":[` + other + `],"ADDRESSES":[` + one + `]`,
		"with escapes":  `"\u0061ddresses":[` + one + `],"addresses":[` + other + `]`,
		"a pointer":     `"defaultAddress":` + one + `,"defaultAddress":` + other,
		"after a mixin": `"mixins":{"a":{"b":[{}]}},"defaultAddress":` + one + `,"defaultAddress":` + other,
	} {
		tenant.body = `{"customerNumber":"1",` + body + `}`
		me, err := client.Customers.Get(t.Context())
		require.NoError(t, err, name)
		got := me.Addresses
		if me.DefaultAddress != nil {
			got = append(got, *me.DefaultAddress)
		}
		assert.Equal(t, []emporix.Address{{ID: "a2", Metadata: emporix.Metadata{Version: 2}}}, got, name)
	}
}

// inMixins reports a path into what the SDK keeps as it is.
func inMixins(path []string) bool {
	i := slices.Index(path, "mixins")
	return i >= 0 && i < len(path)-1
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	out, err := json.Marshal(value)
	require.NoError(t, err)
	return string(out)
}

// Every field takes the other JSON types whose meaning is clear.
func TestAnswersConvertWhatIsClear(t *testing.T) {
	t.Parallel()
	tenant, client := answers(t, "/me")
	seen := map[reflect.Kind]int{}
	var each func(typ reflect.Type, prefix, suffix string, field func(*emporix.Customer) reflect.Value)
	each = func(typ reflect.Type, prefix, suffix string, field func(*emporix.Customer) reflect.Value) {
		cases := map[string]any{}
		switch {
		case typ == reflect.TypeFor[time.Time](), typ == reflect.TypeFor[emporix.Mixins](), typ == reflect.TypeFor[emporix.MixinSchemas]():
			return
		case typ.Kind() == reflect.Pointer:
			each(typ.Elem(), prefix, suffix, func(c *emporix.Customer) reflect.Value {
				if field(c).IsNil() {
					return reflect.Zero(typ.Elem())
				}
				return field(c).Elem()
			})
			return
		case typ.Kind() == reflect.Slice:
			first := func(c *emporix.Customer) reflect.Value {
				if field(c).Len() == 0 {
					return reflect.Zero(typ.Elem())
				}
				return field(c).Index(0)
			}
			each(typ.Elem(), prefix+"[", "]"+suffix, first)
			each(typ.Elem(), prefix, suffix, first) // a list of one
			return
		case typ.Kind() == reflect.Struct:
			for i := range typ.NumField() {
				name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
				each(typ.Field(i).Type, prefix+`{"`+name+`":`, "}"+suffix, func(c *emporix.Customer) reflect.Value { return field(c).Field(i) })
			}
			return
		case typ.Kind() == reflect.String:
			cases = map[string]any{`7`: "7", `10115`: "10115", `7.0`: "7", `1.3869e7`: "13869000", `-7.25`: "-7.25", `12345678901234567890123`: "12345678901234567890123", `"7"`: "7"}
		case typ.Kind() == reflect.Int:
			cases = map[string]any{`"7"`: 7, `" 7 "`: 7, `7.0`: 7, `7e0`: 7, `"7.0"`: 7}
		case typ.Kind() == reflect.Bool:
			cases = map[string]any{`"true"`: true, `"TRUE"`: true, `1`: true, `"1"`: true}
		}
		require.NotEmpty(t, cases, "%s: a new kind of field", typ)
		seen[typ.Kind()]++
		for value, want := range cases {
			tenant.body = strings.Replace(prefix+value+suffix, "{", `{"contactEmail":"jo@example.com","id":"1",`, 1)
			if strings.HasPrefix(prefix, `{"contactEmail"`) || strings.HasPrefix(prefix, `{"id"`) {
				tenant.body = strings.Replace(prefix+value+suffix, "{", `{"lastName":"Doe",`, 1)
			}
			me, err := client.Customers.Get(t.Context())
			require.NoError(t, err, tenant.body)
			assert.EqualValues(t, want, field(me).Interface(), tenant.body)
		}
	}
	each(reflect.TypeFor[emporix.Customer](), "", "", func(c *emporix.Customer) reflect.Value { return reflect.ValueOf(c).Elem() })
	assert.Greater(t, seen[reflect.String], 40)
	assert.Greater(t, seen[reflect.Int], 2)
	assert.Greater(t, seen[reflect.Bool], 2)
}

// A list keeps its readable elements.
func TestListsLoseOnlyWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	tenant, client := answers(t, "/me/addresses")
	for body, want := range map[string][]emporix.Address{
		`[]`: {},
		`[{"id":"1"},{"contactName":"Jo","zipCode":10115},{"id":"3"}]`:      {{ID: "1"}, {ContactName: "Jo", ZipCode: "10115"}, {ID: "3"}},
		`[null,{"id":"1"},7,"x",[],{},{"foo":1}]`:                           {{ID: "1"}},
		`[{"id":7,"tags":["A",7,null,"",{}],"isDefault":"true"}]`:           {{ID: "7", Tags: []string{"A", "7"}, IsDefault: true}},
		`[{"id":"1","tags":["A",null]}]`:                                    {{ID: "1", Tags: []string{"A"}}},
		`[{"id":"1","metadata":{"version":"4","mixins":[]},"mixins":null}]`: {{ID: "1", Metadata: emporix.Metadata{Version: 4}}},
		`{"id":"1"}`: {{ID: "1"}},
	} {
		tenant.body = body
		got, err := client.Addresses.List(t.Context())
		require.NoError(t, err, body)
		assert.Equal(t, want, got, body)
	}
	tenant.path = "/me"
	tenant.body = `{"id":1,"accounts":[null,{},{"id":"jo@example.com"},7],"addresses":[null,{"id":"1"}],"b2b":{"legalEntities":[{},{"id":5}]},"defaultAddress":{"id":"1","tags":[null]}}`
	me, err := client.Customers.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, &emporix.Customer{ID: "1", Accounts: []emporix.Account{{ID: "jo@example.com"}}, Addresses: []emporix.Address{{ID: "1"}},
		B2B: emporix.B2B{LegalEntities: []emporix.LegalEntity{{ID: "5"}}}, DefaultAddress: &emporix.Address{ID: "1"}}, me)
	for body, anonymous := range map[string]bool{`{"customerNumber":0,"id":0}`: true, `{"customerNumber":"00000000"}`: true, `{"customerNumber":13869000}`: false} {
		tenant.body = body
		me, err := client.Customers.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, anonymous, me.IsAnonymous(), body)
	}
	tenant.body = `{"ID":"other","id":1,"Id":"third"}`
	me, err = client.Customers.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "1", me.ID, "the documented spelling counts")
}

// tokenAnswers are the calls that answer with tokens, and what each documents.
var tokenAnswers = []struct {
	name, path, body string
	call             func(context.Context, *emporix.Client) (session string, initial bool, err error)
}{
	{"Auth.StartAnonymous", "/anonymous/login", anonymousTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		info, err := c.Session("v").Auth.StartAnonymous(ctx, emporix.SessionContext{})
		return info.SessionID, false, err
	}},
	{"Auth.RefreshAnonymous", "/anonymous/refresh", anonymousTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		guest := c.Session(rand.Text())
		if _, err := guest.Auth.StartAnonymous(ctx, emporix.SessionContext{}); err != nil {
			return "", false, err
		}
		info, err := guest.Auth.Refresh(ctx)
		return info.SessionID, false, err
	}},
	{"Auth.Login", "/acme/login", customerTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		return ofLogin(c.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "secret"}))
	}},
	{"Auth.Refresh", "/refreshauthtoken", customerTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		if err := login(ctx, c); err != nil { // the refresh before may have failed
			return "", false, err
		}
		info, err := c.Auth.Refresh(ctx)
		return info.SessionID, false, err
	}},
	{"Auth.SocialLogin", "/socialLogin", `{"social_access_token":"fb","social_id_token":"fbid","refresh_token":"r","refresh_token_expires_in":"86399","session_idle_time":3600,"token_type":"Bearer","access_token":"a","saas_token":"s","expires_in":"2591999","scope":"tenant=acme","session_id":"s1"}`,
		func(ctx context.Context, c *emporix.Client) (string, bool, error) {
			result, err := c.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "code", RedirectURI: "https://x.example"})
			if err != nil {
				return "", false, err
			}
			return result.SessionID, result.InitialPassword, nil
		}},
	{"Auth.ExchangeToken", "/exchangeauthtoken", `{"subject_access_token":"sub","access_token":"a","saas_token":"s","refresh_token":"r","refresh_token_expires_in":15551999,"session_idle_time":120,"token_type":"Bearer","expires_in":14399,"scope":"a.b tenant=acme","session_id":"s1"}`,
		func(ctx context.Context, c *emporix.Client) (string, bool, error) {
			result, err := c.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "subject"})
			if err != nil {
				return "", false, err
			}
			return result.SessionID, result.InitialPassword, nil
		}},
	{"Customers.ConfirmSignUp", "/optin/confirm", customerTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		return ofLogin(c.Customers.ConfirmSignUp(ctx, "confirm"))
	}},
}

func ofLogin(result *emporix.LoginResult, err error) (string, bool, error) {
	if err != nil {
		return "", false, err
	}
	return result.SessionID, result.InitialPassword, nil
}

// The same for all answers with tokens: no member but the access token and its
// lifetime decides about a login.
func TestTokenAnswersAreReadMemberByMember(t *testing.T) {
	for _, tt := range tokenAnswers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tenant, client := answers(t, tt.path)
			var known map[string]any
			require.NoError(t, json.Unmarshal([]byte(tt.body), &known))
			known["initialPassword"], known["scope"] = false, "a.b tenant=acme"
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			build := func() any {
				var members []member
				for _, name := range names {
					members = append(members, member{name, known[name]})
				}
				return members
			}
			eachMemberOf(build, func(path []string, _ any, edit func(change) any) {
				for _, c := range memberChanges {
					tenant.body = encodeDocument(edit(c))
					var raw emporix.RawResponse
					session, _, err := tt.call(emporix.WithRawResponse(t.Context(), &raw), client)
					if path[0] == "access_token" || path[0] == "expires_in" || path[0] == "token_type" && c.name == "a string" {
						require.True(t, err == nil || errors.Is(err, emporix.ErrBadResponse), "%s: %v", tenant.body, err)
					} else {
						require.NoError(t, err, "%s", tenant.body)
					}
					if err == nil && path[0] != "session_id" && path[0] != "sessionId" {
						assert.Equal(t, "s1", session, tenant.body)
					}
					if raw.Operation() != tt.name {
						t.Fatalf("%s is not the answer", raw.Operation())
					}
					require.True(t, json.Valid(raw.Body()), "%s", raw.Body())
					for _, name := range names {
						if text, _ := known[name].(string); strings.HasSuffix(name, "_token") {
							assert.NotContains(t, string(raw.Body()), strconv.Quote(text))
						}
					}
				}
			})
		})
	}
}

// What is legal or harmless in a token answer costs no login, and is told to
// the log where it is odd, without a value.
func TestOddTokenAnswersLogIn(t *testing.T) {
	for name, members := range map[string]string{
		"BearerToken": `"token_type":"BearerToken"`, "lower case": `"token_type":"bearer"`, "no type": `"token_type":null`,
		"a numeric session": `"session_id":1,"sessionId":1`, "an empty error": `"error":""`, "no error": `"error":null,"fault":null`, "not an error": `"error":false`, "no error, as a number": `"error":0.0,"fault":-0`, "no errors": `"error":[ ],"fault":[ null ]`,
		"strings": `"expires_in":"2591999","refresh_token_expires_in":"86399"`, "floats": `"expires_in":2591999.0`, "an exponent": `"expires_in":2.592e6,"refresh_token_expires_in":"8.64e4"`,
		"a password as a string": `"initialPassword":"false"`, "every printable character": `"refresh_token":"a|b%c:d{e} f\"\\~"`,
		"camel-case twins": `"accessToken":"CANARY","refreshToken":"CANARY","expiresIn":7,"sessionId":"CANARY","saasToken":"CANARY"`,
		"doubled":          `"refresh_token":"CANARY"`, "twins that are null": `"accessToken":null,"saasToken":null`,
		"unknown": `"unknown":{"deep":{"fault":{"faultstring":"x"},"error":"y"}}`,
	} {
		for _, tt := range tokenAnswers {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				var log strings.Builder
				tenant, client := answers(t, tt.path, emporix.WithLogger(textLogger(&log)))
				tenant.body = "{" + members + "," + tt.body[1:]
				_, initial, err := tt.call(t.Context(), client)
				require.NoError(t, err, tenant.body)
				assert.False(t, initial)
				assert.NotContains(t, log.String(), "CANARY")
				if name == "camel-case twins" {
					assert.Contains(t, log.String(), "access_token and accessToken differ; access_token is used")
				}
				if name == "doubled" {
					assert.Contains(t, log.String(), "refresh_token came twice and differently")
				}
			})
		}
	}
}

// A refresh token of every character that RFC 6749 allows comes back to the
// server as it was.
func TestRefreshTokensOfEveryCharacter(t *testing.T) {
	var printable strings.Builder
	for c := rune(' '); c <= '~'; c++ {
		printable.WriteRune(c)
	}
	tenant, client := answers(t, "/acme/login")
	quoted, err := json.Marshal(printable.String())
	require.NoError(t, err)
	tenant.body = `{"access_token":"a|b\"c","refresh_token":` + string(quoted) + `,"expires_in":3600,"saas_token":` + string(quoted) + `}`
	require.NoError(t, login(t.Context(), client))
	saas, err := client.DefaultSession().SaaSToken(t.Context())
	require.NoError(t, err)
	assert.Equal(t, printable.String(), saas.Reveal())
	tenant.path, tenant.body = "/refreshauthtoken", customerTokens
	_, err = client.Auth.Refresh(t.Context())
	require.NoError(t, err)
	assert.Equal(t, printable.String(), tenant.last.URL.Query().Get("refreshToken"))
	for _, bad := range []string{`a\nb`, `a\u0000`, `a b`, `é`} {
		tenant.path, tenant.body = "/acme/login", `{"access_token":"`+bad+`","expires_in":3600}`
		assert.ErrorIs(t, login(t.Context(), client), emporix.ErrBadResponse, bad)
	}
}

// What Validate tells is read member by member as well.
func TestValidateIsReadMemberByMember(t *testing.T) {
	t.Parallel()
	tenant, client := answers(t, "/validateauthtoken")
	full := []member{{"token_type", "Bearer"}, {"expires_in", 60}, {"scope", "a.b tenant=acme c.d"}, {"sessionId", "s"}, {"email", "jo@example.com"}, {"legalEntityId", "l"}}
	fieldOf := map[string]string{"token_type": "TokenType", "expires_in": "ExpiresIn", "scope": "Scopes", "sessionId": "SessionID", "email": "Email", "legalEntityId": "LegalEntityID"}
	require.Len(t, fieldOf, reflect.TypeFor[emporix.TokenDetails]().NumField())
	want := emporix.TokenDetails{TokenType: "Bearer", ExpiresIn: time.Minute, Scopes: []string{"a.b", "c.d"}, SessionID: "s", Email: "jo@example.com", LegalEntityID: "l"}
	eachMemberOf(func() any { return slices.Clone(full) }, func(path []string, _ any, edit func(change) any) {
		for _, c := range memberChanges {
			tenant.body = encodeDocument(edit(c))
			got, err := client.Auth.Validate(t.Context())
			require.NoError(t, err, tenant.body)
			expected := want
			changed := fieldOf[path[0]]
			reflect.ValueOf(&expected).Elem().FieldByName(changed).Set(reflect.ValueOf(*got).FieldByName(changed))
			assert.Equal(t, expected, *got, tenant.body)
			if strings.HasPrefix(c.name, "doubled") || strings.HasPrefix(c.name, "unknown") {
				assert.Equal(t, want, *got, tenant.body)
			}
		}
	})
	for body, check := range map[string]func(*emporix.TokenDetails) bool{
		`{"expires_in":"2.592e6"}`:                      func(d *emporix.TokenDetails) bool { return d.ExpiresIn == 30*24*time.Hour },
		`{"sessionId":7,"expires_in":1}`:                func(d *emporix.TokenDetails) bool { return d.SessionID == "7" },
		`{"scope":["a.b","tenant=acme"],"error":null}`:  func(d *emporix.TokenDetails) bool { return len(d.Scopes) == 1 },
		`{"email":"e","fault":null,"legalEntityId":12}`: func(d *emporix.TokenDetails) bool { return d.LegalEntityID == "12" },
		`{"session_id":"s","email":"e"}`:                func(d *emporix.TokenDetails) bool { return d.SessionID == "s" },
	} {
		tenant.body = body
		got, err := client.Auth.Validate(t.Context())
		require.NoError(t, err, body)
		assert.True(t, check(got), body)
	}
}

// What a program keeps as JSON, it reads as it was.
func TestValuesSurviveJSON(t *testing.T) {
	for _, kept := range []emporix.TokenDetails{
		{TokenType: "Bearer", ExpiresIn: 30 * 24 * time.Hour, Scopes: []string{"a.b", "c.d"}, SessionID: "s", Email: "jo@example.com", LegalEntityID: "l"},
		{ExpiresIn: 1500 * time.Millisecond, Scopes: []string{}},
		{},
	} {
		data, err := json.Marshal(kept)
		require.NoError(t, err)
		var read emporix.TokenDetails
		require.NoError(t, json.Unmarshal(data, &read))
		assert.Equal(t, kept, read, "%s", data)
	}
	kept := emporix.Customer{
		ID: "1", LastLogin: time.Date(2025, 2, 14, 10, 0, 0, 123456789, time.UTC), Accounts: []emporix.Account{{ID: "jo@example.com"}},
		Addresses: []emporix.Address{{ID: "a", Tags: []string{"x"}}}, Metadata: emporix.Metadata{Version: 3, Mixins: emporix.MixinSchemas{"m": "u"}},
	}
	data, err := json.Marshal(kept)
	require.NoError(t, err)
	var read emporix.Customer
	require.NoError(t, json.Unmarshal(data, &read))
	assert.Equal(t, kept, read)
}

// "fault" and "error" that say nothing, or that stand deep inside a success, are
// no failure; those that say something are one.
func TestErrorWordsInsideASuccess(t *testing.T) {
	t.Parallel()
	calls := map[string]struct {
		path, body string
		call       func(context.Context, *emporix.Client) error
	}{
		"Customers.Get":    {"/me", `{"id":"1"}`, get},
		"Customers.Update": {"/me", `{"version":2}`, update},
		"Customers.SignUp": {"/signup", `{"id":"1"}`, signUp},
		"Auth.Validate":    {"/validateauthtoken", `{"email":"e"}`, reads["Auth.Validate"]},
		"Auth.Logout":      {"/logout", `{"done":true}`, writes["Auth.Logout"]},
		"Addresses.Get":    {"/me/addresses/a1", `{"id":"a1"}`, reads["Addresses.Get"]},
		"Auth.Login":       {"/acme/login", customerTokens, login},
	}
	for name, tt := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for members, fine := range map[string]bool{
				`"fault":null`: true, `"error":null`: true, `"fault":""`: true, `"error":""`: true, `"error":" "`: true, `"error":false`: true, `"fault":false`: true, `"error":0`: true, `"error":[]`: true, `"error":0.0`: true, `"fault":-0`: true, `"error":[ ]`: true, `"fault":[ ]`: true,
				`"mixins":{"fault":{"faultstring":"x"}}`: true, `"metadata":{"mixins":{"error":"x","fault":"x"}}`: true, `"other":[{"fault":{}}]`: true,
				`"note":"\"fault\":{}"`:       true,
				`"fault":{"faultstring":"x"}`: false, `"fault":{}`: false, `"fault":"x"`: false, `"fault":true`: false, `"fault":null,"fault":{"faultstring":"x"}`: false,
			} {
				tenant, client := answers(t, tt.path)
				tenant.body = "{" + members + "," + tt.body[1:]
				err := tt.call(t.Context(), client)
				if name == "Auth.Login" && strings.Contains(members, "metadata") {
					tenant.body = customerTokens
				}
				if fine {
					assert.NoError(t, err, tenant.body)
				} else {
					assert.ErrorIs(t, err, emporix.ErrBadResponse, tenant.body)
				}
			}
		})
	}
}

// Errors keep what can be read, and the rest can be read raw.
func TestErrorAnswersCanBeReadRaw(t *testing.T) {
	t.Parallel()
	tenant, client := answers(t, "/me")
	tenant.status = 409
	build := func() any {
		return []member{{"status", 409}, {"type", "conflict_resource"}, {"message", "m"}, {"moreInfo", "i"}, {"details", []any{[]member{{"field", "f"}, {"type", "t"}, {"message", "d"}, {"moreInfo", "j"}}}}, {"unknown", 1}}
	}
	eachMemberOf(build, func(path []string, _ any, edit func(change) any) {
		for _, c := range memberChanges {
			tenant.body = encodeDocument(edit(c))
			var raw emporix.RawResponse
			err := update(emporix.WithRawResponse(t.Context(), &raw), client)
			require.ErrorIs(t, err, emporix.ErrConflict, tenant.body)
			assert.Equal(t, tenant.body, string(raw.Body()))
			assert.Equal(t, 409, raw.StatusCode())
			var apiErr *emporix.APIError
			require.ErrorAs(t, err, &apiErr)
			if path[0] != "message" {
				assert.Equal(t, "m", apiErr.Message, tenant.body)
			}
			if path[0] != "type" {
				assert.Equal(t, "conflict_resource", apiErr.Code, tenant.body)
			}
		}
	})
}

// A raw answer masks the secrets of its request and of its tokens.
func TestRawResponsesHoldNoSecret(t *testing.T) {
	t.Parallel()
	var raw emporix.RawResponse
	assert.Empty(t, raw.Operation())
	assert.Zero(t, raw.StatusCode())
	assert.Nil(t, raw.Body())
	tenant, client := answers(t, "/acme/login")
	ctx := emporix.WithRawResponse(t.Context(), &raw)
	tenant.body = `{"access_token":"CANARY-1","accessToken":"CANARY-2","Refresh_Token":"CANARY-3","data":{"saasToken":"CANARY-4","list":["eyJCANARY.5","x",{"client_secret":"CANARY-6"}]},"expires_in":3600,"refresh_token_expires_in":60,"token_type":"Bearer","initialPassword":true,"unknown":"kept","unknown":2}`
	require.NoError(t, login(ctx, client))
	masked := strings.TrimSpace(`{"access_token":"[redacted]","accessToken":"[redacted]","Refresh_Token":"[redacted]","data":{"saasToken":"[redacted]","list":["[redacted]","x",{"client_secret":"[redacted]"}]},"expires_in":3600,"refresh_token_expires_in":60,"token_type":"Bearer","initialPassword":true,"unknown":"kept","unknown":2}`)
	assert.Equal(t, masked, string(raw.Body()), "doubled members as well")
	raw.Body()[0] = 'x'
	assert.Equal(t, byte('{'), raw.Body()[0], "it is a copy")
	for _, body := range []string{"CANARY", `["CANARY"]`, `"CANARY"`, `{"access_token":"CANARY`, strings.Repeat(`{"a":`, 100) + `"CANARY"` + strings.Repeat("}", 100)} {
		tenant.body = body
		assert.Error(t, login(ctx, client))
		assert.NotContains(t, string(raw.Body()), "CANARY", body)
		assert.Equal(t, "Auth.Login", raw.Operation())
	}
	tenant.path, tenant.status, tenant.body = "/password/change", 400, `{"message":"CANARY-old is wrong","unknown":1}`
	require.Error(t, client.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "CANARY-old", NewPassword: "new password"}))
	assert.JSONEq(t, `{"message":"[redacted] is wrong","unknown":1}`, string(raw.Body()))
	assert.NotContains(t, fmt.Sprintf("%+v", ctx), "CANARY")
}

// The SaaS token says itself when it ends, in any of the forms of a number.
func TestSaaSTokensTellTheirEnd(t *testing.T) {
	t.Parallel()
	tenant, client := answers(t, "/acme/login")
	end := time.Unix(1640444032, 0)
	for claims, want := range map[string]time.Time{
		`{"exp":1640444032}`: end, `{"exp":"1640444032"}`: end, `{"exp":1640444032.5}`: end, `{"exp":1.640444032e9}`: end, `{"exp":null,"sub":7}`: {}, `{"exp":-1}`: {}, `{"exp":{}}`: {}, `{}`: {}, `[]`: {},
	} {
		tenant.body = strings.Replace(customerTokens, `"saas_token":"saas"`, `"saas_token":"h.`+base64.RawURLEncoding.EncodeToString([]byte(claims))+`.s"`, 1)
		require.NoError(t, login(t.Context(), client))
		info, err := client.DefaultSession().Info(t.Context())
		require.NoError(t, err)
		assert.True(t, want.Equal(info.SaaSTokenExpires), "%s: %s", claims, info.SaaSTokenExpires)
	}
}

// Ids of created things.
func TestCreatedIDs(t *testing.T) {
	t.Parallel()
	tenant, client := answers(t, "/signup")
	for body, want := range map[string]string{
		`{"id":13730481}`: "13730481", `{"id":"b05c","id":null}`: "b05c", `{"yrn":"x","id":"b05c","error":null}`: "b05c", `{"id":1.3730481e7}`: "13730481",
	} {
		tenant.body = body
		var raw emporix.RawResponse
		id, err := client.Customers.SignUp(emporix.WithRawResponse(t.Context(), &raw), emporix.SignUpRequest{Email: "e", Password: "password"})
		require.NoError(t, err, body)
		assert.Equal(t, want, id, body)
		assert.Equal(t, body, string(raw.Body()))
	}
}

// What is there before is replaced, also by nothing.
func TestMixinSchemasAreReplaced(t *testing.T) {
	for body, want := range map[string]emporix.MixinSchemas{
		`{}`: nil, `{"b":"2"}`: {"b": "2"}, `{"b":"\u0032"}`: {"b": "2"}, `{"b":2}`: {"b": json.RawMessage("2")},
		`7`: {"a": "1"}, `[]`: {"a": "1"}, `null`: {"a": "1"}, `"x"`: {"a": "1"},
	} {
		schemas := emporix.MixinSchemas{"a": "1"}
		require.NoError(t, schemas.UnmarshalJSON([]byte(body)))
		assert.Equal(t, want, schemas, body)
	}
}

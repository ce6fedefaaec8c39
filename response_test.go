package emporix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

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
// member, and the response can be read as it was sent. The documents are made from
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
			tenant, client := fixture.NewServer(t, tt.path)
			get := func(document any) any {
				tenant.Body = encodeDocument(document)
				var raw emporix.RawResponse
				got, err := tt.call(emporix.WithRawResponse(t.Context(), &raw), client)
				require.NoError(t, err, tenant.Body)
				require.Equal(t, tenant.Body, string(raw.Body()))
				require.Equal(t, name, raw.Operation())
				require.Equal(t, 200, raw.StatusCode())
				return got
			}
			build := func() any { return documentOf(tt.typ, "") }
			full := get(build())
			require.JSONEq(t, encodeDocument(build()), mustJSON(t, full), "a response as documented is read whole")
			eachMemberOf(build, func(path []string, _ any, edit func(change) any) {
				for _, c := range memberChanges {
					got := get(edit(c))
					rest := path
					if inMixins(path) { // which are kept as they are
						rest = path[:slices.Index(path, "mixins")+1]
						if !strings.HasPrefix(c.name, "doubled") {
							assert.Equal(t, at(t, json.RawMessage(tenant.Body), rest), at(t, got, rest), tenant.Body)
						}
					}
					assert.Equal(t, without(t, full, rest), without(t, got, rest), "%v, %s: %s", path, c.name, tenant.Body)
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
	tenant, client := fixture.NewServer(t, "/me")
	one, other := `{"id":"a1","city":"Berlin","tags":["BILLING"],"mixins":{"x":{"y":1,"y":2}}}`, `{"id":"a2","metadata":{"version":2}}`
	for name, body := range map[string]string{
		"a list":        `"addresses":[` + one + `],"addresses":[` + other + `]`,
		"another case":  `"Addresses":[` + one + `],"addresses":[` + other + `],"ADDRESSES":[` + one + `]`,
		"with escapes":  `"\u0061ddresses":[` + one + `],"addresses":[` + other + `]`,
		"a pointer":     `"defaultAddress":` + one + `,"defaultAddress":` + other,
		"after a mixin": `"mixins":{"a":{"b":[{}]}},"defaultAddress":` + one + `,"defaultAddress":` + other,
	} {
		tenant.Body = `{"customerNumber":"1",` + body + `}`
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
	tenant, client := fixture.NewServer(t, "/me")
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
			tenant.Body = strings.Replace(prefix+value+suffix, "{", `{"contactEmail":"jo@example.com","id":"1",`, 1)
			if strings.HasPrefix(prefix, `{"contactEmail"`) || strings.HasPrefix(prefix, `{"id"`) {
				tenant.Body = strings.Replace(prefix+value+suffix, "{", `{"lastName":"Doe",`, 1)
			}
			me, err := client.Customers.Get(t.Context())
			require.NoError(t, err, tenant.Body)
			assert.EqualValues(t, want, field(me).Interface(), tenant.Body)
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
	tenant, client := fixture.NewServer(t, "/me/addresses")
	for body, want := range map[string][]emporix.Address{
		`[]`: {},
		`[{"id":"1"},{"contactName":"Jo","zipCode":10115},{"id":"3"}]`:      {{ID: "1"}, {ContactName: "Jo", ZipCode: "10115"}, {ID: "3"}},
		`[null,{"id":"1"},7,"x",[],{},{"foo":1}]`:                           {{ID: "1"}},
		`[{"id":7,"tags":["A",7,null,"",{}],"isDefault":"true"}]`:           {{ID: "7", Tags: []string{"A", "7"}, IsDefault: true}},
		`[{"id":"1","tags":["A",null]}]`:                                    {{ID: "1", Tags: []string{"A"}}},
		`[{"id":"1","metadata":{"version":"4","mixins":[]},"mixins":null}]`: {{ID: "1", Metadata: emporix.Metadata{Version: 4}}},
		`{"id":"1"}`: {{ID: "1"}},
	} {
		tenant.Body = body
		got, err := client.Addresses.List(t.Context())
		require.NoError(t, err, body)
		assert.Equal(t, want, got, body)
	}
	tenant.Path = "/me"
	tenant.Body = `{"id":1,"accounts":[null,{},{"id":"jo@example.com"},7],"addresses":[null,{"id":"1"}],"b2b":{"legalEntities":[{},{"id":5}]},"defaultAddress":{"id":"1","tags":[null]}}`
	me, err := client.Customers.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, &emporix.Customer{ID: "1", Accounts: []emporix.Account{{ID: "jo@example.com"}}, Addresses: []emporix.Address{{ID: "1"}},
		B2B: emporix.B2B{LegalEntities: []emporix.LegalEntity{{ID: "5"}}}, DefaultAddress: &emporix.Address{ID: "1"}}, me)
	for body, anonymous := range map[string]bool{`{"customerNumber":0,"id":0}`: true, `{"customerNumber":"00000000"}`: true, `{"customerNumber":13869000}`: false} {
		tenant.Body = body
		me, err := client.Customers.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, anonymous, me.IsAnonymous(), body)
	}
	tenant.Body = `{"ID":"other","id":1,"Id":"third"}`
	me, err = client.Customers.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "1", me.ID, "the documented spelling counts")
}

// "fault" and "error" that say nothing, or that stand deep inside a success, are
// no failure; those that say something are one.
func TestErrorWordsInsideASuccess(t *testing.T) {
	t.Parallel()
	calls := map[string]struct {
		path, body string
		call       func(context.Context, *emporix.Client) error
	}{
		"Customers.Get":    {"/me", `{"id":"1"}`, fixture.Get},
		"Customers.Update": {"/me", `{"version":2}`, fixture.Update},
		"Customers.SignUp": {"/signup", `{"id":"1"}`, fixture.SignUp},
		"Auth.Validate":    {"/validateauthtoken", `{"email":"e"}`, fixture.Reads["Auth.Validate"]},
		"Auth.Logout":      {"/logout", `{"done":true}`, fixture.Writes["Auth.Logout"]},
		"Addresses.Get":    {"/me/addresses/a1", `{"id":"a1"}`, fixture.Reads["Addresses.Get"]},
		"Auth.Login":       {"/acme/login", fixture.CustomerTokens, fixture.Login},
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
				tenant, client := fixture.NewServer(t, tt.path)
				tenant.Body = "{" + members + "," + tt.body[1:]
				err := tt.call(t.Context(), client)
				if name == "Auth.Login" && strings.Contains(members, "metadata") {
					tenant.Body = fixture.CustomerTokens
				}
				if fine {
					assert.NoError(t, err, tenant.Body)
				} else {
					assert.ErrorIs(t, err, emporix.ErrBadResponse, tenant.Body)
				}
			}
		})
	}
}

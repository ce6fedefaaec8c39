package wire_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/wire"
)

const year = 365 * 24 * time.Hour

func known(d time.Duration) wire.Lifetime { return wire.Lifetime{Duration: d, Known: true} }

// revealed makes a token comparable.
func revealed(t wire.Token) map[string]string {
	out := map[string]string{}
	for name, s := range map[string]secret.Secret{
		"access": t.Access, "refresh": t.Refresh, "saas": t.SaaS,
		"socialAccess": t.SocialAccess, "socialID": t.SocialID, "subject": t.Subject,
	} {
		if !s.IsZero() {
			out[name] = s.Reveal()
		}
	}
	return out
}

func TestDecodeTokenReadsEveryDocumentedAnswer(t *testing.T) {
	tests := map[string]struct {
		body    string
		secrets map[string]string
		want    wire.Token
	}{
		"anonymous": {
			`{"token_type":"Bearer","access_token":"tpYg","expires_in":3599,"refresh_token":"7Fnv","refresh_token_expires_in":86399,"sessionId":"6d4d-5e","scope":"tenant=acme"}`,
			map[string]string{"access": "tpYg", "refresh": "7Fnv"},
			wire.Token{Type: "Bearer", ExpiresIn: known(3599 * time.Second), RefreshExpiresIn: known(86399 * time.Second), SessionID: "6d4d-5e", Scopes: []string{}},
		},
		"anonymous refresh without a refresh token": {
			`{"token_type":"Bearer","access_token":"Zq91","expires_in":3599,"sessionId":"5b7a"}`,
			map[string]string{"access": "Zq91"},
			wire.Token{Type: "Bearer", ExpiresIn: known(3599 * time.Second), SessionID: "5b7a"},
		},
		"login": {
			`{"access_token":"aYR3","saas_token":"eyJ.eyJ.lvx-_","expires_in":2591999,"refresh_token":"94tK","refresh_token_expires_in":86399,"token_type":"Bearer","session_id":"45c9","initialPassword":false}`,
			map[string]string{"access": "aYR3", "refresh": "94tK", "saas": "eyJ.eyJ.lvx-_"},
			wire.Token{Type: "Bearer", ExpiresIn: known(2591999 * time.Second), RefreshExpiresIn: known(86399 * time.Second), SessionID: "45c9"},
		},
		"social login, numbers as strings": {
			`{"social_access_token":"ya29|x:y","social_id_token":"eyJ...","refresh_token":"94tK","refresh_token_expires_in":"86399","session_idle_time":3600,"token_type":"Bearer","access_token":"aYR3","saas_token":"eyJ","expires_in":"2591999","scope":"a b tenant=acme"}`,
			map[string]string{"access": "aYR3", "refresh": "94tK", "saas": "eyJ", "socialAccess": "ya29|x:y", "socialID": "eyJ..."},
			wire.Token{Type: "Bearer", ExpiresIn: known(2591999 * time.Second), RefreshExpiresIn: known(86399 * time.Second), SessionIdle: known(time.Hour), Scopes: []string{"a", "b"}},
		},
		"exchange": {
			`{"subject_access_token":"eyJs","access_token":"dEKA","saas_token":"eyJ","refresh_token":"QtvQ","refresh_token_expires_in":15551999,"session_idle_time":120,"token_type":"Bearer","expires_in":14399,"session_id":"14cc"}`,
			map[string]string{"access": "dEKA", "refresh": "QtvQ", "saas": "eyJ", "subject": "eyJs"},
			wire.Token{Type: "Bearer", ExpiresIn: known(14399 * time.Second), RefreshExpiresIn: known(15551999 * time.Second), SessionIdle: known(2 * time.Minute), SessionID: "14cc"},
		},
		"client credentials: no refresh token": {
			`{"token_type":"Bearer","access_token":"oa","expires_in":14399,"refresh_token":"","refresh_token_expires_in":0,"session_idle_time":0}`,
			map[string]string{"access": "oa"},
			wire.Token{Type: "Bearer", ExpiresIn: known(14399 * time.Second)},
		},
		"deprecated names only": {
			`{"accessToken":"aYR3","saasToken":"eyJ","expiresIn":60,"refreshToken":"94tK","refreshTokenExpiresIn":120}`,
			map[string]string{"access": "aYR3", "refresh": "94tK", "saas": "eyJ"},
			wire.Token{ExpiresIn: known(time.Minute), RefreshExpiresIn: known(2 * time.Minute)},
		},
		"both names with the same values": {
			`{"access_token":"aYR3","accessToken":"aYR3","expires_in":60,"expiresIn":"60","session_id":"s","sessionId":"s"}`,
			map[string]string{"access": "aYR3"},
			wire.Token{ExpiresIn: known(time.Minute), SessionID: "s"},
		},
		"null is absent": {
			`{"access_token":"aYR3","refresh_token":null,"refreshToken":"94tK","expires_in":null,"refresh_token_expires_in":null,"session_id":null,"token_type":null,"error":null,"fault":null,"initialPassword":null}`,
			map[string]string{"access": "aYR3", "refresh": "94tK"},
			wire.Token{},
		},
		"unknown members, same member twice, space around": {
			" \n{ \"access_token\" : \"aYR3\" , \"x\":{\"access_token\":\"no\"}, \"x\":[1], \"access_token\":\"aYR3\" }\r\n ",
			map[string]string{"access": "aYR3"},
			wire.Token{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := wire.DecodeToken([]byte(tt.body))
			require.NoError(t, err)
			assert.Equal(t, tt.secrets, revealed(got))
			got.Access, got.Refresh, got.SaaS = secret.Secret{}, secret.Secret{}, secret.Secret{}
			got.SocialAccess, got.SocialID, got.Subject = secret.Secret{}, secret.Secret{}, secret.Secret{}
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestDecodeTokenLifetimes(t *testing.T) {
	tests := map[string]struct {
		value string
		want  wire.Lifetime
		ok    bool
	}{
		"number":              {`3599`, known(3599 * time.Second), true},
		"string":              {`"3599"`, known(3599 * time.Second), true},
		"string with spaces":  {`" 3599 "`, known(3599 * time.Second), true},
		"decimal":             {`3599.0`, known(3599 * time.Second), true},
		"exponent":            {`3.6e3`, known(time.Hour), true},
		"fraction":            {`0.5`, known(500 * time.Millisecond), true},
		"null":                {`null`, wire.Lifetime{}, true},
		"a year":              {`31536000`, known(year), true},
		"a second over":       {`31536001`, known(year), true},
		"largest int64":       {`9223372036854775807`, known(year), true},
		"largest as a string": {`"9223372036854775807"`, known(year), true},
		"beyond a float":      {`1e400`, known(year), true},
		"zero":                {`0`, wire.Lifetime{}, false},
		"zero as a string":    {`"0"`, wire.Lifetime{}, false},
		"minus zero":          {`-0`, wire.Lifetime{}, false},
		"below a nanosecond":  {`1e-12`, wire.Lifetime{}, false},
		"below a float":       {`1e-400`, wire.Lifetime{}, false},
		"negative":            {`-1`, wire.Lifetime{}, false},
		"hugely negative":     {`-1e400`, wire.Lifetime{}, false},
		"empty string":        {`""`, wire.Lifetime{}, false},
		"blank":               {`" "`, wire.Lifetime{}, false},
		"word":                {`"abc"`, wire.Lifetime{}, false},
		"NaN":                 {`"NaN"`, wire.Lifetime{}, false},
		"infinity":            {`"Infinity"`, wire.Lifetime{}, false},
		"hexadecimal":         {`"0x10"`, wire.Lifetime{}, false},
		"underscore":          {`"3_600"`, wire.Lifetime{}, false},
		"plus":                {`"+3600"`, wire.Lifetime{}, false},
		"unit":                {`"3600s"`, wire.Lifetime{}, false},
		"true":                {`true`, wire.Lifetime{}, false},
		"object":              {`{}`, wire.Lifetime{}, false},
		"array":               {`[3600]`, wire.Lifetime{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, field := range []string{"expires_in", "expiresIn"} {
				got, err := wire.DecodeToken([]byte(`{"access_token":"a","` + field + `":` + tt.value + `}`))
				assert.Equal(t, tt.ok, err == nil, field)
				assert.Equal(t, tt.want, got.ExpiresIn, field)
			}
			got, err := wire.DecodeToken([]byte(`{"access_token":"a","refresh_token":"r","refresh_token_expires_in":` + tt.value + `}`))
			assert.NoError(t, err, "0 is how some servers say never")
			assert.Equal(t, tt.want, got.RefreshExpiresIn)

			// The idle time is only told to the user and never costs a session.
			got, err = wire.DecodeToken([]byte(`{"access_token":"a","session_idle_time":` + tt.value + `}`))
			assert.NoError(t, err)
			assert.Equal(t, tt.want, got.SessionIdle)
		})
	}
	t.Run("absent", func(t *testing.T) {
		got, err := wire.DecodeToken([]byte(`{"access_token":"a"}`))
		require.NoError(t, err)
		assert.False(t, got.ExpiresIn.Known)
		assert.False(t, got.RefreshExpiresIn.Known)
	})
	t.Run("names count only when exact", func(t *testing.T) {
		got, err := wire.DecodeToken([]byte(`{"access_token":"a","Expires_In":60,"EXPIRES_IN":60,"Session_Id":"s"}`))
		require.NoError(t, err)
		assert.False(t, got.ExpiresIn.Known)
		assert.Empty(t, got.SessionID)
	})
}

func TestDecodeTokenInitialPassword(t *testing.T) {
	for value, want := range map[string]bool{
		`true`: true, `"true"`: true, `"True"`: true, `1`: true, `"1"`: true,
		`false`: false, `"false"`: false, `0`: false, `null`: false, `""`: false, `{}`: false, `[true]`: false,
	} {
		got, err := wire.DecodeToken([]byte(`{"access_token":"a","initialPassword":` + value + `}`))
		require.NoError(t, err, value)
		assert.Equal(t, want, got.InitialPassword, value)
	}
}

// canary stands in every refused answer where it fits; no error may repeat it.
const canary = "c4n4ry-t0ken"

func TestDecodeTokenRefuses(t *testing.T) {
	long := strings.Repeat("a", 16<<10+1)
	tests := map[string]string{
		"nothing":                       ``,
		"space":                         " \n",
		"null":                          `null`,
		"array":                         `[]`,
		"array of tokens":               `[{"access_token":"` + canary + `"}]`,
		"string":                        `"` + canary + `"`,
		"number":                        `1`,
		"empty object":                  `{}`,
		"HTML":                          `<html><body>` + canary + `</body></html>`,
		"trailing garbage":              `{"access_token":"` + canary + `"}x`,
		"two objects":                   `{"access_token":"` + canary + `"}{}`,
		"trailing brace":                `{"access_token":"` + canary + `"}}`,
		"byte order mark":               "\xef\xbb\xbf" + `{"access_token":"` + canary + `"}`,
		"UTF-16":                        "\xff\xfe{\x00\"\x00}\x00",
		"gzip":                          "\x1f\x8b\x08\x00\x00\x00\x00\x00",
		"truncated":                     `{"access_token":"` + canary + `","expires_in":35`,
		"truncated after a member":      `{"access_token":"` + canary + `"`,
		"trailing comma":                `{"access_token":"` + canary + `",}`,
		"too deep":                      `{"access_token":"` + canary + `","x":` + strings.Repeat("[", 100_000) + `}`,
		"fault":                         `{"fault":{"faultstring":"` + canary + `"},"access_token":"a"}`,
		"error":                         `{"error":"` + canary + `","access_token":"a"}`,
		"error object":                  `{"access_token":"a","error":{}}`,
		"no access token":               `{"refresh_token":"` + canary + `"}`,
		"access token in another case":  `{"Access_Token":"` + canary + `"}`,
		"access token null":             `{"access_token":null}`,
		"access token empty":            `{"access_token":""}`,
		"access token blank":            `{"access_token":"  "}`,
		"access token a number":         `{"access_token":12345}`,
		"access token an object":        `{"access_token":{"v":"` + canary + `"}}`,
		"access token with a space":     `{"access_token":"` + canary + ` x"}`,
		"access token with a line feed": `{"access_token":"` + canary + `\n"}`,
		"access token with a NUL":       `{"access_token":"` + canary + `\u0000"}`,
		"access token not ASCII":        `{"access_token":"` + canary + `é"}`,
		"access token too long":         `{"access_token":"` + long + `"}`,
		"refresh token unprintable":     `{"access_token":"a","refresh_token":"` + canary + `\r"}`,
		"refresh token too long":        `{"access_token":"a","refresh_token":"` + long + `"}`,
		"token type mac":                `{"access_token":"` + canary + `","token_type":"mac"}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := wire.DecodeToken([]byte(body))
			require.Error(t, err)
			assert.NotContains(t, err.Error(), canary)
			assert.Less(t, len(err.Error()), 120)
			assert.Empty(t, revealed(got))
			assert.Zero(t, got.ExpiresIn)
			assert.Empty(t, got.SessionID)
		})
	}
}

func TestDecodeTokenAcceptsAtTheLimits(t *testing.T) {
	for name, body := range map[string]string{
		"16 KiB of token":         `{"access_token":"` + strings.Repeat("a", 16<<10) + `"}`,
		"every character allowed": `{"access_token":"AZaz09-._~+/=="}`,
		"256 bytes of session":    `{"access_token":"a","session_id":"` + strings.Repeat("s", 256) + `"}`,
		"bearer in any case":      `{"access_token":"a","token_type":"bEaReR"}`,
		"token type empty":        `{"access_token":"a","token_type":""}`,
		"refresh token empty":     `{"access_token":"a","refresh_token":""}`,
		"scope of another type":   `{"access_token":"a","scope":["x"]}`,
	} {
		_, err := wire.DecodeToken([]byte(body))
		assert.NoError(t, err, name)
	}
}

// What RFC 6749 allows in a token is taken, and what is odd about a legal answer
// costs no login.
func TestDecodeTokenTakesWhatIsUsable(t *testing.T) {
	var printable strings.Builder
	for c := rune(' '); c <= '~'; c++ {
		printable.WriteRune(c)
	}
	quoted, _ := json.Marshal(printable.String())
	visible, _ := json.Marshal(strings.TrimSpace(printable.String()))
	for name, tt := range map[string]struct {
		body string
		want wire.Token // with access token "a" unless it says another
		odd  string
	}{
		"refresh token of every printable character": {`{"access_token":"a","refresh_token":` + string(quoted) + `}`, wire.Token{Refresh: secret.New(printable.String())}, ""},
		"SaaS token of every printable character":    {`{"access_token":"a","saas_token":` + string(quoted) + `}`, wire.Token{SaaS: secret.New(printable.String())}, ""},
		"access token of every visible character":    {`{"access_token":` + string(visible) + `}`, wire.Token{Access: secret.New(printable.String()[1:])}, ""},
		"BearerToken":                      {`{"access_token":"a","token_type":"BearerToken"}`, wire.Token{Type: "BearerToken"}, ""},
		"bearer_token":                     {`{"access_token":"a","token_type":"bearer_token"}`, wire.Token{Type: "bearer_token"}, ""},
		"a type of another type":           {`{"access_token":"a","token_type":1}`, wire.Token{}, "token_type is not a string"},
		"a session ID as a number":         {`{"access_token":"a","sessionId":12345678901234567890}`, wire.Token{SessionID: "12345678901234567890"}, ""},
		"a session ID as an object":        {`{"access_token":"a","sessionId":{}}`, wire.Token{}, "sessionId is no usable ID"},
		"a session ID with a line feed":    {`{"access_token":"a","session_id":"x\n"}`, wire.Token{}, "session_id is no usable ID"},
		"a session ID with a C1 control":   {`{"access_token":"a","session_id":"x\u0085"}`, wire.Token{}, "session_id is no usable ID"},
		"a session ID that is too long":    {`{"access_token":"a","session_id":"` + strings.Repeat("s", 257) + `"}`, wire.Token{}, "session_id is no usable ID"},
		"an empty error":                   {`{"access_token":"a","error":""}`, wire.Token{}, ""},
		"a blank fault":                    {`{"access_token":"a","fault":" "}`, wire.Token{}, ""},
		"error false":                      {`{"access_token":"a","error":false,"fault":0}`, wire.Token{}, ""},
		"no errors":                        {`{"access_token":"a","error":[],"fault":null}`, wire.Token{}, ""},
		"an exponent":                      {`{"access_token":"a","expires_in":2.592e6}`, wire.Token{ExpiresIn: known(30 * 24 * time.Hour)}, ""},
		"an exponent in a string":          {`{"access_token":"a","expires_in":"2.592E6"}`, wire.Token{ExpiresIn: known(30 * 24 * time.Hour)}, ""},
		"a refresh token of another type":  {`{"access_token":"a","refresh_token":{"v":"r"}}`, wire.Token{}, "refresh_token is not a string"},
		"a refresh token that never ends":  {`{"access_token":"a","refresh_token":"r","refresh_token_expires_in":0}`, wire.Token{Refresh: secret.New("r")}, ""},
		"a refresh lifetime in words":      {`{"access_token":"a","refresh_token_expires_in":"soon"}`, wire.Token{}, "refresh_token_expires_in is not a number of seconds"},
		"a social token for no header":     {`{"access_token":"a","social_id_token":"é"}`, wire.Token{}, "social_id_token holds a character that no token may have"},
		"a SaaS token for no header":       {`{"access_token":"a","saas_token":"x\n"}`, wire.Token{}, "saas_token holds a character that no token may have"},
		"a SaaS token that is too long":    {`{"access_token":"a","saas_token":"` + strings.Repeat("s", 16<<10+1) + `"}`, wire.Token{}, "saas_token is too long"},
		"twins that differ":                {`{"accessToken":"b","access_token":"a"}`, wire.Token{}, "access_token and accessToken differ; access_token is used"},
		"refresh twins that differ":        {`{"access_token":"a","refreshToken":"b","refresh_token":"r"}`, wire.Token{Refresh: secret.New("r")}, "refresh_token and refreshToken differ; refresh_token is used"},
		"lifetime twins that differ":       {`{"access_token":"a","expires_in":60,"expiresIn":61}`, wire.Token{ExpiresIn: known(time.Minute)}, "expires_in and expiresIn differ; expires_in is used"},
		"a twin that is broken":            {`{"access_token":"a","accessToken":"\n"}`, wire.Token{}, ""},
		"the documented twin is broken":    {`{"access_token":{},"accessToken":"a"}`, wire.Token{}, "access_token is not a string"},
		"both twins null":                  {`{"access_token":"a","refresh_token":null,"refreshToken":null}`, wire.Token{}, ""},
		"doubled, then null":               {`{"access_token":"a","access_token":null}`, wire.Token{}, ""},
		"doubled, and different":           {`{"access_token":"x","access_token":"a"}`, wire.Token{}, "access_token came twice and differently; the last one is used"},
		"doubled, with an escaped name":    {`{"access_token":"x","\u0061ccess_token":"a"}`, wire.Token{}, "access_token came twice and differently; the last one is used"},
		"another case beside it":           {`{"Access_Token":"x","access_token":"a","ACCESS_TOKEN":"y"}`, wire.Token{}, ""},
		"session twins, a customer's":      {`{"access_token":"a","session_id":"c","sessionId":"g"}`, wire.Token{SessionID: "c"}, "session_id and sessionId differ; session_id is used"},
		"scopes":                           {`{"access_token":"a","scope":" a.b  c.d tenant=acme"}`, wire.Token{Scopes: []string{"a.b", "c.d"}}, ""},
		"no scopes":                        {`{"access_token":"a","scope":""}`, wire.Token{Scopes: []string{}}, ""},
		"scopes as a list":                 {`{"access_token":"a","scope":["a.b","tenant=acme"]}`, wire.Token{Scopes: []string{"a.b"}}, ""},
		"scopes, one of another type":      {`{"access_token":"a","scope":["a.b",7,null,"c.d e"]}`, wire.Token{Scopes: []string{"a.b", "c.d", "e"}}, ""},
		"scopes of another type":           {`{"access_token":"a","scope":7}`, wire.Token{}, ""},
		"an initial password, as a number": {`{"access_token":"a","initialPassword":1.0}`, wire.Token{InitialPassword: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.DecodeToken([]byte(tt.body))
			require.NoError(t, err)
			if tt.want.Access.IsZero() {
				tt.want.Access = secret.New("a")
			}
			assert.Equal(t, revealed(tt.want), revealed(got))
			assert.Equal(t, tt.odd, strings.Join(got.Odd, "|"))
			for _, token := range []*wire.Token{&got, &tt.want} {
				token.Access, token.Refresh, token.SaaS, token.Odd = secret.Secret{}, secret.Secret{}, secret.Secret{}, nil
			}
			assert.Equal(t, tt.want, got)
		})
	}
	guest, err := wire.DecodeAnonymousToken([]byte(`{"access_token":"a","session_id":"c","sessionId":"g"}`))
	require.NoError(t, err)
	assert.Equal(t, "g", guest.SessionID, "the documented name of a guest's session ID is another one")
}

func TestScopesAndLifetimesOfOtherAnswers(t *testing.T) {
	type validation struct {
		Scope   wire.Scopes   `json:"scope"`
		Expires wire.Lifetime `json:"expires_in"`
	}
	before := validation{wire.Scopes{"x"}, known(time.Hour)}
	for body, want := range map[string]validation{
		`{"scope":"a b","expires_in":60}`:   {wire.Scopes{"a", "b"}, known(time.Minute)},
		`{"scope":["a"],"expires_in":"60"}`: {wire.Scopes{"a"}, known(time.Minute)},
		`{"scope":"","expires_in":-1}`:      {wire.Scopes{}, wire.Lifetime{}},
		`{"scope":7,"expires_in":"soon"}`:   before,
		`{"scope":null,"expires_in":null}`:  before,
	} {
		got := before
		require.NoError(t, json.Unmarshal([]byte(body), &got), body)
		assert.Equal(t, want, got, body)
	}
}

func TestDecodeTokenPassesOverManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"access_token":"a"`)
	for i := range 60_000 { // about the 1 MiB that a token response may have
		fmt.Fprintf(&b, `,"member%d":0`, i)
	}
	b.WriteString(`}`)
	_, err := wire.DecodeToken([]byte(b.String()))
	require.NoError(t, err)
}

func TestDecodeID(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"b05c20e034"}`:                       "b05c20e034",
		`{"id":13730481}`:                           "13730481",
		`{"id":"` + strings.Repeat("x", 256) + `"}`: strings.Repeat("x", 256),
		`{"id":"1","name":"x","id":"1"}`:            "1",
		`{"id":"a","id":"b"}`:                       "b", `{"id":"a","id":null}`: "a",
		`{"id":1e3}`: "1000", `{"id":7.0}`: "7", `{"id":123456789012345678901234567890}`: "123456789012345678901234567890",
	} {
		got, err := wire.DecodeID([]byte(body))
		require.NoError(t, err, body)
		assert.Equal(t, want, got)
	}
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `"x"`, `<html>`, `{"id":null}`, `{"id":""}`, `{"id":" "}`, `{"id":{}}`, `{"id":true}`,
		`{"id":1.5}`, `{"id":1e300}`, `{"ID":"x"}`, `{"id":"a\nb"}`, `{"id":"a"}x`,
		`{"id":"` + strings.Repeat("x", 257) + `"}`,
	} {
		got, err := wire.DecodeID([]byte(body))
		assert.Error(t, err, body)
		assert.Empty(t, got, body)
	}
}

func FuzzDecodeToken(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","expires_in":"3599","refresh_token":"r","sessionId":"s"}`,
		`{"accessToken":"a","expiresIn":1e400}`, `{"fault":{}}`, `{"access_token":"\u0000"}`, `{"\u0061":[[[]]]}`, `null`, `<`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := wire.DecodeToken(body)
		if err != nil {
			assert.Empty(t, revealed(got))
			return
		}
		assert.True(t, json.Valid(body))
		assert.Regexp(t, `^[!-~]+$`, got.Access.Reveal())
		assert.Regexp(t, `^[ -~]*$`, got.Refresh.Reveal())
		for _, odd := range got.Odd {
			assert.Regexp(t, `^[A-Za-z_' ,;]+$`, odd, "it holds no value")
		}
		for _, life := range []wire.Lifetime{got.ExpiresIn, got.RefreshExpiresIn, got.SessionIdle} {
			assert.Equal(t, life.Known, life.Duration > 0)
			assert.LessOrEqual(t, life.Duration, year)
		}
		assert.LessOrEqual(t, len(got.SessionID), 256)
	})
}

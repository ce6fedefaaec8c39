package emporixtest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder is a testing.TB that only writes down what it is told.
type recorder struct {
	testing.TB
	errors, logs []string
	cleanups     []func()
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(f string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(f, args...))
}
func (r *recorder) Logf(f string, args ...any)   { r.logs = append(r.logs, fmt.Sprintf(f, args...)) }
func (r *recorder) Log(args ...any)              { r.logs = append(r.logs, fmt.Sprint(args...)) }
func (r *recorder) Failed() bool                 { return len(r.errors) > 0 }
func (r *recorder) Cleanup(f func())             { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fatal(args ...any)            { r.errors = append(r.errors, fmt.Sprint(args...)); panic(r) }
func (r *recorder) Fatalf(f string, args ...any) { r.Fatal(fmt.Sprintf(f, args...)) }

func (r *recorder) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

// Each planted leak has to be found, wherever it is, and its neighbours don't
// matter.
func TestScannerFindsPlantedLeaks(t *testing.T) {
	fake := New(t)
	const awkward = "pä\"ss<w>/+ ?&word\\"
	fake.AddCustomer(t, Customer{Email: "jo@example.com", Password: awkward})
	fake.AddCustomer(t, Customer{Email: "al@example.com", Password: "abcdef"})
	resp, err := fake.Transport().RoundTrip(newRequest(t, "GET", "/customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront", ""))
	require.NoError(t, err)
	var token struct {
		Access string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&token))

	marshalled, err := json.Marshal(awkward)
	require.NoError(t, err)
	base64s := map[string]string{}
	for name, encoding := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.RawURLEncoding} {
		for offset := range 3 {
			for _, secret := range []string{awkward, token.Access} {
				plain := strings.Repeat("x", offset) + secret + "tail"
				base64s[fmt.Sprintf("base64 %s at %d of %d", name, offset, len(secret))] = encoding.EncodeToString([]byte(plain))
			}
		}
	}
	plants := map[string]string{
		"raw":            awkward,
		"raw token":      token.Access,
		"short":          "abcdef",
		"query":          url.QueryEscape(awkward),
		"path":           url.PathEscape(awkward),
		"hex":            hex.EncodeToString([]byte(token.Access)),
		"HEX":            strings.ToUpper(hex.EncodeToString([]byte(token.Access))),
		"json":           string(marshalled[1 : len(marshalled)-1]),
		"%q":             strings.Trim(fmt.Sprintf("%q", awkward), `"`),
		"%+q":            fmt.Sprintf("%+q", awkward),
		"prefix":         token.Access[:8],
		"backend secret": "backend-secret-for-tests",
	}
	for name, text := range base64s {
		plants[name] = text
	}
	for name, plant := range plants {
		for where, data := range map[string]string{
			"alone": plant, "first": plant + " later", "last": "before " + plant, "amid": "{\"a\":\"" + plant + "\"}",
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				r := &recorder{}
				assert.False(t, fake.AssertNoSecrets(r, []byte("nothing here"), []byte(data)))
				require.NotEmpty(t, r.errors)
				assert.Contains(t, r.errors[0], "data 2 has a secret")
				assert.NotContains(t, strings.Join(r.errors, ""), token.Access)
			})
		}
	}
}

func TestScannerLeavesCleanDataAlone(t *testing.T) {
	fake := New(t)
	fake.AddCustomer(t, Customer{Email: "jo@example.com", Password: "correct horse"})
	for range 20 {
		resp, err := fake.Transport().RoundTrip(newRequest(t, "GET", "/customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront", ""))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	text := strings.Repeat("jo@example.com abc correct hors backend-secret 0123456789 eyJhbGciOiJIUzI1NiJ9. ", 10_000)
	assert.True(t, fake.AssertNoSecrets(t, []byte(text), nil, []byte{}))
}

func TestTokenStart(t *testing.T) {
	for secret, want := range map[string]string{
		"tpYgJPZqddEQ2zwfzNtx79noBP65":                              "tpYgJPZq",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.lvxFOeCOk-DWi3kqwJwR": "lvxFOeCO",
		"a sentence that is a password, and long":                   "",
		"password123": "",
		"eyJx.short":  "",
	} {
		start, _ := tokenStart(secret)
		assert.Equal(t, want, start, secret)
	}
}

// A short password is in other words by chance; as a word, it is a leak.
func TestShortSecretsAreWords(t *testing.T) {
	fake := New(t)
	fake.AddCustomer(t, Customer{Email: "jo@example.com", Password: "horses"})
	fake.AddCustomer(t, Customer{Email: "al@example.com", Password: "session1"})
	for text, clean := range map[string]bool{
		"seahorses": true, "horses7": true, "horses_": true, "sessions session12 xsession1": true, "pferd_horses": true, "Ähorses": true,
		"seahorses and horses": false, "(horses)": false, "horses": false, "a=horses&b": false, `say "session1"`: false,
		`\nhorses\n`: false, "a%20session1%20": false, `\u003chorses\u003e`: false, `\x00session1`: false,
		base64.StdEncoding.EncodeToString([]byte("xsession1")): false,
	} {
		assert.Equal(t, clean, fake.AssertNoSecrets(&recorder{}, []byte(text)), text)
	}
}

func TestLengthsOfShortSecrets(t *testing.T) {
	for secret, want := range map[string]struct{ alone, inside bool }{
		"abcde": {false, false}, "abcdef": {true, false}, "abcdefghijk": {true, false}, "abcdefghijkl": {true, true},
	} {
		h := newHaystack([]string{secret})
		assert.Equal(t, want.alone, len(h.find([]byte("say "+secret+" twice"))) > 0, secret)
		assert.Equal(t, want.inside, len(h.find([]byte("sayX"+secret+"Xtwice"))) > 0, secret)
	}
}

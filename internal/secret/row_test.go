package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/secret"
)

const storedRow = `{"v":1,"g":1767225600123456,"k":2,"a":"aB3dEfGhIjKlMnOpQrSt7uVw","r":"canary-r3fresh","s":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2ln","n":"session-canary","c":{"c":"EUR","s":"main"}}`

var rowSecrets = []string{"aB3dEfGhIjKlMnOpQrSt7uVw", "canary-r3fresh", "eyJzdWIiOiJjYW5hcnkifQ", "session-canary"}

// However a store quotes a row that nobody could read, its tokens are not told,
// and what went wrong is.
func TestRedactRow(t *testing.T) {
	quoted := func(s string) string { text, _ := json.Marshal(s); return string(text) }
	encodings := map[string]func(string) string{
		"as it is":      func(s string) string { return s },
		"%q":            func(s string) string { return fmt.Sprintf("%q", s) },
		"%q of %q":      func(s string) string { return fmt.Sprintf("%q", fmt.Sprintf("%q", s)) },
		"%+q":           func(s string) string { return fmt.Sprintf("%+q", s) },
		"JSON in JSON":  func(s string) string { return quoted(quoted(s)) },
		"%v":            func(s string) string { return fmt.Sprint([]byte(s)) },
		"%#v":           func(s string) string { return fmt.Sprintf("%#v", []byte(s)) },
		"%x":            func(s string) string { return fmt.Sprintf("%x", s) },
		"%X":            func(s string) string { return fmt.Sprintf("%X", s) },
		"% x":           func(s string) string { return fmt.Sprintf("% x", s) },
		"bytea":         func(s string) string { return `\x` + hex.EncodeToString([]byte(s)) },
		"base64":        func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 inside": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("x" + s)) },
		"URL":           url.QueryEscape,
		"path":          url.PathEscape,
		"HTML":          html.EscapeString,
	}
	for name, encode := range encodings {
		for part, row := range map[string]string{"whole": storedRow, "cut": storedRow[:len(storedRow)-20], "from the middle": storedRow[30:]} {
			t.Run(name+", "+part, func(t *testing.T) {
				cause := errors.New("bad row " + encode(row) + ": checksum mismatch")
				err := secret.RedactRow(fmt.Errorf("GET failed: %w", cause))
				require.ErrorIs(t, err, cause)
				text := err.Error()
				assert.Contains(t, text, "GET failed: bad row ")
				for _, value := range rowSecrets {
					for _, form := range []string{value, hex.EncodeToString([]byte(value)), strings.Trim(fmt.Sprint([]byte(value)), "[]"), fmt.Sprintf("% x", value)} {
						assert.NotContains(t, strings.ToLower(text), strings.ToLower(form))
					}
					for shift := range 3 {
						form := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + value))
						assert.NotContains(t, text, form[4:len(form)-2])
					}
				}
			})
		}
	}
}

// A value that is known goes in every encoding, however short the rest is.
func TestRedactRowKnowsValues(t *testing.T) {
	for _, form := range []string{"hunter22", "68756e7465723232", "68756E7465723232", "68 75 6e 74 65 72 32 32", "104 117 110 116 101 114 50 50", "aHVudGVyMjI"} {
		text := secret.RedactRow(errors.New("no "+form+" here"), "hunter22").Error()
		assert.NotContains(t, text, form)
		assert.Contains(t, text, "here")
	}
	for _, form := range []string{"hunt", "68756e74", "68756E74", "68 75 6e 74", "104 117 110 116", "aHVud"} {
		assert.EqualError(t, secret.RedactRow(errors.New("no "+form+" here"), "hunt"), "no [redacted] here")
	}
	for _, form := range []string{"abc", "61 62 63", "97 98 99"} {
		assert.EqualError(t, secret.RedactRow(errors.New("no "+form+" here"), "abc"), "no "+form+" here", "too short to hide")
	}
	require.NoError(t, secret.RedactRow(nil))
}

// What tells why a store failed stays.
func TestRedactRowKeepsReasons(t *testing.T) {
	for _, text := range []string{
		"dial tcp 10.11.12.13:6379: connect: connection refused",
		"dial tcp [2001:db8:85a3::8a2e:370:7334]:5432: i/o timeout",
		"lookup emporix-redis-master.production.svc.cluster.local: no such host",
		`pq: relation "emporix_sessions" does not exist (42P01)`,
		"NOREPLICAS Not enough good replicas to write.",
		"open /home/jo/.config/emporix/session.json: permission denied",
		"emporix: redis store: load: context deadline exceeded",
		`unknown field "x" of "y"`,
		"relation shop_sessions_of_2026_europe does not exist",
		"ERR_CLUSTER_NODE_7_UNREACHABLE_IN_ZONE_3",
		"NoReplicaAcceptedTheWriteOfTheSession",
	} {
		err := errors.New(text)
		assert.Equal(t, err, secret.RedactRow(err))
	}
}

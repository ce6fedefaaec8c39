package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/webhook"
)

const secret = "SECRET-CANARY"

func sign(secret, body string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// The value comes from another implementation: a mistake in sign must not hide
// one in the package.
func TestAFixedSignature(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	require.NoError(t, verifier.Verify([]byte(`{"b":1,"a":2}`), "w5I2HQdoufSHgvMUyUzLoXiTYveJmZ2I3U8BXtYAStc="))
}

func TestSignatures(t *testing.T) {
	verifier, err := webhook.NewVerifier("the old one", secret)
	require.NoError(t, err)
	for name, tt := range map[string]struct{ sent, signed string }{
		"as it is":                  {`{"b":1,"a":2}`, `{"b":1,"a":2}`},
		"as it is, with space":      {"{ \"b\": 1 }\n", "{ \"b\": 1 }\n"},
		"no JSON":                   {"b=1", "b=1"},
		"sorted":                    {`{"b":1,"a":2}`, `{"a":2,"b":1}`},
		"sorted all the way down":   {`{"b":[{"z":1,"y":{"d":null,"c":true}}],"a":false}`, `{"a":false,"b":[{"y":{"c":true,"d":null},"z":1}]}`},
		"sorted, without the space": {"{ \"b\" : [ 1, 2 ],\n \"a\" : 2 }", `{"a":2,"b":[1,2]}`},
		"numbers as they are":       {`{"b":1.50,"a":12345678901234567890,"c":1e3}`, `{"a":12345678901234567890,"b":1.50,"c":1e3}`},
		"text beyond ASCII":         {`{"b":"Grüße <&> \u2028 \ud83d\ude00","a":"\u0001\b\f\n\r\t\"\\\/"}`, "{\"a\":\"\\u0001\\b\\f\\n\\r\\t\\\"\\\\/\",\"b\":\"Grüße <&> \u2028 😀\"}"},
		"sorted by bytes":           {`{"é":1,"z":2,"Z":3,"":4}`, `{"":4,"Z":3,"z":2,"é":1}`},
		"nested":                    {strings.Repeat("[ ", 5000) + strings.Repeat("]", 5000), strings.Repeat("[", 5000) + strings.Repeat("]", 5000)},
		"empty":                     {`{"b":{},"a":[]}`, `{"a":[],"b":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, verifier.Verify([]byte(tt.sent), sign(secret, tt.signed)))
			require.NoError(t, verifier.Verify([]byte(tt.sent), sign("the old one", tt.signed)))
			require.ErrorIs(t, verifier.Verify([]byte(tt.sent), sign("another", tt.signed)), webhook.ErrSignature)
			require.ErrorIs(t, verifier.Verify([]byte(strings.Replace(tt.sent, "1", "2", 1)+" "), sign(secret, tt.signed+"x")), webhook.ErrSignature)
		})
	}
}

func TestForgedEvents(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	const body = `{"b":1,"a":2}`
	good := sign(secret, body)
	for name, tt := range map[string]struct {
		body       string
		signatures []string
		want       error
	}{
		"good":                   {body, []string{good}, nil},
		"none":                   {body, nil, webhook.ErrSignature},
		"empty":                  {body, []string{""}, webhook.ErrSignature},
		"two":                    {body, []string{good, good}, webhook.ErrSignature},
		"not Base64":             {body, []string{"!" + good}, webhook.ErrSignature},
		"cut":                    {body, []string{base64.StdEncoding.EncodeToString([]byte("short"))}, webhook.ErrSignature},
		"of an empty body":       {body, []string{sign(secret, "")}, webhook.ErrSignature},
		"another body":           {`{"b":1,"a":3}`, []string{good}, webhook.ErrSignature},
		"another key twice":      {`{"a":3,"b":1,"a":3}`, []string{sign(secret, `{"a":2,"b":1}`)}, webhook.ErrSignature},
		"more after it":          {body + body, []string{sign(secret, `{"a":2,"b":1}`)}, webhook.ErrSignature},
		"nested too deep":        {strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000), []string{good}, webhook.ErrSignature},
		"too large":              {strings.Repeat(" ", webhook.MaxBody+1), []string{good}, webhook.ErrTooLarge},
		"signed with an old key": {body, []string{sign("old", body)}, webhook.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events", strings.NewReader(tt.body))
			for _, s := range tt.signatures {
				r.Header.Add(webhook.Header, s)
			}
			got, err := verifier.Read(r)
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
				assert.Nil(t, got, "nobody may use it by mistake")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.body, string(got))
		})
	}
}

func TestSecretsOfWebhooks(t *testing.T) {
	for name, secrets := range map[string][]string{"none": nil, "empty": {""}, "one empty": {secret, ""}} {
		t.Run(name, func(t *testing.T) {
			_, err := webhook.NewVerifier(secrets...)
			require.ErrorContains(t, err, "anybody could send events")
			assert.NotContains(t, err.Error(), "CANARY")
		})
	}
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, verifier), "CANARY")
	}
}

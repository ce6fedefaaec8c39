package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// A list of secrets that its owner uses again changes no verifier.
func TestSecretsAreCopied(t *testing.T) {
	secrets := []string{secret}
	verifier, err := webhook.NewVerifier(secrets...)
	require.NoError(t, err)
	secrets[0] = "another"
	require.NoError(t, verifier.Verify([]byte("{}"), sign(secret, "{}")))
	require.ErrorIs(t, verifier.Verify([]byte("{}"), sign("another", "{}")), webhook.ErrSignature)
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
		"sorted, not by letter":     {`{"é":1,"z":2,"Z":3,"":4}`, `{"":4,"Z":3,"z":2,"é":1}`},
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

// Where the secret is not the matter, the error does not send anybody to look for it.
func TestEventsThatAreSignedOtherwise(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	for header, want := range map[string]string{
		"Svix-Signature": "signed by Svix", "Webhook-Signature": "signed by Svix", "X-Other": "no header Emporix-Event-Signature",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(`{"a":1}`))
		r.Header.Set(header, "v1,c2VjcmV0")
		_, err := verifier.Read(r)
		require.ErrorIs(t, err, webhook.ErrSignature)
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "check the secret")
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader("x"))
	r.Header.Set("Svix-Signature", "v1,c2VjcmV0")
	r.Header.Set(webhook.Header, sign(secret, "x"))
	_, err = verifier.Read(r)
	require.NoError(t, err, "signed in both ways")
	r = &http.Request{Header: http.Header{webhook.Header: {sign(secret, "")}}}
	_, err = verifier.Read(r)
	assert.ErrorIs(t, err, webhook.ErrSignature, "a request without a body")
}

// vectors.json was written by JavaScript: testdata/vectors.js.
func TestBodiesAsJavaScriptSignsThem(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	data, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var vectors []struct{ Sent, Signed string }
	require.NoError(t, json.Unmarshal(data, &vectors))
	require.Greater(t, len(vectors), 450)
	for _, v := range vectors {
		require.NoError(t, verifier.Verify([]byte(v.Sent), sign(secret, v.Signed)), "%s\nis signed as\n%s", v.Sent, v.Signed)
		require.NoError(t, verifier.Verify([]byte(v.Signed), sign(secret, v.Signed)))
		require.ErrorIs(t, verifier.Verify([]byte(v.Sent), sign(secret, v.Signed+" ")), webhook.ErrSignature, v.Sent)
	}
}

// What other senders may make of a body: numbers as they are, every key in its
// place as text.
func TestBodiesAsOthersSignThem(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	for sent, signed := range map[string]string{
		`{"b":1.0,"a":1e400}`:           `{"a":1e400,"b":1.0}`,
		`{"10":1,"9":2,"a":3.0}`:        `{"10":1,"9":2,"a":3.0}`,
		`{"9":2.0,"10":1,"a":3}`:        `{"10":1,"9":2,"a":3}`,
		`{"ﬁ":-0,"😀":2}`:                `{"😀":2,"ﬁ":-0}`,
		`{"b":"\ud800","a":1.0}`:        `{"a":1.0,"b":"\ud800"}`,
		`{"__proto__":{"b":1.0,"a":2}}`: `{"__proto__":{"a":2,"b":1.0}}`,
		"{\"a\":1}\n":                   `{"a":1}`,
		"\t[1.0\t,\t\"\\u00E9\"\t]\r\n": `[1.0,"é"]`,
	} {
		require.NoError(t, verifier.Verify([]byte(sent), sign(secret, signed)), sent)
	}
}

// Bodies that the signature of another one does not cover.
func TestOtherBodiesUnderASignature(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	for sent, signed := range map[string]string{
		`{"a":1,"__proto__":{"x":1}}`:  `{"a":1}`,
		`{"a":"1"}`:                    `{"a":1}`,
		`{"a":"\ud800"}`:               "{\"a\":\"\ufffd\"}",
		`{"a":"\udbff"}`:               `{"a":"\udc00"}`,
		"{\"a\":\"\xff\",\"A\":1}":     "{\"A\":1,\"a\":\"\ufffd\"}",
		"\ufeff{\"b\":1,\"a\":2}":      `{"a":2,"b":1}`,
		`{"b":1,"a":2}x`:               `{"a":2,"b":1}`,
		`{"b":1,"a":2,}`:               `{"a":2,"b":1}`,
		`{"b":01,"a":2}`:               `{"a":2,"b":1}`,
		`{"b":[2,1],"a":2}`:            `{"a":2,"b":[1,2]}`,
		`{"B":1,"a":2}`:                `{"a":2,"b":1}`,
		`{"a":1,"b":{"c":1},"b":null}`: `{"a":1,"b":{"c":1}}`,
		`{"a":9007199254740993}`:       `{"a":9007199254740994}`,
		`{"a":2}`:                      `{"a":2,"b":1}`,
		"":                             "null",
		"   ":                          "",
	} {
		require.ErrorIs(t, verifier.Verify([]byte(sent), sign(secret, signed)), webhook.ErrSignature, sent)
	}
}

// A body with a key that is there twice comes without what the signature does not
// cover: encoding/json would read both.
func TestAKeyThatIsThereTwice(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	reads := func(want, sent, signed string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events", strings.NewReader(sent))
		r.Header.Set(webhook.Header, sign(secret, signed))
		body, err := verifier.Read(r)
		require.NoError(t, err)
		assert.Equal(t, want, string(body), "%s is read as %s", sent, body) // byte for byte
	}
	const signed = `{"a":1,"payload":{"token":"T"}}`
	reads(signed, `{"payload":{"newEmail":"eve@example.com"},"a":1,"payload":{"token":"T"}}`, signed)
	reads(signed, `{"payload":{"token":"E","t\u006fken":"T"},"a":1.0}`, signed)
	const twice = `{"a":1,"a":2}`
	reads(twice, twice, twice) // the sender has signed both
	const spaced = `{"payload": {"token":"T"}, "a":1.0}`
	reads(spaced, spaced, signed)
}

func TestForgedEvents(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	const body = `{"b":1,"a":2}`
	good := sign(secret, body)
	require.Equal(t, 1<<20, webhook.MaxBody)
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
		"more after the Base64":  {body, []string{good + "!"}, webhook.ErrSignature},
		"cut":                    {body, []string{base64.StdEncoding.EncodeToString([]byte("short"))}, webhook.ErrSignature},
		"of an empty body":       {body, []string{sign(secret, "")}, webhook.ErrSignature},
		"another body":           {`{"b":1,"a":3}`, []string{good}, webhook.ErrSignature},
		"another key twice":      {`{"a":3,"b":1,"a":3}`, []string{sign(secret, `{"a":2,"b":1}`)}, webhook.ErrSignature},
		"more after it":          {body + body, []string{sign(secret, `{"a":2,"b":1}`)}, webhook.ErrSignature},
		"nested too deep":        {strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000), []string{good}, webhook.ErrSignature},
		"too large":              {strings.Repeat(" ", webhook.MaxBody+1), []string{good}, webhook.ErrTooLarge},
		"as long as it may be":   {strings.Repeat(" ", webhook.MaxBody), []string{sign(secret, strings.Repeat(" ", webhook.MaxBody))}, nil},
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

// A body is read as far as shows that it is too long.
func TestLongEventsAreNotReadToTheirEnd(t *testing.T) {
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	body := strings.NewReader(strings.Repeat(" ", webhook.MaxBody+10))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events", body)
	r.Header.Set(webhook.Header, sign(secret, ""))
	_, err = verifier.Read(r)
	require.ErrorIs(t, err, webhook.ErrTooLarge)
	require.EqualError(t, err, "webhook: the event is longer than 1048576 bytes")
	assert.Equal(t, 9, body.Len())
}

func TestSecretsOfWebhooks(t *testing.T) {
	for want, secrets := range map[string][]string{"there is no secret": nil, "secret 1 is empty": {""}, "secret 2 is empty": {secret, ""}} {
		t.Run(want, func(t *testing.T) {
			_, err := webhook.NewVerifier(secrets...)
			require.EqualError(t, err, "webhook: "+want+"; anybody could send events")
		})
	}
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, verifier), "CANARY")
	}
}

// Whatever comes is verified without a panic, and what is signed is accepted.
func FuzzVerify(f *testing.F) {
	for _, body := range []string{`{"b":1.0,"a":["x",null,true]}`, `{"\ud83d\ude00":"\ud800"}`, `[`, `{"a"`, `"\u12`, "", " ", `-`, `{"a":1,"a":2}`} {
		f.Add([]byte(body))
	}
	verifier, err := webhook.NewVerifier(secret)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		require.ErrorIs(t, verifier.Verify(body, sign("another", string(body))), webhook.ErrSignature)
		require.NoError(t, verifier.Verify(body, sign(secret, string(body))))
	})
}

// neverEnds is a body whose reads do not return before it is released.
type neverEnds struct{ release chan struct{} }

func (n neverEnds) Read([]byte) (int, error) { <-n.release; return 0, io.EOF }

// A sender who holds the body back holds nothing up for longer than the request lasts.
func TestReadEndsWithTheRequest(t *testing.T) {
	ended := errors.New("the server is shutting down")
	for name, within := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		"cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, ended)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				verifier, err := webhook.NewVerifier("a secret of some length")
				require.NoError(t, err)
				ctx, cancel := within(t.Context())
				defer cancel()
				body := neverEnds{make(chan struct{})}
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", io.MultiReader(strings.NewReader(`{"a":`), body))
				r.Header.Set(webhook.Header, "AAAA")
				began := time.Now()
				_, err = verifier.Read(r)
				assert.Equal(t, time.Second, time.Since(began))
				require.ErrorIs(t, err, ctx.Err())
				assert.Equal(t, name == "cause", errors.Is(err, ended))
				close(body.release)
			})
		})
	}
}

package acceptance_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// latin1 writes a text in ISO-8859-1.
func latin1(text string) string {
	var out []byte
	for _, r := range text {
		out = append(out, byte(r))
	}
	return string(out)
}

func utf16Text(text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit>>8), byte(unit))
	}
	return string(out)
}

// A response is read in the encoding that it declares, or refused: never as
// something else.
func TestCharset_OfAnswers(t *testing.T) {
	profile, list := outcomeOperations["Customers.Get"], outcomeOperations["Addresses.Add"]
	const name = "J\u00f6rg \u00c9mile\u00df"
	body := `{"id":"1","customerNumber":"1","firstName":"` + name + `"}`
	for media, tt := range map[string]struct {
		body     string
		readable bool
	}{
		"application/json":                                  {body, true},
		"application/json; charset=utf-8":                   {body, true},
		`application/json; charset="UTF-8"`:                 {"\xef\xbb\xbf" + body, false},
		"application/json;charset=UTF8":                     {body, true},
		"application/json; charset=":                        {body, true},
		"application/json; charset=ISO-8859-1":              {latin1(body), true},
		`application/json;CHARSET="iso-8859-1"`:             {latin1(body), true},
		"text/plain; charset=latin1; x":                     {latin1(body), true},
		"application/json; version=1; charset=iso_8859-1":   {latin1(body), true},
		"application/json; charset=windows-1252":            {latin1(body), false},
		"application/json; charset=iso-8859-15":             {latin1(body), false},
		"application/json; charset=us-ascii":                {body, false},
		"application/json; charset=utf-16":                  {utf16Text("\ufeff" + body), false},
		"application/json; charset=utf-16be":                {utf16Text(body), false},
		"application/json; charset=utf-7":                   {strings.ReplaceAll(body, name, "J+APY-rg"), false},
		"application/json; charset=shift_jis":               {strings.ReplaceAll(body, name, "Jo"), false},
		"application/json; charset=windows-1252; plain":     {strings.ReplaceAll(body, name, "Jo"), true},
		"application/json; charset=\"us-ascii\"; plain=yes": {strings.ReplaceAll(body, name, "Jo"), true},
	} {
		t.Run(media, func(t *testing.T) {
			client, server := outcomeClient(t)
			answer := func(status int, body string) func() (*http.Response, error) {
				return func() (*http.Response, error) {
					resp := outcomeReply(status, body, false)
					resp.Header.Set("Content-Type", media)
					return resp, nil
				}
			}
			visitor := outcomeVisitor(t, client, server, profile, "v")
			server.arm(profile.request, answer(200, tt.body))
			me, err := visitor.Customers.Get(t.Context())
			if tt.readable {
				require.NoError(t, err)
				assert.Contains(t, []string{name, "Jo"}, me.FirstName)
			} else {
				assert.ErrorIs(t, err, emporix.ErrBadResponse)
				assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
			}

			server.arm(list.request, answer(201, tt.body))
			_, err = visitor.Addresses.Add(t.Context(), emporix.AddressRequest{ContactName: "Jo"})
			if tt.readable {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, emporix.ErrBadResponse)
				assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown, "it was done")
			}

			problem := strings.Replace(tt.body, `{`, `{"status":409,"type":"conflict_resource","message":"`+"J\u00f6"+`",`, 1)
			switch {
			case strings.Contains(media, "utf-16"):
				problem = tt.body
			case strings.Contains(media, "8859-1") || strings.Contains(media, "1252") || strings.Contains(media, "latin1"):
				problem = strings.Replace(problem, "J\u00f6", latin1("J\u00f6"), 1)
			}
			server.arm(list.request, answer(409, problem))
			_, err = visitor.Addresses.Add(t.Context(), emporix.AddressRequest{ContactName: "Jo"})
			assert.ErrorIs(t, err, emporix.ErrConflict)
			assert.NotContains(t, err.Error(), "\ufffd")
			assert.NotContains(t, err.Error(), latin1("\u00f6"))

			if strings.HasPrefix(tt.body, "\xef\xbb\xbf") {
				return // JSON has no byte order mark
			}
			token := outcomeOperations["Auth.Login"]
			tokens := strings.Replace(outcomeCustomer, `{`, `{"note":"`+"J\u00f6"+`",`, 1)
			if strings.Contains(tt.body, "Jo") {
				tokens = outcomeCustomer
			}
			switch {
			case strings.Contains(media, "utf-16"):
				tokens = utf16Text(tokens)
			case strings.Contains(media, "8859-1") || strings.Contains(media, "1252") || strings.Contains(media, "latin1"):
				tokens = latin1(tokens)
			}
			server.arm(token.request, answer(200, tokens))
			_, err = visitor.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
			if tt.readable {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, emporix.ErrBadResponse)
				assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
			}
		})
	}
}

// A 401 that can't be read is no empty one: it says nothing about the bearer. A
// middleware that wraps the body, as tracing does, changes nothing about that.
func TestCharset_OfA401(t *testing.T) {
	op := outcomeOperations["Customers.Update"]
	for name, opts := range map[string][]emporix.Option{"": nil, "wrapped": {wrappedBodies}} {
		t.Run(name, func(t *testing.T) {
			client, server := outcomeClient(t, opts...)
			visitor := outcomeVisitor(t, client, server, op, "v")
			server.arm(op.request, func() (*http.Response, error) {
				resp := outcomeReply(401, utf16Text("no"), false)
				resp.Header.Set("Content-Type", "text/plain; charset=utf-16")
				return resp, nil
			})
			assert.ErrorIs(t, op.call(t.Context(), visitor), emporix.ErrUnauthorized)
			assert.Equal(t, 1, server.count())
		})
	}
}

// wrappedBodies is a middleware that reads along, as otelhttp's transport does.
var wrappedBodies = emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
	return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			resp.Body = struct{ io.ReadCloser }{resp.Body}
		}
		return resp, err
	})
})

// A body is converted once, also if a middleware wraps it.
func TestCharset_IsConvertedOnce(t *testing.T) {
	profile := outcomeOperations["Customers.Get"]
	for _, media := range []string{"application/json; charset=ISO-8859-1", "charset=latin1", "application/json charset=latin1; x"} {
		client, server := outcomeClient(t, wrappedBodies)
		visitor := outcomeVisitor(t, client, server, profile, "v")
		server.arm(profile.request, func() (*http.Response, error) {
			resp := outcomeReply(200, latin1(`{"id":"1","firstName":"J`+"\u00f6"+`rg"}`), false)
			resp.Header.Set("Content-Type", media)
			return resp, nil
		})
		me, err := visitor.Customers.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "J\u00f6rg", me.FirstName, media)
	}
}

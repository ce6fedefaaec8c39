package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// Every printer and encoder sees the mask, or nothing of an empty secret.
func TestSecret(t *testing.T) {
	for value, shown := range map[string]string{"hunter22": secret.Mask, "": ""} {
		s := secret.New(value)
		assert.Equal(t, value, s.Reveal())
		assert.Equal(t, value == "", s.IsZero())
		assert.True(t, s.Equal(secret.New(value)))
		assert.False(t, s.Equal(secret.New("another")))
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			assert.Equal(t, shown, fmt.Sprintf(verb, s))
		}
		assert.Equal(t, shown, s.String())
		assert.Equal(t, shown, s.GoString())
		assert.Equal(t, slog.StringValue(shown), s.LogValue())
		text, err := s.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, shown, string(text))
		data, err := json.Marshal(map[string]any{"s": s})
		require.NoError(t, err)
		assert.JSONEq(t, fmt.Sprintf(`{"s":%q}`, shown), string(data))
	}
}

// The forms are those in which others write a value, the longest first.
func TestForms(t *testing.T) {
	assert.Empty(t, secret.Forms("abc"))
	assert.Contains(t, secret.Forms("abcd"), "abcd")
	for value, forms := range map[string][]string{
		"AZ<9": {"AZ%3c9"}, "ab<<": {"ab%3c%3c"}, "100%": {"100%"}, "a\"%AB": {"a\"%AB"}, "<<AZ": {"%3c%3cAZ"},
		"<\x7f\"9": {"<\x7f\\\"9", "%3C%7F%5C%229", "<\x7f\\\\\\\"9"}, // JSON that keeps <, and that in a URL and in JSON
	} {
		assert.Subset(t, secret.Forms(value), forms)
	}
	const value = "a<\"&\\>  é/+%z9AZ0-"
	forms := secret.Forms(value)
	inJSON := func(s string) string { data, _ := json.Marshal(s); return string(data[1 : len(data)-1]) }
	quoted := func(s string) string { return strings.Trim(strconv.Quote(s), `"`) }
	percent := "a%3C%22%26%5C%3E%20%20%C3%A9%2F%2B%25z9AZ0%2D"
	for _, want := range []string{
		value, "a<\"&\\> é/+%z9AZ0-", inJSON(value), `a<\"&\\>  é/+%z9AZ0-`, quoted(value), url.QueryEscape(value), url.PathEscape(value),
		strings.ReplaceAll(url.QueryEscape(value), "+", "%20"), percent, "a%3c%22%26%5c%3e%20%20%c3%a9%2f%2b%25z9AZ0%2d",
		html.EscapeString(value), html.EscapeString(inJSON(value)), quoted(inJSON(value)), inJSON(quoted(value)), quoted(quoted(inJSON(value))),
		url.QueryEscape(inJSON(value)), hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
	} {
		assert.Contains(t, forms, want)
	}
	assert.True(t, slices.IsSortedFunc(forms, func(a, b string) int { return len(b) - len(a) }))
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(forms))), len(forms), "each once")
	for _, form := range forms {
		assert.GreaterOrEqual(t, len(form), secret.Shortest)
	}
}

// In base64 a value is found wherever it begins and ends in the whole text.
func TestFormsInBase64(t *testing.T) {
	for _, value := range []string{"hunter22", "~~~???>>>", "four", "a longer one, with 26 bytes"} {
		forms := secret.Forms(value)
		for before := range 4 {
			for after := range 4 {
				whole := strings.Repeat("?", before) + value + strings.Repeat("?", after)
				for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
					text := alphabet.EncodeToString([]byte(whole))
					first, end := (8*before+5)/6, 8*(before+len(value))/6 // what its own bits decide alone
					assert.Contains(t, forms, text[first:end], "%q in %q", value, whole)
				}
			}
		}
	}
}

func TestRedact(t *testing.T) {
	cause := &fs.PathError{Op: "open", Path: "hunter22 and hunter22", Err: fs.ErrNotExist}
	err := secret.Redact(fmt.Errorf("GET failed: %w", cause), "hunter22", "no", "file")
	require.EqualError(t, err, "GET failed: open [redacted] and [redacted]: [redacted] does not exist")
	require.ErrorIs(t, err, fs.ErrNotExist)
	var found *fs.PathError
	require.ErrorAs(t, err, &found)
	assert.Same(t, cause, found)
	assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "hunter22")

	plain := errors.New("nothing in it")
	assert.Same(t, plain, secret.Redact(plain, "hunter22"))
	require.NoError(t, secret.Redact(nil, "hunter22"))
}

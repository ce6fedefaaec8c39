package secret

import (
	"fmt"
	"regexp"
	"strings"
)

// RedactRow is Redact for an error of a store, which may quote a row that the
// caller could not read and so does not know: whole or in part, as it is, or in an
// encoding. Besides the values, it takes out what looks like a row or a token.
func RedactRow(err error, values ...string) error {
	if err == nil {
		return nil
	}
	var forms []string
	for _, value := range values {
		forms = append(forms, value)
		if len(value) >= Shortest { // as numbers, too
			forms = append(forms, fmt.Sprintf("% x", value), strings.Trim(fmt.Sprint([]byte(value)), "[]"))
		}
	}
	err = Redact(err, forms...)
	text := err.Error()
	clean := text
	for _, pattern := range rowPatterns {
		clean = pattern.ReplaceAllString(clean, Mask)
	}
	clean = opaque.ReplaceAllStringFunc(clean, func(word string) string {
		if strings.ContainsAny(word, digits) && strings.ContainsAny(word, lower) && strings.ContainsAny(word, strings.ToUpper(lower)) {
			return Mask
		}
		return word
	})
	if clean == text {
		return err
	}
	return &redacted{text: clean, cause: func() error { return err }}
}

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"

	quote = `(?:\\*"|&#34;|&quot;|\\+u0022|\\+x22|%22)`
)

var (
	rowPatterns = []*regexp.Regexp{
		// A whole row: from its first member to the last brace, or to the end.
		regexp.MustCompile(`(?s)(?:\{|%7[Bb])\s*` + quote + `v` + quote + `.*(?:\}|%7[Dd])`),
		regexp.MustCompile(`(?s)(?:\{|%7[Bb])\s*` + quote + `v` + quote + `.*`),
		// A part of one: its members have names of one letter.
		regexp.MustCompile(quote + `[a-z]` + quote + `(?::|%3[Aa])\s*` + quote + `[^"&\\%]*`),
		// Bytes as numbers: hexadecimal in one or in pairs, or decimal.
		regexp.MustCompile(`[0-9A-Fa-f]{32,}`),
		regexp.MustCompile(`(?:(?:0x|\\x)?[0-9A-Fa-f]{1,3}[ ,:]+){7,}(?:0x|\\x)?[0-9A-Fa-f]{1,3}`),
		regexp.MustCompile(`(?:\\+(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[0-7]{3})){8,}`),
	}
	// opaque is what a token or base64 looks like, if letters of both cases and
	// digits are in it. Names of hosts and tables rarely are.
	opaque = regexp.MustCompile(`[A-Za-z0-9_+/=-]{20,}`)
)

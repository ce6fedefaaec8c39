package emporixtest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const (
	shortestSecret = 6  // shorter ones are in every text by chance
	shortSecret    = 12 // shorter ones are in other words by chance
	prefixLength   = 8  // of a token, which people like to log
)

// AssertNoSecrets fails the test if a secret that the fake ever issued or was
// given is in data: tokens, passwords, codes, the backend's secret. It finds
// them as they are, URL-escaped, in base64 wherever they start in it, in hex,
// escaped for JSON and as %q writes them, and finds the first 8 characters of a
// token. Passwords and other secrets of less than 12 characters count as whole
// words only, and those of less than 6 are not looked for.
func (f *Fake) AssertNoSecrets(t testing.TB, data ...[]byte) bool {
	t.Helper()
	needles := newHaystack(f.server.Secrets())
	clean := true
	for i, d := range data {
		for _, leak := range needles.find(d) {
			clean = false
			t.Errorf("emporixtest: data %d has a secret: %s", i+1, leak)
		}
	}
	return clean
}

// needle is a form in which a secret may appear.
type needle struct {
	text   string
	form   string
	secret string
	word   bool // it counts as a whole word only
}

// fits says whether the needle is in data at a place, and counts there.
func (n needle) fits(data []byte, at int) bool {
	end := at + len(n.text)
	return bytes.HasPrefix(data[at:], []byte(n.text)) && (!n.word || startsWord(data[:at]) && !startsWithLetter(data[end:]))
}

var escapeAtEnd = regexp.MustCompile(`(?:\\[abfnrtv]|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2})$`)

// startsWord says whether a word can start after before: an escaped character
// ends with a letter or a digit, and is none.
func startsWord(before []byte) bool {
	last, _ := utf8.DecodeLastRune(before)
	return !isLetter(last) || escapeAtEnd.Match(before[max(0, len(before)-6):])
}

func startsWithLetter(after []byte) bool {
	first, _ := utf8.DecodeRune(after)
	return isLetter(first)
}

func isLetter(r rune) bool {
	return r == '_' || r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// leak is a needle that was found.
type leak struct {
	needle
	at int
}

// String shows enough to find out which secret it is.
func (l leak) String() string {
	shown := l.secret
	if len(shown) > 4 {
		shown = shown[:4] + "…"
	}
	return fmt.Sprintf("%s at byte %d, a secret of %d characters that starts with %q", l.form, l.at, len(l.secret), shown)
}

// haystack finds many needles in one pass: those of at least keyLength bytes are
// looked up by how they start.
type haystack struct {
	byStart map[string][]needle
	short   []needle
}

const keyLength = 8

func newHaystack(secrets []string) *haystack {
	h := &haystack{byStart: map[string][]needle{}}
	for _, secret := range secrets {
		if len(secret) < shortestSecret {
			continue
		}
		for _, n := range formsOf(secret) {
			if len(n.text) < keyLength {
				h.short = append(h.short, n)
				continue
			}
			h.byStart[n.text[:keyLength]] = append(h.byStart[n.text[:keyLength]], n)
		}
	}
	return h
}

// find answers each needle at most once.
func (h *haystack) find(data []byte) []leak {
	var leaks []leak
	for _, n := range h.short {
		for at := range data {
			if n.fits(data, at) {
				leaks = append(leaks, leak{n, at})
				break
			}
		}
	}
	found := map[needle]bool{}
	for at := 0; at+keyLength <= len(data); at++ {
		for _, n := range h.byStart[string(data[at:at+keyLength])] {
			if !found[n] && n.fits(data, at) {
				found[n] = true
				leaks = append(leaks, leak{n, at})
			}
		}
	}
	return leaks
}

// formsOf lists the forms of a secret, each text once.
func formsOf(secret string) []needle {
	var forms []needle
	seen := map[string]bool{}
	add := func(form, text string) {
		if !seen[text] && len(text) >= shortestSecret {
			seen[text] = true
			encoded := strings.Contains(form, "base64") || strings.Contains(form, "hex")
			forms = append(forms, needle{text, form, secret, len(secret) < shortSecret && !encoded})
		}
	}
	add("as it is", secret)
	add("escaped for a query", url.QueryEscape(secret))
	add("escaped for a path", url.PathEscape(secret))
	for offset := range 3 {
		add("in base64", base64At(base64.StdEncoding, secret, offset))
		add("in URL-safe base64", base64At(base64.URLEncoding, secret, offset))
	}
	add("in hex", hex.EncodeToString([]byte(secret)))
	add("in upper-case hex", strings.ToUpper(hex.EncodeToString([]byte(secret))))
	add("escaped for JSON", jsonText(secret, true))
	add("escaped for JSON", jsonText(secret, false))
	quoted := strconv.Quote(secret)
	add("as %q writes it", quoted[1:len(quoted)-1])
	ascii := strconv.QuoteToASCII(secret)
	add("as %+q writes it", ascii[1:len(ascii)-1])
	if start, isToken := tokenStart(secret); isToken {
		add("by its first characters", start)
	}
	return forms
}

// base64At is the part of the base64 of a text that depends on the secret in it
// alone, when the secret starts offset bytes after a group of three.
func base64At(encoding *base64.Encoding, secret string, offset int) string {
	encoded := encoding.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, offset), secret...))
	first := (offset*8 + 5) / 6
	last := (offset + len(secret)) * 8 / 6
	return encoded[first:last]
}

func jsonText(secret string, escapeHTML bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	_ = encoder.Encode(secret)           // a string can always be encoded
	return out.String()[1 : out.Len()-2] // without the quotes and the line end
}

var opaqueToken = regexp.MustCompile(`^[A-Za-z0-9]{28,}$`)

// tokenStart is how a random token starts. All JWTs start alike, so that for one
// it is the start of the signature.
func tokenStart(secret string) (string, bool) {
	if at := strings.LastIndexByte(secret, '.'); strings.HasPrefix(secret, "eyJ") && len(secret)-at > 2*prefixLength {
		return secret[at+1:][:prefixLength], true
	}
	if opaqueToken.MatchString(secret) {
		return secret[:prefixLength], true
	}
	return "", false
}

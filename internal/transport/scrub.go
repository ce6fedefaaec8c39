package transport

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// scrubber knows the secrets of one call and takes them out of texts that
// others wrote: a server's message, a transport's error.
type scrubber struct {
	secrets []secret.Secret
	// chosen are secrets that people think up: passwords. They may be words that
	// the server's own sentences hold as well.
	chosen []secret.Secret
	// known lists their forms, the longest first. It is a function for the reason
	// that secret.Secret has one: printers of contexts get this far.
	known func() []form
}

// form is one way to write a secret.
type form struct {
	text   string
	chosen bool
}

const (
	// A text of at least almostCut bytes may have been cut, in the midst of a
	// secret as well.
	almostCut = 500
	maxText   = 512
)

func (s *scrubber) add(v secret.Secret) {
	if !v.IsZero() {
		s.secrets = append(s.secrets, v)
	}
}

func (s *scrubber) addText(v string) { s.add(secret.New(v)) }

// clean returns the text without the secrets, however they are written. What the
// known forms do not cover is found by reading the text as what it may be encoded
// in; then nothing of it is kept.
func (s *scrubber) clean(text string) string {
	if text == "" {
		return ""
	}
	forms := s.forms()
	for _, form := range forms {
		text = cutOut(text, form)
	}
	if s.stillIn(text) || s.normalizedIn(text) {
		return secret.Mask
	}
	if len(text) < almostCut {
		return text
	}
	for _, form := range forms {
		if form.chosen && isOrdinary(form.text) {
			continue
		}
		for n := min(len(form.text)-1, len(text)); n >= secret.Shortest; n-- {
			if start, found := strings.CutSuffix(text, form.text[:n]); found {
				return start + secret.Mask
			}
		}
	}
	return text
}

// cutOut masks a form wherever it is no word of the server's own.
func cutOut(text string, form form) string {
	at := strings.Index(text, form.text)
	if at < 0 {
		return text
	}
	var out strings.Builder
	done := 0
	for at >= 0 {
		start := done + at
		end := start + len(form.text)
		out.WriteString(text[done:start])
		if form.chosen && isOwnWord(text, start, end) {
			out.WriteString(form.text)
		} else {
			out.WriteString(secret.Mask)
		}
		done = end
		at = strings.Index(text[done:], form.text)
	}
	return out.String() + text[done:]
}

// stillIn reports whether undoing escapes, several times, shows a secret. A secret of
// letters alone can be part of a word of the server's own; it counts if it is in the
// text more often than before.
func (s *scrubber) stillIn(text string) bool {
	if !strings.ContainsAny(text, `%&\`) {
		return false
	}
	before := plain(text)
	for range 4 {
		for _, undo := range []func(string) string{html.UnescapeString, unescapeURL, unescapeBackslash} {
			text = undo(text)
			if s.normalizedIn(text) || s.plainIn(plain(text), before) {
				return true
			}
		}
	}
	return false
}

// plain is a text as secrets are looked for in it.
func plain(text string) string { return strings.ReplaceAll(strings.ToLower(text), "+", " ") }

// plainIn reports whether a secret is in a plain text; one of letters alone more
// often than before.
func (s *scrubber) plainIn(text, before string) bool {
	for _, hidden := range slices.Concat(s.secrets, s.chosen) {
		value := bare(hidden)
		if len(value) < secret.Shortest || isOrdinary(value) {
			continue
		}
		value, known := plain(value), 0
		if !strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsLetter(r) }) {
			known = strings.Count(before, value)
		}
		if strings.Count(text, value) > known {
			return true
		}
	}
	return false
}

// normalizedIn reports whether a password is in the text in another normal form of
// Unicode: a server may compose what a browser has sent in parts, or the reverse.
func (s *scrubber) normalizedIn(text string) bool {
	for _, hidden := range s.chosen {
		rest := withoutMarks(bare(hidden))
		if len(strings.ReplaceAll(rest, anyLetter, "")) >= secret.Shortest && strings.Contains(rest, anyLetter) && strings.Contains(withoutMarks(text), rest) {
			return true
		}
	}
	return false
}

const anyLetter = "\x00"

// withoutMarks is what no normal form changes: the text in small letters, with
// anyLetter for each row of letters that are not ASCII or carry a mark.
func withoutMarks(text string) string {
	var out []rune
	for _, r := range strings.ToLower(text) {
		if unicode.Is(unicode.Mn, r) && len(out) > 0 {
			out = out[:len(out)-1]
		}
		if r > unicode.MaxASCII {
			r = 0
		}
		if r != 0 || len(out) == 0 || out[len(out)-1] != 0 {
			out = append(out, r)
		}
	}
	return string(out)
}

// unescapeURL undoes the escapes that are whole and leaves the rest.
func unescapeURL(text string) string {
	return escapedByte.ReplaceAllStringFunc(text, func(escape string) string {
		b, _ := strconv.ParseUint(escape[1:], 16, 8)
		return string([]byte{byte(b)})
	})
}

// unescapeBackslash undoes what JSON, %q and octal escapes write.
func unescapeBackslash(text string) string {
	return backslash.ReplaceAllStringFunc(text, func(escape string) string {
		switch escape[1] {
		case '0', '1', '2', '3', '4', '5', '6', '7':
			b, _ := strconv.ParseUint(escape[1:], 8, 8) // more than a byte is none
			return string([]byte{byte(b)})
		case 'u', 'U':
			if len(escape) == 12 { // two surrogates
				high, _ := strconv.ParseUint(escape[2:6], 16, 16)
				low, _ := strconv.ParseUint(escape[8:], 16, 16)
				return string(utf16.DecodeRune(rune(high), rune(low))) // #nosec G115 -- four digits each
			}
			r, _ := strconv.ParseUint(escape[2:], 16, 32)
			return string(rune(r)) // #nosec G115 -- at most eight digits; what is no rune becomes U+FFFD
		case 'x':
			b, _ := strconv.ParseUint(escape[2:], 16, 8)
			return string([]byte{byte(b)})
		case 'n':
			return "\n"
		case 't':
			return "\t"
		case 'r':
			return "\r"
		}
		return escape[1:]
	})
}

var (
	escapedByte = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	backslash   = regexp.MustCompile(`\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{3}|[^uUx])`)
)

// bare is a secret as a text would repeat it.
func bare(v secret.Secret) string { return strings.TrimPrefix(v.Reveal(), "Bearer ") }

// forms lists how the secrets may be written, the longest first: one secret may
// be a part of another.
func (s *scrubber) forms() []form {
	if s.known != nil {
		return s.known()
	}
	var forms []form
	for i, list := range [][]secret.Secret{s.secrets, s.chosen} {
		for _, hidden := range list {
			written := []string{bare(hidden)}
			if i == 1 { // a token in other case is of no use, but a password would be known
				written = append(written, strings.ToLower(written[0]), strings.ToUpper(written[0]))
				written = append(written, inLatin1(written[0])...)
			}
			for _, value := range written {
				for _, text := range secret.Forms(value) {
					forms = append(forms, form{text, i == 1})
				}
			}
		}
	}
	slices.SortStableFunc(forms, func(a, b form) int { return len(b.text) - len(a.text) })
	s.known = func() []form { return forms }
	return forms
}

// inLatin1 returns how a text is written by a server that reads UTF-8 as ISO-8859-1,
// and by one that writes ISO-8859-1.
func inLatin1(s string) []string {
	if isASCII([]byte(s)) {
		return nil
	}
	var misread, plain strings.Builder
	for _, b := range []byte(s) {
		misread.WriteRune(rune(b))
	}
	for _, r := range s {
		if r > 0xff {
			r = '?'
		}
		plain.WriteByte(byte(r)) // #nosec G115 -- at most 0xff
	}
	return []string{misread.String(), plain.String()}
}

// error returns err, or, if its text holds a secret, an error that tells the
// same without it.
func (s *scrubber) error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := s.clean(text); clean != text {
		return hide(clean, err)
	}
	return err
}

// wireError is error for what the base transport says. It has seen the request
// with its secrets, so nothing of it may be printable but a clean text.
func (s *scrubber) wireError(err error, req *http.Request, op string) error {
	var ue *url.Error
	for errors.As(err, &ue) { // its text holds the URL
		err = ue.Err
	}
	text := strings.ReplaceAll(err.Error(), req.URL.String(), op)
	if uri := req.URL.RequestURI(); len(uri) > 1 {
		text = strings.ReplaceAll(text, uri, op)
	}
	text = WithoutAddresses(s.clean(text))
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return hide(text, err)
}

// address is an e-mail address, as it is or in an encoding. What stands before the
// sign may hold anything but a separator.
var address = regexp.MustCompile(`(?i)[^\s"'\\<>()\[\]{},;:=&?/]+(?:@|%40|%2540|&#(?:64|x40);|\\+u0040|\\+x40)[^\s"'\\<>()\[\]{},;:=&?/]*`)

// WithoutAddresses masks the e-mail addresses in a text: a peer that speaks no HTTP may
// repeat the request's body where its status or a header should be.
func WithoutAddresses(text string) string { return address.ReplaceAllString(text, secret.Mask) }

// malformed is what net/http says before it quotes what a peer has sent.
var malformed = regexp.MustCompile(`(malformed (?:[A-Za-z]+ )*[A-Za-z]+)[^A-Za-z][\s\S]*`)

// LogText is an error's text for a log line: without what a peer sent where it should
// have spoken HTTP, and without e-mail addresses.
func LogText(err error) string {
	return WithoutAddresses(malformed.ReplaceAllString(err.Error(), "$1"))
}

// CleanError returns what a transport's error says, without the bearer that the
// transport has seen.
func CleanError(err error, bearer secret.Secret) error {
	if err == nil {
		return nil
	}
	s := scrubber{secrets: []secret.Secret{bearer}}
	return hide(WithoutAddresses(s.clean(err.Error())), err)
}

// WithoutBearer returns a server's header or trailer without the bearer, which it may
// repeat. It changes no header in place.
func WithoutBearer(h http.Header, bearer secret.Secret) http.Header {
	return mapHeader(h, func(_, value string) string { return TextWithoutBearer(value, bearer) })
}

// TextWithoutBearer is a text of a server's, such as a reason phrase, without the bearer.
func TextWithoutBearer(text string, bearer secret.Secret) string {
	if bearer.IsZero() || !strings.Contains(text, bare(bearer)) {
		return text
	}
	s := scrubber{secrets: []secret.Secret{bearer}}
	return s.clean(text)
}

// mapHeader returns h with changed values; h itself if nothing changes.
func mapHeader(h http.Header, change func(name, value string) string) http.Header {
	own := true
	for name, values := range h {
		for i, value := range values {
			changed := change(name, value)
			if changed == value {
				continue
			}
			if own {
				h, own = h.Clone(), false
			}
			h[name][i] = changed
		}
	}
	return h
}

func hide(text string, err error) error {
	return &scrubbed{text: text, cause: func() error { return err }}
}

// scrubbed shows a clean text and answers errors.Is and errors.As for an error
// that cannot be printed: the original may hold a request.
type scrubbed struct {
	text  string
	cause func() error
	ours  bool // not the end of the caller's context, whatever the cause says
}

func (e *scrubbed) Error() string { return e.text }

func (e *scrubbed) Is(target error) bool {
	if e.ours && (target == context.DeadlineExceeded || target == context.Canceled) {
		return false
	}
	return errors.Is(e.cause(), target)
}

func (e *scrubbed) As(target any) bool {
	if _, isURL := target.(**url.Error); isURL {
		return false
	}
	return errors.As(e.cause(), target)
}

// Timeout is what http.Client and url.Error ask for.
func (e *scrubbed) Timeout() bool { return isTimeout(e.cause()) }

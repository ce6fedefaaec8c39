package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Shortest is the length below which a value is no secret worth the damage that
// removing it would do to a text.
const Shortest = 4

// Forms lists how a value may be written in a text that others made of it, the
// longest first: as it is, in JSON, in a URL, in HTML, quoted by %q, each of these
// quoted once more and without what can't be printed, in base64 wherever it begins, and in hex.
func Forms(value string) []string {
	if len(value) < Shortest {
		return nil
	}
	once := []string{
		value, printable(value), inJSON(value, true), inJSON(value, false), quoted(value),
		url.QueryEscape(value), url.PathEscape(value), strings.ReplaceAll(url.QueryEscape(value), "+", "%20"), percent(value), html.EscapeString(value),
	}
	var forms []string
	add := func(form string) {
		for _, form := range []string{form, printable(form)} {
			if len(form) >= Shortest && !slices.Contains(forms, form) {
				forms = append(forms, form)
			}
		}
	}
	for _, form := range once {
		add(form)
		for _, again := range []string{quoted(form), inJSON(form, true), inJSON(form, false), url.QueryEscape(form), html.EscapeString(form)} {
			add(again)
			add(quoted(again))
		}
		add(lowerPercent(form))
	}
	add(hex.EncodeToString([]byte(value)))
	add(strings.ToUpper(hex.EncodeToString([]byte(value))))
	for offset := range 3 {
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			add(insideBase64(alphabet, value, offset))
		}
	}
	slices.SortStableFunc(forms, func(a, b string) int { return len(b) - len(a) })
	return forms
}

// printable is a text as internal/wire cleans it, on one line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

func inJSON(s string, forHTML bool) string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(forHTML)
	_ = enc.Encode(s)
	text := strings.TrimSuffix(out.String(), "\n")
	return text[1 : len(text)-1]
}

// percent escapes every byte that is no letter or digit.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

// lowerPercent writes the escapes of a URL in lower case.
func lowerPercent(s string) string {
	parts := strings.Split(s, "%")
	for i, part := range parts {
		if i > 0 && len(part) >= 2 {
			parts[i] = strings.ToLower(part[:2]) + part[2:]
		}
	}
	return strings.Join(parts, "%")
}

// insideBase64 is what a value looks like inside of a longer text in base64,
// offset bytes after a multiple of three.
func insideBase64(alphabet *base64.Encoding, value string, offset int) string {
	bits := 8 * (offset + len(value))
	text := alphabet.EncodeToString(append(make([]byte, offset), value...))
	first := (8*offset + 5) / 6 // the characters before hold bits of what comes before
	return text[first : bits/6]
}

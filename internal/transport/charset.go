package transport

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// toUTF8 returns a body in UTF-8. ISO-8859-1 is
// converted. In the other encodings of one byte that extend ASCII, a body that is
// all ASCII needs no conversion. Everything else is refused: read as UTF-8 it would
// be another text.
func toUTF8(body []byte, h http.Header) ([]byte, error) {
	switch charset := declaredCharset(h); {
	case len(body) == 0:
		return body, nil
	case charset == "" || charset == "utf-8" || charset == "utf8" || charset == "unicode-1-1-utf-8":
		return body, nil
	case isASCII(body) && extendsASCII(charset):
		return body, nil
	case isLatin1(charset):
		text := make([]byte, 0, len(body))
		for _, b := range body {
			text = utf8.AppendRune(text, rune(b))
		}
		return text, nil
	}
	return nil, errors.New("the response is in a character encoding other than UTF-8 and ISO-8859-1; have the server send UTF-8")
}

// declareUTF8 is a header after toUTF8: a middleware may wrap the body, which is then
// read once more.
func declareUTF8(h http.Header) http.Header {
	if charset := declaredCharset(h); charset == "" || charset == "utf-8" {
		return h
	}
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if strings.Contains(media, "=") { // a type without its semicolon, or none at all
		media = ""
	}
	h = h.Clone()
	h.Set("Content-Type", media+"; charset=utf-8")
	return h
}

func declaredCharset(h http.Header) string {
	value := h.Get("Content-Type")
	if !strings.Contains(strings.ToLower(value), "charset") { // the usual case, for nothing
		return ""
	}
	_, params, err := mime.ParseMediaType(value)
	if err != nil { // the parameters that could be read are not returned
		_, after, _ := strings.Cut(strings.ToLower(value), "charset")
		after = strings.TrimLeft(after, " =")
		after, _, _ = strings.Cut(after, ";")
		return strings.Trim(after, " '\"")
	}
	return strings.ToLower(strings.Trim(params["charset"], " '\""))
}

func isLatin1(charset string) bool {
	switch charset {
	case "iso-8859-1", "iso8859-1", "iso_8859-1", "iso_8859-1:1987", "iso88591", "latin1", "latin-1", "l1", "cp819", "ibm819":
		return true
	}
	return false
}

func extendsASCII(charset string) bool {
	if charset == "us-ascii" || charset == "ascii" || isLatin1(charset) {
		return true
	}
	for _, family := range []string{"iso-8859-", "windows-125", "cp125"} {
		if strings.HasPrefix(charset, family) {
			return true
		}
	}
	return false
}

func isASCII(body []byte) bool {
	return bytes.IndexFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

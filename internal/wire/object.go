// Package wire decodes what the server really sends. It knows no HTTP: bodies
// in, values out. Error texts never hold any of the input.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	errNotObject = errors.New("the answer is not a JSON object")
	errConflict  = errors.New("the answer gives one value twice and differently")
)

// object holds the members that the caller asked for, by their exact names.
type object map[string]json.RawMessage

// readObject reads one JSON object with nothing after it. encoding/json would
// match names in any case and let the last of two members win, so it walks the
// object by hand. Members that nobody asked for are passed over, unstored. On
// an error it returns what it read before, for callers who take what they get.
func readObject(body []byte, wanted ...string) (object, error) {
	known := make(map[string]bool, len(wanted))
	for _, name := range wanted {
		known[name] = true
	}
	members := object{}
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return members, errNotObject
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return members, errNotObject
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return members, errNotObject
		}
		name, ok := key.(string)
		if !ok || !known[name] {
			continue
		}
		if before, twice := members[name]; twice && !bytes.Equal(before, value) {
			return members, errConflict
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return members, errNotObject
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return members, errNotObject
	}
	return members, nil
}

// has reports whether a member is there and not null.
func (o object) has(name string) bool {
	value, ok := o[name]
	return ok && string(value) != "null"
}

// text returns a string member, or "" if it is absent, null or no string.
func (o object) text(name string) string {
	s, _ := stringOf(o[name])
	return s
}

// stringOf decodes a JSON string.
func stringOf(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// numberOf returns the digits of a JSON number, or of a string that holds one.
func numberOf(raw json.RawMessage) (string, bool) {
	text := string(raw)
	if s, ok := stringOf(raw); ok {
		text = strings.TrimSpace(s)
	}
	if text == "" || (text[0] != '-' && (text[0] < '0' || text[0] > '9')) || !json.Valid([]byte(text)) {
		return "", false
	}
	return text, true
}

// DecodeID reads the {"id": …} that creating something answers. The ID may be a
// string or an integer.
func DecodeID(body []byte) (string, error) {
	members, err := readObject(body, "id")
	if err != nil {
		return "", err
	}
	if !members.has("id") {
		return "", errors.New("the answer holds no id")
	}
	id, isString := stringOf(members["id"])
	if !isString {
		n, err := strconv.ParseInt(string(members["id"]), 10, 64)
		if err != nil {
			return "", errors.New("the id in the answer is neither a string nor an integer")
		}
		id = strconv.FormatInt(n, 10)
	}
	if strings.TrimSpace(id) == "" || len(id) > 256 || hasControl(id) {
		return "", errors.New("the id in the answer is empty, too long or unprintable")
	}
	return id, nil
}

func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

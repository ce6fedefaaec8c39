// Package wire decodes what the server really sends. It knows no HTTP: bodies
// in, values out. Error texts never hold any of the input.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var errNotObject = errors.New("the response is not a JSON object")

// object holds the members that the caller asked for, by their exact names.
type object map[string]json.RawMessage

// readObject reads one JSON object with nothing after it. encoding/json would
// match names in any case, so it walks the object by hand. Of two members with
// one name the last one that is not null counts. Members that were not asked for
// are passed over, unstored. On an error it returns what it read before, for
// callers who take what they get.
func readObject(body []byte, wanted ...string) (object, error) {
	members, _, err := readMembers(body, wanted)
	return members, err
}

// readMembers is readObject, and names the members that came more than once with
// different values.
func readMembers(body []byte, wanted []string) (members object, differ []string, err error) {
	known := make(map[string]bool, len(wanted))
	for _, name := range wanted {
		known[name] = true
	}
	members = object{}
	whole := eachMember(body, func(name string, value json.RawMessage) {
		if !known[name] {
			return
		}
		if members.has(name) {
			if string(value) == "null" {
				return
			}
			if !bytes.Equal(members[name], value) && !slices.Contains(differ, name) {
				differ = append(differ, name)
			}
		}
		members[name] = value
	})
	if !whole {
		return members, differ, errNotObject
	}
	return members, differ, nil
}

// eachMember calls found for the members of an object, in their order, and
// reports whether body is one whole object with nothing after it.
func eachMember(body []byte, found func(name string, value json.RawMessage)) bool {
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, _ := dec.Token(); start != json.Delim('{') {
		return false
	}
	for dec.More() {
		key, _ := dec.Token()
		name, ok := key.(string)
		if !ok {
			return false
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return false
		}
		found(name, value)
	}
	if _, err := dec.Token(); err != nil {
		return false
	}
	_, err := dec.Token()
	return errors.Is(err, io.EOF)
}

// get returns a member, or nil if it is absent or null.
func (o object) get(name string) json.RawMessage {
	if !o.has(name) {
		return nil
	}
	return o[name]
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
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if !bytes.ContainsRune(raw, '\\') && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1]), true // what most strings are, without a decoder
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
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
// string or a whole number.
func DecodeID(body []byte) (string, error) {
	o, err := readObject(body, "id")
	if err != nil {
		return "", err
	}
	if !o.has("id") {
		return "", errors.New("the response holds no id")
	}
	id, ok := idOf(o["id"])
	switch {
	case !ok:
		return "", errors.New("the id in the response is neither a string nor a whole number")
	case strings.TrimSpace(id) == "" || len(id) > maxIDLen || hasControl(id):
		return "", errors.New("the id in the response is empty, too long or unprintable")
	}
	return id, nil
}

const maxIDLen = 256

// idOf returns a string, or the digits of a whole number.
func idOf(raw json.RawMessage) (string, bool) {
	id, ok := textOf(raw)
	if ok && raw[0] != '"' && strings.ContainsAny(id, ".eE") {
		return "", false
	}
	return id, ok
}

func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

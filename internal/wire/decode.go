package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Decode reads a response into a struct or a list. A response as documented costs
// one json.Unmarshal. Where that fails, or would mix two members with one name,
// Decode goes on member by member: a number or a bool may come as a string and a
// string as a number, and what can't be read stays zero, without a loss for its
// neighbours. It fails only where the response is no JSON, or no object or list at
// all.
func Decode(body []byte, into any) error {
	if distinctNames(body) && json.Unmarshal(body, into) == nil {
		return nil
	}
	if !json.Valid(body) {
		return errors.New("the response is not JSON")
	}
	target := reflect.ValueOf(into).Elem()
	target.SetZero()
	if !read(target, body) {
		return errors.New("the response is JSON of another type")
	}
	return nil
}

// distinctNames reports whether no object has two members whose names encoding/json
// takes for one. Of those it would put the second value into the first: an address
// with the ID of one and the city of another. It knows neither names with escapes
// or beyond ASCII nor very large objects, and answers false. Mixins are kept as they are, so it
// does not look into them.
//
//nolint:gocognit // a scanner: one loop, one case for each character that counts
func distinctNames(body []byte) bool {
	type level struct {
		object, checked bool
		names           int // how many there were outside
	}
	var levels [16]level
	var room [64][]byte
	open, names := levels[:0], room[:0]
	isName, kept := false, false // the next string is a name; the next value is kept as it is
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '{', '[':
			checked := !kept && (len(open) == 0 || open[len(open)-1].checked)
			open = append(open, level{c == '{', checked, len(names)})
			isName, kept = c == '{', false
		case '}', ']':
			if len(open) == 0 {
				return false
			}
			names = names[:open[len(open)-1].names]
			open = open[:len(open)-1]
			isName = false
		case ',':
			isName, kept = len(open) > 0 && open[len(open)-1].object, false
		case '"':
			name, escaped := quoted(body[i+1:])
			i += len(name) + 1
			if !isName || !open[len(open)-1].checked {
				continue
			}
			if escaped || len(names) == len(room) || !isASCII(name) {
				return false
			}
			for _, other := range names[open[len(open)-1].names:] {
				if len(name) == len(other) && bytes.EqualFold(name, other) {
					return false
				}
			}
			names = append(names, name)
			isName, kept = false, string(name) == "mixins"
		}
	}
	return true
}

// quoted returns what comes before the closing quote, and whether it has escapes.
func quoted(text []byte) (inner []byte, escaped bool) {
	end := bytes.IndexByte(text, '"')
	if end >= 0 && bytes.IndexByte(text[:end], '\\') < 0 { // the usual case, and quick
		return text[:end], false
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			return text[:i], true
		case '\\':
			i++
		}
	}
	return text, true
}

// isASCII reports a name whose spellings in other cases have the same length.
func isASCII(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// read decodes one value, and reports whether it could. A null is absent.
func read(v reflect.Value, raw json.RawMessage) bool {
	if string(raw) == "null" {
		return false
	}
	if own, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		return own.UnmarshalJSON(raw) == nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		inner := reflect.New(v.Type().Elem())
		if !read(inner.Elem(), raw) {
			return false
		}
		v.Set(inner)
		return true
	case reflect.Struct:
		return readStruct(v, raw)
	case reflect.Slice:
		return readList(v, raw)
	case reflect.String:
		text, ok := textOf(raw)
		if ok {
			v.SetString(text)
		}
		return ok
	case reflect.Bool:
		yes, ok := boolOf(raw)
		if ok {
			v.SetBool(yes)
		}
		return ok
	case reflect.Int:
		n, ok := intOf(raw)
		if ok {
			v.SetInt(n)
		}
		return ok
	default:
		return json.Unmarshal(raw, v.Addr().Interface()) == nil
	}
}

// readStruct fills the fields from the members of an object. Of two members
// with one name the last that can be read counts, and a name as it is
// documented counts before the same name in another case.
func readStruct(v reflect.Value, raw json.RawMessage) bool {
	fields := map[string]reflect.Value{}
	collectFields(v, fields)
	folded := make(map[string]string, len(fields))
	for name := range fields {
		folded[strings.ToLower(name)] = name
	}
	exact := map[string]bool{}
	return eachMember(raw, func(name string, value json.RawMessage) {
		field, isExact := fields[name]
		if !isExact {
			documented, ok := folded[strings.ToLower(name)]
			if !ok || exact[documented] {
				return
			}
			field = fields[documented]
		}
		fresh := reflect.New(field.Type()).Elem()
		if !read(fresh, value) || fresh.IsZero() && readsItself(field) {
			return
		}
		field.Set(fresh)
		if isExact {
			exact[name] = true
		}
	})
}

// readsItself reports a type of which what can't be read is no error and changes
// nothing.
func readsItself(v reflect.Value) bool {
	_, own := v.Addr().Interface().(json.Unmarshaler)
	return own
}

// collectFields maps the JSON names of a struct to its fields. Those of an
// embedded struct come first, because an outer field hides an inner one.
func collectFields(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous && v.Field(i).Kind() == reflect.Struct {
			collectFields(v.Field(i), into)
		}
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			into[name] = v.Field(i)
		}
	}
}

// readList keeps the elements that can be read, if there are any. A value that stands where a list
// should is a list of one.
func readList(v reflect.Value, raw json.RawMessage) bool {
	elements := []json.RawMessage{raw}
	if raw[0] == '[' {
		elements = nil                     // or the first element would be written over raw
		_ = json.Unmarshal(raw, &elements) // it is valid
	}
	list := reflect.MakeSlice(v.Type(), 0, len(elements))
	for _, element := range elements {
		fresh := reflect.New(v.Type().Elem()).Elem()
		if read(fresh, element) {
			list = reflect.Append(list, fresh)
		}
	}
	v.Set(list)
	return len(elements) == 0 || list.Len() > 0
}

// textOf returns a JSON string, or the digits of a number. A whole number loses
// its exponent and its ".0".
func textOf(raw json.RawMessage) (string, bool) {
	if text, ok := stringOf(raw); ok {
		return text, true
	}
	number, ok := numberOf(raw)
	if !ok {
		return "", false
	}
	if strings.ContainsAny(number, ".eE") {
		if n, ok := intOf(raw); ok {
			return strconv.FormatInt(n, 10), true
		}
	}
	return number, true
}

// boolOf returns a JSON bool, or what a string or a number clearly means.
func boolOf(raw json.RawMessage) (value, ok bool) {
	text, isText := textOf(raw)
	if !isText {
		text = string(raw)
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// intOf returns a whole number, also from a string.
func intOf(raw json.RawMessage) (int64, bool) {
	number, _ := numberOf(raw) // nothing parses as no number either
	if n, err := strconv.ParseInt(number, 10, strconv.IntSize); err == nil {
		return n, true
	}
	const exact = 1 << 53 // beyond it a float skips whole numbers
	f, err := strconv.ParseFloat(number, 64)
	return int64(f), err == nil && f == math.Trunc(f) && math.Abs(f) <= exact && int64(int(f)) == int64(f)
}

package emporix

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// requireText refuses an empty or blank argument before any request.
func requireText(field, value string) error {
	if strings.TrimSpace(value) == "" {
		return &ArgumentError{Field: field, Reason: "is empty"}
	}
	return nil
}

// requirePassword refuses an empty password. A blank one is the server's to
// judge.
func requirePassword(field, value string) error {
	if value == "" {
		return &ArgumentError{Field: field, Reason: "is empty"}
	}
	return nil
}

// The longest identifiers and tokens that the SDK sends, in bytes.
const (
	maxIdentifier = 256
	maxMailToken  = 4 << 10
	maxJWT        = 16 << 10
)

// identifier refuses what can be no identifier or token of the API's, wherever
// in the request it goes.
func identifier(field, value string, limit int) error {
	if f := failure.Of(transport.CheckIdentifier(field, value, limit)); f != nil {
		return argumentError(f)
	}
	return nil
}

// optionalIdentifier is identifier for what may be empty.
func optionalIdentifier(field, value string, limit int) error {
	if value == "" {
		return nil
	}
	return identifier(field, value, limit)
}

// checkListElement refuses what one comma-separated value can't carry.
func checkListElement(field, element string) error {
	reason := "holds a comma, which separates elements"
	if f := failure.Of(transport.CheckIdentifier(field, element, maxIdentifier)); f != nil {
		reason = f.Err.Error()
	} else if !strings.Contains(element, ",") {
		return nil
	}
	return &ArgumentError{Field: field, Reason: "with an element that " + reason}
}

// encode returns a request's body. The encoder would replace what is no UTF-8,
// and thus send another password than the one that was given.
func encode(body any) (json.RawMessage, error) {
	if err := checkUTF8(body); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		// The encoder's own text may quote the value.
		return nil, &ArgumentError{Field: strings.TrimPrefix(fmt.Sprintf("%T", body), "emporix."), Reason: "does not encode as JSON; check its mixins and metadata"}
	}
	if len(encoded) > maxRequestBody {
		return nil, &ArgumentError{Field: "body", Reason: fmt.Sprintf("has %d bytes as JSON; the API takes at most %d", len(encoded), maxRequestBody)}
	}
	return encoded, nil
}

// maxRequestBody is the API's limit, in bytes.
const maxRequestBody = 10 << 20

// checkUTF8 refuses a request with a string that is no UTF-8, or that was none
// before it was read: the bytes behind U+FFFD would be lost for good.
func checkUTF8(request any) error {
	if field, found := findText(reflect.ValueOf(request), nil, func(s string) bool { return !utf8.ValidString(s) }); found {
		return &ArgumentError{Field: strings.TrimPrefix(field, "."), Reason: "is not valid UTF-8"}
	}
	if field, found := findText(reflect.ValueOf(request), nil, func(s string) bool { return strings.ContainsRune(s, utf8.RuneError) }); found && !isSecretInput(field) {
		return &ArgumentError{Field: strings.TrimPrefix(field, "."), Reason: holdsReplacement}
	}
	return nil
}

const holdsReplacement = "holds U+FFFD, which stands for bytes that could not be read; set the value that it should have"

// isSecretInput reports whether a field holds what only its owner knows.
func isSecretInput(path string) bool {
	name := strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])
	return strings.Contains(name, "password") || name == "token"
}

// findText looks for a string, and returns the way to it in the names that the
// API uses. JSON that came from the server is looked at as it is. seen is what has
// been looked at inside an any, which may hold itself.
func findText(v reflect.Value, seen map[reference]bool, wanted func(string) bool) (path string, found bool) {
	if v.Kind() == reflect.Interface && seen == nil {
		seen = map[reference]bool{}
	}
	if wasSeen(v, seen) {
		return "", false
	}
	switch v.Kind() {
	case reflect.String:
		return "", wanted(v.String())
	case reflect.Pointer, reflect.Interface:
		return findText(v.Elem(), seen, wanted)
	case reflect.Struct:
		for i := range v.NumField() {
			if rest, found := findText(v.Field(i), seen, wanted); found {
				return fieldName(v.Type().Field(i)) + rest, true
			}
		}
	case reflect.Slice:
		return findTextInSlice(v, seen, wanted)
	case reflect.Map:
		return "", isTextInMap(v, seen, wanted)
	}
	return "", false
}

func findTextInSlice(v reflect.Value, seen map[reference]bool, wanted func(string) bool) (path string, found bool) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return "", !utf8.Valid(v.Bytes())
	}
	for i := range v.Len() {
		if rest, found := findText(v.Index(i), seen, wanted); found {
			return rest, true
		}
	}
	return "", false
}

func isTextInMap(v reflect.Value, seen map[reference]bool, wanted func(string) bool) bool {
	for entry := v.MapRange(); entry.Next(); {
		for _, part := range []reflect.Value{entry.Key(), entry.Value()} {
			if _, found := findText(part, seen, wanted); found {
				return true
			}
		}
	}
	return false
}

// wasSeen notes what v refers to, and reports whether that was noted before.
func wasSeen(v reflect.Value, seen map[reference]bool) bool {
	var at reference
	switch v.Kind() {
	case reflect.Pointer, reflect.Map:
		at = reference{typ: v.Type(), pointer: v.Pointer()}
	case reflect.Slice:
		at = reference{v.Type(), v.Pointer(), v.Len()}
	default:
		return false
	}
	if seen == nil || seen[at] {
		return seen[at]
	}
	seen[at] = true
	return false
}

type reference struct {
	typ     reflect.Type
	pointer uintptr
	length  int // of a slice
}

func fieldName(f reflect.StructField) string {
	for _, tag := range []string{"json", "url"} {
		if name, _, _ := strings.Cut(f.Tag.Get(tag), ","); name != "" {
			return "." + name
		}
	}
	return "" // the value inside an Optional
}

// inspectPatch tells of an encoded patch whether it says nothing at all, and
// the way to its first null, or "".
func inspectPatch(encoded json.RawMessage) (empty bool, null string) {
	var patch map[string]json.RawMessage
	if json.Unmarshal(encoded, &patch) != nil {
		return false, ""
	}
	empty = true
	for _, name := range slices.Sorted(maps.Keys(patch)) {
		value := patch[name]
		if string(value) == "null" {
			return false, name
		}
		inner, innerNull := inspectPatch(value)
		if name == "mixins" { // an empty mixin is one, and what is in one is the tenant's
			inner, innerNull = string(value) == "{}", nullMixin(value)
		}
		if innerNull != "" {
			return false, name + "." + innerNull
		}
		empty = empty && inner
	}
	return empty, ""
}

// nullMixin returns the first name that has no value, or "".
func nullMixin(encoded json.RawMessage) string {
	var mixins map[string]json.RawMessage
	_ = json.Unmarshal(encoded, &mixins)
	for _, name := range slices.Sorted(maps.Keys(mixins)) {
		if string(mixins[name]) == "null" {
			return name
		}
	}
	return ""
}

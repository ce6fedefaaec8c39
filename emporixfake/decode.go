package emporixfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decodeStrictly reads one JSON value and refuses members that it does not know.
// Its errors are for people who know JSON and perhaps no Go, and hold no text of
// encoding/json, which differs between versions of Go.
func decodeStrictly(raw []byte, into any) error {
	switch trimmed := bytes.TrimSpace(raw); {
	case len(trimmed) == 0:
		return errors.New("it is empty, and should be JSON")
	case string(trimmed) == "null":
		return errors.New("it is null")
	}
	value, err := decodeAny(raw)
	if err != nil {
		return err
	}
	if err := checkShape("it", value, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// decodeAny reads one JSON value.
func decodeAny(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	var syntax *json.SyntaxError
	switch err := decoder.Decode(&value); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("it is not JSON: it breaks off")
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("it is not JSON, near byte %d", syntax.Offset)
	case err != nil:
		return nil, errors.New("it is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after its end")
	}
	return value, nil
}

// checkShape says what keeps a JSON value from being decoded into a type. null
// leaves everything as it is.
func checkShape(at string, value any, t reflect.Type) error {
	wrong := func(want string) error { return fmt.Errorf("%s must be %s, not %s", at, want, jsonInWords(value)) }
	if value == nil || t == reflect.TypeFor[json.RawMessage]() {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return checkShape(at, value, t.Elem())
	case reflect.Struct, reflect.Map:
		members, isObject := value.(object)
		if !isObject {
			return wrong("an object")
		}
		return checkMembers(at, members, t)
	case reflect.Slice:
		items, isArray := value.([]any)
		if !isArray {
			return wrong("an array")
		}
		return checkItems(at, items, t.Elem())
	case reflect.String:
		if _, isString := value.(string); !isString {
			return wrong("a string")
		}
	case reflect.Bool:
		if _, isBool := value.(bool); !isBool {
			return wrong("true or false")
		}
	case reflect.Int:
		number, isNumber := value.(json.Number)
		if !isNumber {
			return wrong("an integer")
		}
		if _, err := strconv.Atoi(number.String()); err != nil {
			return fmt.Errorf("%s must be an integer, and not so large", at)
		}
	}
	return nil
}

// checkItems is checkShape for the items of an array.
func checkItems(at string, items []any, t reflect.Type) error {
	for i, item := range items {
		if err := checkShape(fmt.Sprintf("%s[%d]", at, i), item, t); err != nil {
			return err
		}
	}
	return nil
}

// checkMembers is checkShape for the members of an object.
func checkMembers(at string, value object, t reflect.Type) error {
	fields := map[string]reflect.Type{}
	if t.Kind() == reflect.Struct {
		fields = fieldsOf(t)
	}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		member := fields[name]
		if t.Kind() == reflect.Map {
			member = t.Elem()
		}
		if member == nil {
			return fmt.Errorf("%s has no member %q", at, cutTo(name, 64))
		}
		if err := checkShape(strings.TrimPrefix(at+"."+name, "it."), value[name], member); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf are the types of a struct's members by their names in JSON. A field of
// the struct comes before one of what it embeds.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields, depth := map[string]reflect.Type{}, map[string]int{}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" || depth[name] > 0 && depth[name] <= len(field.Index) {
			continue
		}
		fields[name], depth[name] = field.Type, len(field.Index)
	}
	return fields
}

func jsonInWords(value any) string {
	switch value.(type) {
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	default:
		return "an object"
	}
}

package emporix

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Optional is a field of a patch. It has three states: the zero Optional is
// absent and leaves the stored value alone, Set replaces it (also by an empty
// value, which a nil map or slice is), and Null removes it.
//
// In structs of your own, tag such a field with omitzero, for example
// `json:"nickname,omitzero"`. An absent Optional without that tag fails to
// encode, as it would otherwise remove the stored value.
type Optional[T any] struct {
	state optionalState
	value T
}

type optionalState byte

const (
	absent optionalState = iota
	null
	set
)

// Set returns an Optional that replaces the stored value by v.
func Set[T any](v T) Optional[T] { return Optional[T]{state: set, value: v} }

// Null returns an Optional that removes the stored value.
func Null[T any]() Optional[T] { return Optional[T]{state: null} }

// IsZero reports whether o is absent. The omitzero option of encoding/json
// calls it.
func (o Optional[T]) IsZero() bool { return o.state == absent }

// IsNull reports whether o removes the stored value.
func (o Optional[T]) IsNull() bool { return o.state == null }

// Value returns the value that was set, and whether one was.
func (o Optional[T]) Value() (T, bool) { return o.value, o.state == set }

// MarshalJSON encodes the value, or null. An absent Optional is an error.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	switch o.state {
	case set:
		body, err := json.Marshal(o.value)
		if string(body) == "null" { // of a nil map or list, which only Null may make a removal
			return emptyOf(reflect.TypeFor[T](), body), err
		}
		return body, err
	case null:
		return []byte("null"), nil
	default:
		return nil, errors.New("emporix: an absent Optional can't be encoded; give its field the omitzero tag")
	}
}

func emptyOf(typ reflect.Type, otherwise []byte) []byte {
	_, encodesItself := reflect.Zero(typ).Interface().(json.Marshaler)
	switch {
	case encodesItself || typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Uint8:
		return otherwise
	case typ.Kind() == reflect.Map:
		return []byte("{}")
	case typ.Kind() == reflect.Slice:
		return []byte("[]")
	}
	return otherwise
}

// UnmarshalJSON decodes null into Null and anything else into Set.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*o = Null[T]()
		return nil
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*o = Set(v)
	return nil
}

// String shows the value, or which of the other two states it is.
func (o Optional[T]) String() string {
	switch o.state {
	case set:
		return fmt.Sprint(o.value)
	case null:
		return "null"
	default:
		return "absent"
	}
}

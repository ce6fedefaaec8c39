package emporix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"unicode/utf8"
)

// Mixins are the additional properties that a tenant defines on customers and
// addresses: a JSON value per name. Metadata.Mixins holds the URL of the schema
// under the same name. GetMixin and SetMixin read and write them as Go types.
type Mixins = map[string]json.RawMessage

// ErrNoMixin says that there is no mixin of that name. Customers carry mixins
// if Customers.Get was asked for them: Expand("mixin:*").
const ErrNoMixin Error = "emporix: no such mixin"

// GetMixin decodes the mixin of that name. It fails with ErrNoMixin where the
// mixin is absent or null, and with another error where it doesn't fit T.
func GetMixin[T any](m Mixins, name string) (T, error) {
	var v T
	raw := m[name]
	if len(raw) == 0 || string(raw) == "null" {
		return v, fmt.Errorf("%w: %q", ErrNoMixin, name)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		var zero T
		return zero, fmt.Errorf("emporix: mixin %q doesn't fit %T: %w", name, zero, withoutInput(err))
	}
	return v, nil
}

// SetMixin returns a copy of m with one mixin added or replaced. It does not change m,
// which may be nil:
//
//	mixins, err := emporix.SetMixin(me.Mixins, "loyalty", Loyalty{Level: 3})
//
// It fails with an *ArgumentError for an empty name and for text that is not UTF-8
// or holds U+FFFD, which GetMixin reads in place of such text, and with another error
// where value can't be encoded as JSON.
func SetMixin[T any](m Mixins, name string, value T) (Mixins, error) {
	if name == "" {
		return m, &ArgumentError{Field: "name", Reason: "is empty"}
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return m, fmt.Errorf("emporix: mixin %q can't be encoded: %w", name, withoutInput(err))
	}
	if replacesBytes(raw) {
		return m, &ArgumentError{Field: "value", Reason: "holds text that is not valid UTF-8"}
	}
	if bytes.ContainsRune(raw, utf8.RuneError) {
		return m, &ArgumentError{Field: "value", Reason: holdsReplacement}
	}
	out := make(Mixins, len(m)+1)
	maps.Copy(out, m)
	out[name] = raw
	return out, nil
}

// replacesBytes reports whether the encoder has put an escaped U+FFFD where bytes
// were no UTF-8. It writes a U+FFFD that was in the text as it is.
func replacesBytes(encoded []byte) bool {
	for {
		before, after, found := bytes.Cut(encoded, []byte(`\ufffd`))
		if !found {
			return false
		}
		backslashes := len(before) - len(bytes.TrimRight(before, `\`))
		if backslashes%2 == 0 {
			return true
		}
		encoded = after
	}
}

// withoutInput drops what encoding/json quotes of the value: mixins hold
// personal data.
func withoutInput(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		if mismatch.Field == "" {
			return fmt.Errorf("it needs a JSON value for %s", mismatch.Type)
		}
		return fmt.Errorf("its field %s needs a JSON value for %s", mismatch.Field, mismatch.Type)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("it is no valid JSON from byte %d on", syntax.Offset)
	}
	var unsupported *json.UnsupportedValueError
	if errors.As(err, &unsupported) {
		return errors.New("it holds a value that JSON doesn't have")
	}
	return quotingError{err}
}

// quotingError hides the text of an error that may quote the value, as that of
// time.Time does. Who wants it finds it with errors.As.
type quotingError struct{ error }

func (quotingError) Error() string { return "a type in it refuses its value" }

func (e quotingError) Unwrap() error { return e.error }

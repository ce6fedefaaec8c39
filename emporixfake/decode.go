package emporixfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// decodeStrictly reads one JSON value and refuses members that it does not know.
// Its errors are for people who know JSON and perhaps no Go.
func decodeStrictly(raw []byte, into any) error {
	switch trimmed := bytes.TrimSpace(raw); {
	case len(trimmed) == 0:
		return errors.New("it is empty, and should be JSON")
	case string(trimmed) == "null":
		return errors.New("it is null")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return inWords(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("there is something after its end")
	}
	return nil
}

// inWords says what a JSON error means, without the names of Go's types.
func inWords(err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType):
		at := strings.TrimPrefix(wrongType.Field, "plainFault.")
		if at == "" {
			at = "it"
		}
		given, _, _ := strings.Cut(wrongType.Value, " ")
		return fmt.Errorf("%s must be %s, not %s", at, kindInWords(wrongType.Type), jsonInWords(given))
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not JSON at byte %d: %w", syntax.Offset, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is not JSON: it breaks off")
	default:
		if text, isJSON := strings.CutPrefix(err.Error(), "json: "); isJSON {
			return errors.New(text) // an unknown field
		}
		return err
	}
}

func kindInWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	default:
		return "an integer" // there are no other members
	}
}

func jsonInWords(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "array", "object":
		return "an " + kind
	default:
		return "this " + kind
	}
}

package emporix

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// encodeWithEmpty encodes a request, and adds the named members that its tags
// leave out because they are empty.
func encodeWithEmpty(request any, names []string) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil || len(names) == 0 {
		return body, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	v := reflect.ValueOf(request)
	for i := range v.NumField() {
		name := memberName(v.Type().Field(i))
		if _, sent := members[name]; !sent && slices.Contains(names, name) {
			members[name] = emptyValue(v.Field(i).Kind())
		}
	}
	return json.Marshal(members)
}

func emptyValue(kind reflect.Kind) json.RawMessage {
	switch kind {
	case reflect.String:
		return json.RawMessage(`""`)
	case reflect.Bool:
		return json.RawMessage("false")
	case reflect.Slice:
		return json.RawMessage("[]")
	default: // a struct or a map
		return json.RawMessage("{}")
	}
}

// checkSendEmpty refuses a name that is no member of the request, such as one
// that is misspelled. prefix is the way to the request.
func checkSendEmpty(prefix string, request any, names []string) error {
	typ := reflect.TypeOf(request)
	known := map[string]bool{}
	for i := range typ.NumField() {
		known[memberName(typ.Field(i))] = true
	}
	for _, name := range names {
		if !known[name] || name == "-" {
			return &ArgumentError{Field: prefix + "SendEmpty", Reason: "names something that is no member; use the API's words, such as middleName"}
		}
	}
	return nil
}

func memberName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

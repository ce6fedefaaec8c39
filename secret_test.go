package emporix_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"

	emporix "github.com/emporix-community/emporix-go"
)

// A method that is added to Secret fails this test, unless it takes part in
// TestS01_SecretsAreNotPrintable or shows nothing here.
func TestRevealAloneReturnsTheValue(t *testing.T) {
	secret := reflect.ValueOf(emporix.NewSecret("CANARY"))
	var names []string
	for i := range secret.NumMethod() {
		name, method := secret.Type().Method(i).Name, secret.Method(i)
		names = append(names, name)
		if method.Type().NumIn() > 0 {
			continue // Equal, and Format, which every verb of fmt goes through
		}
		for _, out := range method.Call(nil) {
			text := fmt.Sprintf("%v", out.Interface())
			if data, ok := out.Interface().([]byte); ok {
				text = string(data)
			}
			assert.Equal(t, name == "Reveal", text == "CANARY", name)
			if name != "Reveal" {
				assert.NotContains(t, text, "CANARY", name)
			}
		}
	}
	assert.Equal(t, []string{"Equal", "Format", "GoString", "IsZero", "LogValue", "MarshalJSON", "MarshalText", "Reveal", "String"}, names)
}

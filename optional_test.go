package emporix_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

func TestOptionalHasThreeStates(t *testing.T) {
	tests := map[string]struct {
		patch emporix.CustomerPatch
		want  string
	}{
		"absent":       {emporix.CustomerPatch{}, `{}`},
		"set":          {emporix.CustomerPatch{FirstName: emporix.Set("Joanna")}, `{"firstName":"Joanna"}`},
		"set to empty": {emporix.CustomerPatch{FirstName: emporix.Set("")}, `{"firstName":""}`},
		"null":         {emporix.CustomerPatch{FirstName: emporix.Null[string]()}, `{"firstName":null}`},
		"inside":       {emporix.CustomerPatch{Metadata: emporix.Set(emporix.MetadataPatch{Version: emporix.Set(0)})}, `{"metadata":{"version":0}}`},
		"map":          {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins{"a": json.RawMessage(`[1]`)})}, `{"mixins":{"a":[1]}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(tt.patch)
			require.NoError(t, err)
			assert.JSONEq(t, tt.want, string(body))

			var back emporix.CustomerPatch
			require.NoError(t, json.Unmarshal(body, &back))
			assert.Equal(t, tt.patch, back)
		})
	}
	body, err := json.Marshal(emporix.AddressPatch{IsDefault: emporix.Set(false), Tags: emporix.Set([]string{})})
	require.NoError(t, err)
	assert.JSONEq(t, `{"isDefault":false,"tags":[]}`, string(body))
}

func TestOptionalTellsItsState(t *testing.T) {
	var absent emporix.Optional[string]
	_, ok := absent.Value()
	assert.True(t, absent.IsZero() && !absent.IsNull() && !ok)

	null := emporix.Null[string]()
	_, ok = null.Value()
	assert.True(t, !null.IsZero() && null.IsNull() && !ok)

	set := emporix.Set("")
	value, ok := set.Value()
	assert.True(t, !set.IsZero() && !set.IsNull() && ok)
	assert.Empty(t, value)
}

func TestAnAbsentOptionalNeverBecomesNull(t *testing.T) {
	_, err := json.Marshal(struct {
		Name emporix.Optional[string] `json:"name"`
	}{})
	assert.ErrorContains(t, err, "omitzero")
}

func TestOptionalKeepsItsValueWhenDecodingFails(t *testing.T) {
	number := emporix.Set(7)
	require.Error(t, json.Unmarshal([]byte(`"x"`), &number))
	value, ok := number.Value()
	assert.True(t, ok)
	assert.Equal(t, 7, value)
}

func TestOptionalPrintsItsState(t *testing.T) {
	assert.Equal(t, "Jo null absent 3", fmt.Sprint(emporix.Set("Jo"), " ", emporix.Null[string](), " ", emporix.Optional[int]{}, " ", emporix.Set(3)))
	assert.Contains(t, fmt.Sprintf("%v", emporix.CustomerPatch{Title: emporix.Set("Dr")}), "{Dr absent")
}

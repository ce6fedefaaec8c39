package emporix_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

type loyalty struct {
	Level int    `json:"level"`
	Card  string `json:"card,omitzero"`
}

func TestMixins(t *testing.T) {
	before, err := emporix.SetMixin(nil, "loyalty", loyalty{Level: 3})
	require.NoError(t, err)
	after, err := emporix.SetMixin(before, "loyalty", loyalty{Level: 4})
	require.NoError(t, err)
	after, err = emporix.SetMixin(after, "note", "hello")
	require.NoError(t, err)

	got, err := emporix.GetMixin[loyalty](before, "loyalty")
	require.NoError(t, err)
	assert.Equal(t, 3, got.Level, "the caller's map stays as it was")
	assert.Len(t, before, 1)

	got, err = emporix.GetMixin[loyalty](after, "loyalty")
	require.NoError(t, err)
	assert.Equal(t, 4, got.Level)
	note, err := emporix.GetMixin[string](after, "note")
	require.NoError(t, err)
	assert.Equal(t, "hello", note)

	raw, err := emporix.GetMixin[json.RawMessage](after, "note")
	require.NoError(t, err)
	raw[1] = 'X'
	assert.JSONEq(t, `"hello"`, string(after["note"]), "what is read doesn't alias the map")
}

func TestMixinErrors(t *testing.T) {
	mixins := emporix.Mixins{
		"null": json.RawMessage(`null`), "nothing": nil, "card": json.RawMessage(`{"level":"gold-4711"}`),
		"list": json.RawMessage(`[1]`), "broken": json.RawMessage(`{"level":4711`), "number": json.RawMessage(`4711e99`),
	}
	for _, name := range []string{"missing", "null", "nothing"} {
		_, err := emporix.GetMixin[loyalty](mixins, name)
		assert.ErrorIs(t, err, emporix.ErrNoMixin, name)
		assert.ErrorContains(t, err, name)
	}
	_, err := emporix.GetMixin[loyalty](nil, "missing")
	assert.ErrorIs(t, err, emporix.ErrNoMixin)

	for _, name := range []string{"card", "list", "broken", "number"} {
		got, err := emporix.GetMixin[loyalty](mixins, name)
		require.Error(t, err, name)
		assert.NotErrorIs(t, err, emporix.ErrNoMixin)
		assert.ErrorContains(t, err, name)
		assert.NotContains(t, err.Error(), "4711", "values are personal data")
		assert.Zero(t, got)
	}
	// Types that quote what they can't read.
	born := emporix.Mixins{"jo": json.RawMessage(`{"born":"1980-05-17"}`)}
	_, err = emporix.GetMixin[struct {
		Born time.Time `json:"born"`
	}](born, "jo")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "1980")
	var quoting *time.ParseError
	assert.ErrorAs(t, err, &quoting, "who wants it finds it")
	_, err = emporix.GetMixin[struct {
		Born int `json:"born,string"`
	}](born, "jo")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "1980")

	digit, err := emporix.GetMixin[int](emporix.Mixins{"digit": json.RawMessage("7")}, "digit")
	require.NoError(t, err)
	assert.Equal(t, 7, digit)

	_, err = emporix.GetMixin[int8](mixins, "number")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "4711")

	_, err = emporix.SetMixin(mixins, "", 1)
	assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	out, err := emporix.SetMixin(mixins, "bad", math.NaN())
	assert.ErrorContains(t, err, "bad")
	assert.NotContains(t, out, "bad")
}

// The encoder would replace what is no UTF-8 without a word, and the decoder has.
func TestSetMixinRefusesDamagedText(t *testing.T) {
	type loyalty struct {
		Note string `json:"note"`
		raw  string
	}
	for note, ok := range map[string]bool{"M\xfcller": false, "Müller": true, "a\ufffdb": false, `\ufffd`: true, `\\ufffd` + "\xff": false, "": true} {
		before := emporix.Mixins{"other": json.RawMessage("1")}
		mixins, err := emporix.SetMixin(before, "loyalty", loyalty{Note: note, raw: "\xff"})
		if !ok {
			assert.ErrorIs(t, err, emporix.ErrInvalidRequest, "%q", note)
			assert.Equal(t, before, mixins)
			continue
		}
		require.NoError(t, err, "%q", note)
		got, err := emporix.GetMixin[loyalty](mixins, "loyalty")
		require.NoError(t, err)
		assert.Equal(t, note, got.Note)
	}
}

func TestMixinSchemasAreReadOrLeftAlone(t *testing.T) {
	for _, data := range []string{`null`, `true`, `0`, `-1.5e300`, `"text"`, `[]`, `[{"a":1}]`, ``, `{`, `}`, `{"a"}`, `{"a":}`, `{"a}`, `{"a":"b}`} {
		m := emporix.MixinSchemas{}
		require.NoError(t, json.Unmarshal([]byte(`{"kept":"https://x.example"}`), &m))
		before := fmt.Sprint(m)
		assert.NoError(t, m.UnmarshalJSON([]byte(data)), data)
		assert.Equal(t, before, fmt.Sprint(m), data)
	}
	for _, data := range []string{`{}`, `{"a":null,"b":1,"c":[],"d":{"e":{}},"f":"https://x.example","f":true}`} {
		var m emporix.MixinSchemas
		assert.NoError(t, m.UnmarshalJSON([]byte(data)), data)
	}
}

// What is there before is replaced, also by nothing.
func TestMixinSchemasAreReplaced(t *testing.T) {
	for body, want := range map[string]emporix.MixinSchemas{
		`{}`: nil, `{"b":"2"}`: {"b": "2"}, `{"b":"\u0032"}`: {"b": "2"}, `{"b":2}`: {"b": json.RawMessage("2")},
		`7`: {"a": "1"}, `[]`: {"a": "1"}, `null`: {"a": "1"}, `"x"`: {"a": "1"},
	} {
		schemas := emporix.MixinSchemas{"a": "1"}
		require.NoError(t, schemas.UnmarshalJSON([]byte(body)))
		assert.Equal(t, want, schemas, body)
	}
}

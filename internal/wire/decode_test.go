package wire_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/wire"
)

type inner struct {
	Shared string `json:"shared"`
	Below  string `json:"below"`
}

type answer struct {
	inner
	Text    string            `json:"text,omitzero"`
	Shared  string            `json:"shared"` // hides the embedded one
	Flag    bool              `json:"flag"`
	Count   int               `json:"count"`
	Part    *inner            `json:"part"`
	Whole   inner             `json:"whole"` // its members are not the response's
	List    []inner           `json:"list"`
	Names   []string          `json:"names"`
	Map     map[string]string `json:"map"`
	When    wire.Time         `json:"when"`
	Ignored string            `json:"-"`
	Untold  string
}

// odd makes json.Unmarshal fail, so that members are read one by one.
const odd = `"count":{},`

// exactInt returns 2 to the 53rd, up to which a float holds every whole number, or 0
// where an int does not reach that far.
func exactInt() int {
	exact := int64(1) << 53
	if strconv.IntSize < 64 {
		return 0
	}
	return int(exact)
}

func TestDecodeReadsMemberByMember(t *testing.T) {
	for body, want := range map[string]answer{
		`{"text":"a","shared":"b"}`:                                        {Text: "a", Shared: "b"}, // as documented
		`{` + odd + `"text":"a","shared":"b"}`:                             {Text: "a", Shared: "b"},
		`{` + odd + `"below":"x"}`:                                         {inner: inner{Below: "x"}},
		`{` + odd + `"text":7}`:                                            {Text: "7"},
		`{` + odd + `"text":7.0}`:                                          {Text: "7"},
		`{` + odd + `"text":7.5}`:                                          {Text: "7.5"},
		`{` + odd + `"text":1e3}`:                                          {Text: "1000"},
		`{` + odd + `"text":true}`:                                         {},
		`{` + odd + `"text":null}`:                                         {},
		`{` + odd + `"text":"a","text":null}`:                              {Text: "a"},
		`{` + odd + `"text":"a","text":"b"}`:                               {Text: "b"},
		`{` + odd + `"text":"a","text":[]}`:                                {Text: "a"},
		`{` + odd + `"TEXT":"a"}`:                                          {Text: "a"},
		`{` + odd + `"text":"a","TEXT":"b"}`:                               {Text: "a"},
		`{` + odd + `"TEXT":"b","text":"a"}`:                               {Text: "a"},
		`{` + odd + `"TEXT":"b","text":null}`:                              {Text: "b"},
		`{` + odd + `"flag":"true"}`:                                       {Flag: true},
		`{` + odd + `"flag":" TRUE "}`:                                     {Flag: true},
		`{` + odd + `"flag":1}`:                                            {Flag: true},
		`{` + odd + `"flag":"1"}`:                                          {Flag: true},
		`{` + odd + `"flag":true,"flag":"false"}`:                          {},
		`{` + odd + `"flag":true,"flag":0}`:                                {},
		`{` + odd + `"flag":true,"flag":"no"}`:                             {Flag: true},
		`{` + odd + `"flag":true,"flag":2}`:                                {Flag: true},
		`{"text":{},"count":"12"}`:                                         {Count: 12},
		`{"text":{},"count":-12}`:                                          {Count: -12},
		`{"text":{},"count":12.0}`:                                         {Count: 12},
		`{"text":{},"count":1.2e1}`:                                        {Count: 12},
		`{"text":{},"count":3,"count":12.5}`:                               {Count: 3},
		`{"text":{},"count":3,"count":"x"}`:                                {Count: 3},
		`{"text":{},"count":3,"count":1e300}`:                              {Count: 3},
		`{"text":{},"count":1073741824.0}`:                                 {Count: 1 << 30},
		`{"text":{},"count":9007199254740992.0}`:                           {Count: exactInt()},
		`{"text":{},"count":3,"count":1e16}`:                               {Count: 3}, // a float skips whole numbers there
		`{` + odd + `"part":{"below":"x"}}`:                                {Part: &inner{Below: "x"}},
		`{` + odd + `"part":"x"}`:                                          {},
		`{` + odd + `"part":null}`:                                         {},
		`{` + odd + `"part":{"below":"x"},"part":"y"}`:                     {Part: &inner{Below: "x"}},
		`{` + odd + `"whole":{"below":"x"}}`:                               {Whole: inner{Below: "x"}},
		`{` + odd + `"list":[{"below":"x"},7]}`:                            {List: []inner{{Below: "x"}}},
		`{` + odd + `"list":{"below":"x"}}`:                                {List: []inner{{Below: "x"}}},
		`{` + odd + `"list":[]}`:                                           {List: []inner{}},
		`{` + odd + `"list":[7]}`:                                          {},
		`{` + odd + `"list":7}`:                                            {},
		`{` + odd + `"names":["a",1,null,{},"b"]}`:                         {Names: []string{"a", "1", "b"}},
		`{` + odd + `"names":"a"}`:                                         {Names: []string{"a"}},
		`{` + odd + `"map":{"a":"b"}}`:                                     {Map: map[string]string{"a": "b"}},
		`{` + odd + `"map":{"a":1}}`:                                       {},
		`{` + odd + `"when":"2026-01-02"}`:                                 {When: wire.Time{Time: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}},
		`{` + odd + `"-":"x","Ignored":"x","":"x","Untold":"x","other":1}`: {},
	} {
		var got answer
		require.NoError(t, wire.Decode([]byte(body), &got), body)
		assert.Equal(t, want, got, body)
	}
}

func TestDecodeLeavesNothingOfTheFirstTry(t *testing.T) {
	got := answer{Text: "before", List: []inner{{}, {}}}
	require.NoError(t, wire.Decode([]byte(`{"flag":true,`+odd+`"names":["a"]}`), &got))
	assert.Equal(t, answer{Flag: true, Names: []string{"a"}}, got)
}

func TestDecodeOfLists(t *testing.T) {
	var list []inner
	require.NoError(t, wire.Decode([]byte(`[{"below":"a"},7,{"below":8}]`), &list))
	assert.Equal(t, []inner{{Below: "a"}, {Below: "8"}}, list)
	require.NoError(t, wire.Decode([]byte(`{"below":9}`), &list))
	assert.Equal(t, []inner{{Below: "9"}}, list)
}

func TestDecodeLeavesTheBodyAsItIs(t *testing.T) {
	body := []byte(`[{"below":"a"},7]`)
	before := bytes.Clone(body)
	var list []inner
	require.NoError(t, wire.Decode(body, &list))
	assert.Equal(t, before, body)

	body = []byte(`["a.b","c"]`)
	before = bytes.Clone(body)
	var scopes wire.Scopes
	require.NoError(t, json.Unmarshal(body, &scopes))
	assert.Equal(t, before, body)
	assert.Equal(t, wire.Scopes{"a.b", "c"}, scopes)
}

func TestDecodeFails(t *testing.T) {
	for _, body := range []string{"", "{", `{"text":"a"`, "<html>", "7", `"text"`, "true", `{"text":{}} x`} {
		var got answer
		assert.Error(t, wire.Decode([]byte(body), &got), body)
	}
	var list []inner
	assert.Error(t, wire.Decode([]byte(`[7,8]`), &list), "a list of other things")
}

func TestTimesInManyForms(t *testing.T) {
	at := func(year, month, day, hour, minute, second, milli int) time.Time {
		return time.Date(year, time.Month(month), day, hour, minute, second, milli*1e6, time.UTC)
	}
	for text, want := range map[string]time.Time{
		`"2026-03-04T05:06:07Z"`:                     at(2026, 3, 4, 5, 6, 7, 0),
		`"2026-03-04T05:06:07.089Z"`:                 at(2026, 3, 4, 5, 6, 7, 89),
		`"2026-03-04T05:06:07+01:00"`:                at(2026, 3, 4, 4, 6, 7, 0),
		`"2026-03-04T05:06:07+0100"`:                 at(2026, 3, 4, 4, 6, 7, 0),
		`"2026-03-04T05:06:07+01"`:                   at(2026, 3, 4, 4, 6, 7, 0),
		`"2026-03-04T05:06:07+01:00[Europe/Berlin]"`: at(2026, 3, 4, 4, 6, 7, 0),
		`"2026-03-04T05:06:07"`:                      at(2026, 3, 4, 5, 6, 7, 0),
		`"2026-03-04T05:06"`:                         at(2026, 3, 4, 5, 6, 0, 0),
		`"2026-03-04T05:06Z"`:                        at(2026, 3, 4, 5, 6, 0, 0),
		`"2026-03-04t05:06z"`:                        at(2026, 3, 4, 5, 6, 0, 0),
		`"2026-03-04T05Z"`:                           at(2026, 3, 4, 5, 0, 0, 0),
		`"2026-03-04 05:06:07 +01:00"`:               at(2026, 3, 4, 4, 6, 7, 0),
		`" 2026-03-04 "`:                             at(2026, 3, 4, 0, 0, 0, 0),
		`"20260304"`:                                 at(2026, 3, 4, 0, 0, 0, 0),
		`"20260304T050607Z"`:                         at(2026, 3, 4, 5, 6, 7, 0),
		`"20260304T0506Z"`:                           at(2026, 3, 4, 5, 6, 0, 0),
		`1772600767`:                                 at(2026, 3, 4, 5, 6, 7, 0),
		`"1772600767"`:                               at(2026, 3, 4, 5, 6, 7, 0),
		`1772600767.25`:                              at(2026, 3, 4, 5, 6, 7, 250),
		`1772600767089`:                              at(2026, 3, 4, 5, 6, 7, 89),
		`99999999999`:                                time.Unix(99999999999, 0).UTC(), // the last seconds
		`100000000000`:                               time.UnixMilli(100000000000).UTC(),
		`253402300799999`:                            time.UnixMilli(253402300799999).UTC(),
		`253402300800000`:                            {},
		`1`:                                          at(1970, 1, 1, 0, 0, 1, 0),
		`0`:                                          {},
		`-1`:                                         {},
		`null`:                                       {},
		`""`:                                         {},
		`"never"`:                                    {},
		`"2026-13-04"`:                               {},
		`"[2026-03-04]"`:                             {},
		`"0001-01-01T00:00:00Z"`:                     {},
		`{}`:                                         {},
		`[]`:                                         {},
		`true`:                                       {},
	} {
		var got wire.Time
		require.NoError(t, json.Unmarshal([]byte(text), &got), text)
		assert.True(t, want.Equal(got.Time), "%s is read as %s", text, got.Time)
		if !want.IsZero() {
			continue
		}
		before := wire.Time{Time: at(2020, 1, 1, 0, 0, 0, 0)}
		require.NoError(t, before.UnmarshalJSON([]byte(text)), text)
		assert.Equal(t, at(2020, 1, 1, 0, 0, 0, 0), before.Time, "%s changes nothing", text)
	}
}

func TestMaskTokens(t *testing.T) {
	const masked = `"[redacted]"`
	for body, want := range map[string]string{
		`{"access_token":"T"}`:           `{"access_token":` + masked + `}`,
		`{"saasToken":"T","a":1}`:        `{"saasToken":` + masked + `,"a":1}`,
		`{"REFRESH_TOKEN":"T"}`:          `{"REFRESH_TOKEN":` + masked + `}`,
		`{"access_token":["T"]}`:         `{"access_token":` + masked + `}`,
		`{"client_secret":1}`:            `{"client_secret":` + masked + `}`,
		`{"initialPassword":true}`:       `{"initialPassword":true}`,
		`{"initialPassword":"pw"}`:       `{"initialPassword":` + masked + `}`,
		`{"token_type":"Bearer"}`:        `{"token_type":"Bearer"}`,
		`{"tokenType":"Bearer"}`:         `{"tokenType":"Bearer"}`,
		`{"refresh_token_expires_in":5}`: `{"refresh_token_expires_in":5}`,
		`{"access_token":null}`:          `{"access_token":null}`,
		`{"access_token":""}`:            `{"access_token":""}`,
		`{"other":"eyJhbGciOi"}`:         `{"other":` + masked + `}`,
		`{"other":["eyJhbGciOi","x"]}`:   `{"other":[` + masked + `,"x"]}`,
		`{"deep":{"jwt":"T","b":"c"}}`:   `{"deep":{"jwt":` + masked + `,"b":"c"}}`,
		`{"a":"b","a":"c","token":"T"}`:  `{"a":"b","a":"c","token":` + masked + `}`,
		` {"bearer":"T"} `:               `{"bearer":` + masked + `}`,
		`{}`:                             `{}`,
		`["T"]`:                          "",
		`"T"`:                            "",
		`{"access_token":"T"`:            "",
		"":                               "",
	} {
		assert.Equal(t, want, string(wire.MaskTokens([]byte(body))), body)
	}
	for open, end := range map[string]string{`{"a":`: `}`, `[`: `]`} {
		deep := strings.Repeat(open, 14) + `"leaf"` + strings.Repeat(end, 14)
		body := `{"a":` + deep + `}`
		assert.Equal(t, body, string(wire.MaskTokens([]byte(body))))
		body = `{"a":` + open + deep + end + `}`
		assert.NotContains(t, string(wire.MaskTokens([]byte(body))), "leaf")
	}
}

func TestErrorsWithTheStatusOfASuccess(t *testing.T) {
	for body, want := range map[string]bool{
		`{"fault":{"faultstring":"x"}}`: true, `{"error":"invalid_client"}`: true, `{"error":{}}`: true, `{"error":true}`: true, `{"error":1}`: true,
		`{"status":400}`: true, `{"status":"400"}`: true, `{"code":500}`: true, `{"code":"500"}`: true, `{"a":1,"fault":"x"}`: true, `{"fault":"x`: true,
		`{"a":"b"`: false, `{"a":"b`: false, `{"fault":null}`: false, `{"error":null}`: false, `{"error":""}`: false, `{"error":" "}`: false,
		`{"error":false}`: false, `{"error":0}`: false, `{"error":[]}`: false, `{"error":0.0}`: false, `{"error":-0}`: false, `{"error":0e5}`: false,
		`{"error":[ ]}`: false, "{\"error\":[\n]}": false, `{"error":[null, ""]}`: false, `{"error":"0"}`: false, `{"error":"false"}`: false, `{"fault":0.00}`: false,
		`{"error":0.1}`: true, `{"error":-1}`: true, `{"error":["x"]}`: true, `{"error":[{}]}`: true, `{"error":"none"}`: true, `{"error":[`: true, `{"status":399}`: false, `{"status":200}`: false, `{"status":"OK"}`: false,
		`{"a":{"fault":{"faultstring":"x"}}}`: false, `[{"fault":1}]`: false, ``: false, `null`: false, `"fault"`: false, `{}`: false,
	} {
		assert.Equal(t, want, wire.IsError([]byte(body)), body)
	}
	for body, want := range map[string]bool{
		`{"fault":{"faultstring":"x"}}`: true, `{"a":1,"fault":"x"}`: true, `{"fault":"x`: true,
		`{"a":1,"fault":null}`: false, `{"a":1,"fault":[ ]}`: false, `{"a":1,"fault":0.0}`: false, `{"a":{"fault":"x"}}`: false, `{"a":"fault"}`: false, `{"error":"x"}`: false,
	} {
		assert.Equal(t, want, wire.IsFault([]byte(body)), body)
	}
}

// Large objects and names with escapes are read member by member, and mixins are
// not looked into.
func TestDecodeTellsDoubledNamesApart(t *testing.T) {
	many := ""
	for i := range 100 {
		many += `"x` + strconv.Itoa(i) + `":{"shared":"1"},`
	}
	for body, want := range map[string]answer{
		`{"whole":{"shared":"1"},"whole":{"below":"2"}}`:                {Whole: inner{Below: "2"}},
		`{` + many + `"whole":{"shared":"1"},"whole":{"below":"2"}}`:    {Whole: inner{Below: "2"}},
		`{"mixins":{"a":{},"A":{}},"text":"a"}`:                         {Text: "a"},
		`{"mixins":[{"a":1,"a":2}],"TEXT":"b","text":"a","Text":"b"}`:   {Text: "a"},
		`{"list":[{"shared":"1"},{"shared":"2"}],"list":[{},{}]}`:       {List: []inner{{}, {}}},
		`{"text":"\\\"","names":["text","text"],"shared":"text\":{\""}`: {Text: `\"`, Names: []string{"text", "text"}, Shared: `text":{"`},
	} {
		var got answer
		require.NoError(t, wire.Decode([]byte(body), &got), body)
		assert.Equal(t, want, got, body)
	}
	for _, body := range []string{"", "{", "}", "]", `{"a`, `{"a\`, `{"a":1}}`, `{,}`, `"`} {
		assert.Error(t, wire.Decode([]byte(body), new(answer)), body)
	}
}

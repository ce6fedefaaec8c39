package transport_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// An error names the ID that support asks for, if the header's value looks like one.
func TestTheIDForSupport(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []string
		want    string
	}{
		"none":                 {nil, ""},
		"a correlation":        {[]string{"X-Correlation-Id", "c-1"}, "c-1"},
		"a request":            {[]string{"X-Request-Id", "r:1"}, "r:1"},
		"a trace":              {[]string{"X-B3-Traceid", "80f198ee56343ba864fe8b2a57d3eff7"}, "80f198ee56343ba864fe8b2a57d3eff7"},
		"the first of them":    {[]string{"X-Request-Id", "r", "X-B3-Traceid", "t", "X-Correlation-Id", "c"}, "c"},
		"the first that is so": {[]string{"X-Correlation-Id", "no ID", "X-Request-Id", "r"}, "r"},
		"empty":                {[]string{"X-Correlation-Id", "", "X-Request-Id", "r"}, "r"},
		"long":                 {[]string{"X-Request-Id", strings.Repeat("x", 128)}, strings.Repeat("x", 128)},
		"longer":               {[]string{"X-Request-Id", strings.Repeat("x", 129)}, ""},
		"every character":      {[]string{"X-Request-Id", "azAZ09-_.:"}, "azAZ09-_.:"},
		"a sentence":           {[]string{"X-Request-Id", "a b"}, ""},
		"markup":               {[]string{"X-Request-Id", "<b>"}, ""},
		"a secret":             {[]string{"X-Request-Id", bearer}, ""},
	} {
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(404, "", tt.headers...), nil }))
		got, err := send(t.Context(), p, callOf(operation.CustomersGet))
		require.NoError(t, err)
		assert.Equal(t, tt.want, got.Failure(operation.CustomersGet).RequestID, name)
	}
}

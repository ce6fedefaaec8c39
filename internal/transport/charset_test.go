package transport_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// A response is read in the encoding that it declares, or refused. Of an error the
// status is kept.
func TestCharsets(t *testing.T) {
	const utf8, latin1, ascii, refused = "J\u00f6rg \u007f", "J\xf6rg \x7f", "Jo \x7f", "refused"
	for media, tt := range map[string]struct{ body, want string }{
		"":                                               {utf8, utf8},
		"application/json":                               {utf8, utf8},
		"text/plain; charset=":                           {utf8, utf8},
		"text/plain; charset=utf-8":                      {utf8, utf8},
		"text/plain; charset=' UTF8 '":                   {utf8, utf8},
		"text/plain; charset=unicode-1-1-utf-8":          {utf8, utf8},
		"text/plain; charset=UTF-16":                     {ascii, refused},
		"text/plain; charset=utf-7":                      {ascii, refused},
		"text/plain; charset=us-ascii":                   {ascii, ascii},
		"text/plain; charset=ascii":                      {ascii, ascii},
		"text/plain; charset='ascii'":                    {"Jo \u0080", refused},
		"text/plain; charset=ASCII":                      {utf8, refused},
		"text/plain; charset=windows-1252":               {ascii, ascii},
		"text/plain; charset=Windows-1251":               {latin1, refused},
		"text/plain; charset=windows-31j":                {ascii, refused},
		"text/plain; charset=cp1252":                     {ascii, ascii},
		"text/plain; charset=iso-8859-15":                {ascii, ascii},
		"text/plain; charset=\"ISO-8859-15\"":            {latin1, refused},
		"text/plain; charset=ISO-8859-1":                 {latin1, utf8},
		"text/plain; CHARSET='iso-8859-1'":               {latin1, utf8},
		"text/plain; charset=latin-1":                    {latin1, utf8},
		"text/plain; charset=latin1":                     {ascii, ascii},
		"text/plain; charset=Latin1; x":                  {latin1, utf8},
		"text/plain; x; charset = \"latin1\" ; y=1":      {latin1, utf8},
		"text/plain; x; charset='utf-16'":                {ascii, refused},
		"text/plain; note=charset":                       {utf8, utf8},
		"application/json; version=1; charset=iso8859-1": {latin1, utf8},
	} {
		t.Run(media, func(t *testing.T) {
			for i, status := range []int{200, 299, 300, 404, 200, 299, 300, 404} {
				read := func(*transport.Config) {}
				if i >= 4 {
					read = rewrapped
				}
				for body, want := range map[string]string{tt.body: tt.want, "": ""} {
					p := pipeline(t, "https://api.test", read, base(func(*http.Request) (*http.Response, error) {
						return answer(status, body, "Content-Type", media), nil
					}))
					got, err := send(t.Context(), p, callOf(operation.CustomersGet))
					if want == refused && status < 300 {
						var failed *failure.Failure
						require.ErrorAs(t, err, &failed, status)
						assert.Equal(t, failure.KindUnreadable, failed.Kind)
						continue
					}
					require.NoError(t, err, status)
					assert.Equal(t, want == refused, got.Cut, status)
					if want != refused {
						assert.Equal(t, want, string(got.Body), status)
					} else {
						assert.Empty(t, got.Body, "it would be another text")
					}
					got.Release()
				}
			}
		})
	}
}

// rewrapped has a middleware that wraps the body, so that it is read once more.
func rewrapped(cfg *transport.Config) {
	cfg.Middleware = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				resp.Body = struct{ io.ReadCloser }{resp.Body}
			}
			return resp, err
		})
	}
}

// A transport of the caller's may hand out one header many times, as a cache does.
func TestTheHeaderOfAnAnswerIsNotWrittenTo(t *testing.T) {
	for name, tt := range map[string]struct {
		op     *operation.Operation
		status int
		body   string
		header http.Header
	}{
		"another encoding": {operation.CustomersGet, 200, "\xf6", http.Header{"Content-Type": {"text/plain; charset=latin1"}}},
		"compressed":       {operation.CustomersGet, 200, zipped(10), http.Header{"Content-Encoding": {"gzip"}}},
		"a redirect":       {operation.CustomersGet, 302, "", http.Header{"Location": {"/elsewhere"}}},
		"a token":          {operation.AuthStartAnonymous, 200, "{}", http.Header{"X-Token": {"t"}}},
		"the bearer":       {operation.CustomersGet, 200, "{}", http.Header{"X-Said": {bearer}, "X-Also": {bearer}}},
	} {
		before := tt.header.Clone()
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
			resp := answer(tt.status, tt.body)
			resp.Header = tt.header
			return resp, nil
		}))
		got, err := send(t.Context(), p, callOf(tt.op))
		require.NoError(t, err, name)
		assert.Equal(t, before, tt.header, name)
		assert.NotEqual(t, before, got.Header, name)
	}
}

package bff

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	emporix "github.com/emporix-community/emporix-go"
)

// ProxyRules say what a token proxy lets through.
type ProxyRules struct {
	// Allow lists methods and paths of the API, such as
	// "GET /cart/{tenant}/carts/{id}", as http.ServeMux takes them. {tenant} is the
	// client's own tenant. Services that hand out or take tokens (/oauth,
	// /customerlogin, /customer) are not let through: the SDK speaks to them.
	Allow []string
	// Prefix is what comes before the API's path in this shop's URLs, such as
	// "/api/emporix".
	Prefix string
	// Headers are request headers to pass on, beside the usual ones about content,
	// language and conditions.
	Headers []string
	// MaxBody is how long a request's body may be; the default is 1 MiB.
	MaxBody int64
}

var passedHeaders = []string{
	"Accept", "Accept-Language", "Content-Type", "Content-Language", "If-Match", "If-None-Match", "If-Modified-Since",
	"If-Unmodified-Since", "Range", "X-Version",
}

// droppedHeaders of answers would speak for the API's host, not for this one, or
// to the servers and caches in front of it.
var droppedHeaders = append([]string{
	"Set-Cookie", "Www-Authenticate", "Proxy-Authenticate", "Strict-Transport-Security", "Clear-Site-Data", "Alt-Svc",
	"Service-Worker-Allowed", "Refresh", "Link", "Server", "Timing-Allow-Origin", "Cross-Origin-Resource-Policy",
	"X-Accel-Redirect", "X-Sendfile", "X-Lighttpd-Send-File",
}, cacheHeaders...)

// Proxy lets the browser call other Emporix services with the visitor's session,
// without ever seeing a token. Only what rules allow is passed on; of the
// browser's headers, neither Authorization nor Cookie is. Redirects, cookies and
// foreign-origin rules of the API do not reach the browser. Put it behind
// Handler, under Prefix.
func (b *BFF) Proxy(rules ProxyRules) (http.Handler, error) {
	passed := append(slices.Clone(passedHeaders), rules.Headers...)
	proxy := &httputil.ReverseProxy{
		Transport: proxyTransport{}, ModifyResponse: tameResponse, ErrorHandler: b.Error,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(b.baseURL)
			out := make(http.Header)
			for _, name := range passed {
				if values := pr.In.Header.Values(name); len(values) > 0 {
					out[http.CanonicalHeaderKey(name)] = values
				}
			}
			for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization", "Emporix-Tenant", "Host", "Connection", "Upgrade"} {
				out.Del(name)
			}
			pr.Out.Header = out
		},
	}
	mux := http.NewServeMux()
	var problems []error
	for _, pattern := range rules.Allow {
		if err := b.allow(mux, pattern, proxy); err != nil {
			problems = append(problems, err)
		}
	}
	prefix := strings.TrimRight(rules.Prefix, "/")
	if len(rules.Allow) == 0 || prefix != "" && !strings.HasPrefix(prefix, "/") {
		problems = append(problems, &emporix.ArgumentError{Field: "bff.ProxyRules", Reason: "needs something to allow, and a prefix that begins with a slash"})
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	limit := rules.MaxBody
	if limit <= 0 {
		limit = 1 << 20
	}
	return http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Anything but the proxy is the mux's own answer: not found, or a redirect.
		if found, _ := mux.Handler(r); found != http.Handler(proxy) || !plainPath(r.URL) || private(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		session, err := From(r).Session(r.Context())
		if err != nil {
			b.Error(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), proxyKey{}, proxied{session, r.Context()})))
	})), nil
}

// allow adds one pattern; http.ServeMux panics about those that it can't read.
func (b *BFF) allow(mux *http.ServeMux, pattern string, to http.Handler) (err error) {
	refused := func(reason string) error {
		return &emporix.ArgumentError{Field: fmt.Sprintf("bff.ProxyRules.Allow %q", pattern), Reason: reason}
	}
	method, path, found := strings.Cut(pattern, " ")
	path = strings.ReplaceAll(strings.TrimSpace(path), "{tenant}", b.tenant)
	switch {
	case !found || method == "" || !strings.HasPrefix(path, "/"):
		return refused("needs a method and a path, such as GET /cart/{tenant}/carts/{id}")
	case private(path):
		return refused("is a service that hands out or takes tokens; call it through the SDK")
	case path == "/" || strings.HasPrefix(path, "/{"):
		return refused("does not name a service")
	}
	defer func() {
		if recover() != nil {
			err = refused("can't be read, or contradicts another one")
		}
	}()
	mux.Handle(method+" "+path, to)
	return nil
}

// private tells paths of services that hand out or take tokens.
func private(path string) bool {
	first, _, _ := strings.Cut(strings.TrimLeft(strings.ToLower(path), "/"), "/")
	return first == "oauth" || first == "customer" || first == "customerlogin"
}

// plainPath refuses paths that somebody behind us might read differently.
func plainPath(u *url.URL) bool {
	for segment := range strings.SplitSeq(strings.TrimPrefix(u.EscapedPath(), "/"), "/") {
		text, err := url.PathUnescape(segment)
		if err != nil || strings.Trim(text, ". ") == "" || !utf8.ValidString(text) || strings.ContainsAny(text, "/\\%;?#") ||
			strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return false
		}
	}
	return true
}

type proxyKey struct{}

// proxyTransport sends a request with the session of its visitor.
type proxyTransport struct{}

func (proxyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	from, ok := r.Context().Value(proxyKey{}).(proxied)
	if !ok {
		return nil, emporix.ErrNotLoggedIn
	}
	resp, err := from.session.HTTPClient().Transport.RoundTrip(r.WithContext(untraced{r.Context(), from.values}))
	if err != nil {
		return nil, err
	}
	// Trailers come into the answer after its body: here, into one that nobody passes on.
	own := *resp
	own.Trailer = nil
	return &own, nil
}

// proxied is whose request it is, and its context as it came.
type proxied struct {
	session *emporix.Session
	values  context.Context
}

// untraced is a context without the trace by which ReverseProxy passes on early
// hints: their headers would come past tameResponse, and clear the shop's own.
type untraced struct {
	context.Context
	values context.Context
}

// Value returns what the request came with.
func (c untraced) Value(key any) any { return c.values.Value(key) }

// tameResponse keeps an answer of the API from acting as a page of this site.
func tameResponse(resp *http.Response) error {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
		return fmt.Errorf("bff: %w: the API answered with a redirect", emporix.ErrBadResponse)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("bff: %w: the API answered with another protocol", emporix.ErrBadResponse)
	}
	for _, name := range droppedHeaders {
		resp.Header.Del(name)
	}
	for name := range resp.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(resp.Header, name)
		}
	}
	resp.Header.Set("Cache-Control", "no-store")
	resp.Header.Set("X-Content-Type-Options", "nosniff")
	resp.Header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	resp.Header.Set("Cross-Origin-Resource-Policy", "same-origin")
	return nil
}

package bff

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
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
	// Headers are request headers to pass on beside those of PassedRequestHeaders.
	// Credentials, cookies, the tenant, hop-by-hop and forwarding headers, and those
	// that replace the method or the path stay here even when they are listed.
	Headers []string
	// ResponseHeaders are headers of answers to pass on beside those of
	// PassedResponseHeaders. Cookies, hop-by-hop headers and those that Proxy sets
	// itself (Cache-Control, Content-Security-Policy, Cross-Origin-Resource-Policy,
	// X-Content-Type-Options) stay here even when they are listed.
	ResponseHeaders []string
	// MaxBody is how long a request's body may be; the default is 1 MiB.
	MaxBody int64
}

// Proxy lets the browser call other Emporix services with the visitor's session,
// without ever seeing a token. Only what rules allow is passed on, and of the
// headers only those of PassedRequestHeaders and PassedResponseHeaders, and those
// that rules add. Trailers are not passed on, and a redirect of the API is a 502.
// What is passed on says Cache-Control: no-store. Put it behind Handler, under Prefix.
func (b *BFF) Proxy(rules ProxyRules) (http.Handler, error) {
	var problems []error
	request := headerSet(PassedRequestHeaders(), rules.Headers, staysHere, &problems)
	response := headerSet(PassedResponseHeaders(), rules.ResponseHeaders, staysThere, &problems)
	proxy := &httputil.ReverseProxy{
		Transport: proxyTransport{}, ErrorHandler: b.Error,
		ModifyResponse: func(resp *http.Response) error { return tameResponse(resp, response) },
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(b.baseURL)
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery // ReverseProxy has dropped what net/url can't read, such as "q=a;b"
			// Without what the browser's Connection header names: that was for this hop.
			pr.Out.Header = request.of(pr.Out.Header)
			pr.Out.Trailer = nil
			if pr.In.Header.Get("If-Range") != "" && pr.Out.Header.Get("If-Range") == "" {
				pr.Out.Header.Del("Range") // a part of a file that may have changed
			}
		},
	}
	mux := http.NewServeMux()
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
		// Anything but the proxy is the mux's own response: not found, or a redirect.
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
	method, path, _ := strings.Cut(pattern, " ")
	path = strings.ReplaceAll(strings.TrimSpace(path), "{tenant}", b.tenant)
	switch {
	case method == "" || method != strings.ToUpper(method) || !strings.HasPrefix(path, "/"):
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

// plainPath refuses paths that a server behind the proxy might read differently.
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
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong): // the visitor's request was never whole
		return nil, tooLong
	case err != nil:
		return nil, err
	}
	// Trailers come into the response after its body: here, into one that is not passed on.
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

// tameResponse keeps a response of the API from acting as a page of this site.
func tameResponse(resp *http.Response, passed headers) error {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
		return fmt.Errorf("bff: %w: the API answered with a redirect", emporix.ErrBadResponse)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("bff: %w: the API answered with another protocol", emporix.ErrBadResponse)
	}
	resp.Header = passed.of(resp.Header)
	resp.Header.Set("Cache-Control", "no-store")
	resp.Header.Set("X-Content-Type-Options", "nosniff")
	resp.Header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	resp.Header.Set("Cross-Origin-Resource-Policy", "same-origin")
	return nil
}

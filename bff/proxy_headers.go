package bff

import (
	"fmt"
	"net/http"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
)

// PassedRequestHeaders returns the headers of a browser that Proxy passes on to
// the API: content, language and conditions. Headers that belong together are all
// among them, such as Range and If-Range: one without the other changes what is
// asked for.
func PassedRequestHeaders() []string {
	return []string{
		"Accept", "Accept-Language",
		"Content-Type", "Content-Encoding", "Content-Language", "Content-Range",
		"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
		"Range", "If-Range",
		"X-Version",
	}
}

// PassedResponseHeaders returns the headers of a response that Proxy passes on to
// the browser: what the content is, how many elements there are, and when to come
// back.
func PassedResponseHeaders() []string {
	return []string{
		"Content-Type", "Content-Encoding", "Content-Language", "Content-Length", "Content-Range", "Content-Disposition",
		"Accept-Ranges", "Etag", "Last-Modified", "Vary",
		"Date", "Retry-After", "Allow", "Accept-Patch",
		"X-Total-Count", "X-Count", "X-Version",
	}
}

// headers are the names that pass, in canonical form.
type headers map[string]bool

// headerSet joins the usual names with those of a shop. Names that stay are left
// out; what is no name of a header is a problem.
func headerSet(usual, own []string, stays func(name string) bool, problems *[]error) headers {
	set := make(headers, len(usual)+len(own))
	for _, name := range usual {
		set[name] = true
	}
	for _, name := range own {
		if !isToken(name) {
			*problems = append(*problems, &emporix.ArgumentError{Field: fmt.Sprintf("bff.ProxyRules: header %q", name), Reason: "is no name of a header"})
			continue
		}
		if name = http.CanonicalHeaderKey(name); !stays(name) {
			set[name] = true
		}
	}
	return set
}

// of returns those of h that pass.
func (set headers) of(h http.Header) http.Header {
	passed := make(http.Header, len(h))
	for name, values := range h {
		if canonical := http.CanonicalHeaderKey(name); set[canonical] {
			passed[canonical] = append(passed[canonical], values...)
		}
	}
	return passed
}

// staysHere reports request headers that no list of a shop lets through: with
// them the browser would speak for the shop, for its front, or past
// ProxyRules.Allow.
func staysHere(name string) bool {
	switch name {
	case "Authorization", "Cookie", "Cookie2", "Emporix-Tenant", "Legal-Entity-Id", "Host", "Content-Length", "Expect",
		"Forwarded", "Via", "X-Real-Ip", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url":
		return true
	}
	return hopByHop(name) || strings.HasPrefix(name, "X-Forwarded-")
}

// staysThere reports headers of answers that no list of a shop lets through.
func staysThere(name string) bool {
	switch name {
	case "Set-Cookie", "Set-Cookie2", "Cache-Control", "Content-Security-Policy", "Cross-Origin-Resource-Policy", "X-Content-Type-Options":
		return true
	}
	return hopByHop(name) || overrulesCacheControl(name)
}

func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return strings.HasPrefix(name, "Proxy-")
}

// isToken reports whether s is a token of RFC 9110, as names of headers are.
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

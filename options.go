package emporix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emporix-community/emporix-go/internal/lifecycle"
)

// Option configures a Client. Options are checked by NewClient, all at once.
type Option func(*config)

// SessionContext is what anonymous sessions start with. Without it price
// matching may find nothing, and say so with an empty list instead of an error.
type SessionContext struct {
	Currency       string // such as "EUR"
	SiteCode       string // such as "main"
	Language       string // such as "en"
	TargetLocation string // country code, such as "DE"
}

// Timeouts bound what the SDK does. A zero field keeps its default. The
// deadline of the caller's context always counts as well: a call is back at most
// 100 ms after it. This also holds when a store, a transport or other code that was
// given to the client ignores its context: the SDK stops waiting for that code, and
// Client.Close names it.
type Timeouts struct {
	Attempt time.Duration // one request and its whole response; default 10 s
	// One renewal of a session, from reading the store to the server's response;
	// default 30 s. Writing the response may take 5 s more. While another process
	// renews the session, waiting for that may take as long before. Over a store
	// without leases, a renewal that the server refuses waits for the row of another
	// process, Attempt and 5 s at most, before it ends or replaces the session.
	Refresh time.Duration
	Store   time.Duration // one operation of the token store; default 2 s
}

// Retries bound how often a call is sent. A zero field keeps its default. What
// may be sent again at all is a matter of the operation, not of these limits.
type Retries struct {
	MaxAttempts   int           // requests per call, the first included; default 3
	MaxRetryAfter time.Duration // a longer Retry-After ends the call at once; default 30 s
}

// names is what a mistake is reported under: where the value came from.
type names struct{ tenant, clientID, baseURL string }

type config struct {
	tenant, clientID string
	baseURL          string
	insecureHost     string // may be reached without encryption
	insecureName     string // of the option or variable
	names            names
	base             http.RoundTripper
	middleware       []func(http.RoundTripper) http.RoundTripper
	logger           *slog.Logger
	store            TokenStore
	context          SessionContext
	language         string
	timeouts         Timeouts
	retries          Retries
	employeeID       string
	employeeSecret   Secret
	employeeToken    func(context.Context) (Secret, error)
	// The environment's pair, which options replace.
	envEmployeeID     string
	envEmployeeSecret Secret
	userAgent         string
	observer          func(Event)
	foreground        bool
	problems          []error
}

func (c *config) refuse(option, reason string) {
	c.problems = append(c.problems, &ArgumentError{Field: option, Reason: reason})
}

// WithBaseURL sets where the API is; the default is https://api.emporix.io. It
// must be https, or http on a loopback address or on the host of WithInsecureHTTP, and
// may have a path.
func WithBaseURL(baseURL string) Option {
	return func(c *config) { c.baseURL, c.names.baseURL = baseURL, "WithBaseURL" }
}

// WithInsecureHTTP allows a base URL with http for one host by its name, such as
// "emporix-fake", where a fake runs in another container. A machine on the way can
// read tokens and passwords: it is for tests only. The client logs it once, at warn.
func WithInsecureHTTP(host string) Option {
	return func(c *config) { c.insecureHost, c.insecureName = host, "WithInsecureHTTP" }
}

// WithTransport sets what requests go to the network with. It sees requests as the
// server does: this API puts refresh tokens, access tokens and opt-in tokens into
// URLs. A transport that records URLs or headers, such as otelhttp's, would record
// them; tracing and logging belong to WithMiddleware, which sees placeholders. A
// client whose transport is no *http.Transport says so in the log, once, at warn.
//
// Set the pings of an http.Transport (HTTP2.SendPingTimeout): without them HTTP/2
// does not notice a connection that died.
func WithTransport(transport http.RoundTripper) Option {
	return func(c *config) {
		if isNil(transport) {
			c.refuse("WithTransport", "is nil; leave the option out for the default transport")
			return
		}
		c.base = transport
	}
}

// WithHTTPClient takes the transport and the timeout (as the limit of one
// attempt) of an http.Client. The client is read once and never changed. Without a
// transport it uses http.DefaultTransport, as net/http does. The transport sees
// tokens in URLs: what WithTransport says of tracing holds here as well. Its Jar is
// not used: cookies of one visitor must not reach another. Its CheckRedirect is not
// called: redirects are never followed, because tokens would follow them.
func WithHTTPClient(client *http.Client) Option {
	return func(c *config) {
		if client == nil {
			c.refuse("WithHTTPClient", "is nil; leave the option out for the default client")
			return
		}
		if client.Transport != nil && isNil(client.Transport) {
			c.refuse("WithHTTPClient", "has a nil pointer for a transport")
			return
		}
		c.base = client.Transport
		if c.base == nil {
			c.base = defaultTransport{}
		}
		if client.Timeout > 0 {
			c.timeouts.Attempt = client.Timeout
		}
	}
}

// defaultTransport is what net/http uses for a client without a transport: what
// http.DefaultTransport is when a request is sent.
type defaultTransport struct{}

func (defaultTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r)
}

// networkOf returns net/http's own transport if base is that and nothing else.
func networkOf(base http.RoundTripper) (*http.Transport, bool) {
	if _, isDefault := base.(defaultTransport); isDefault {
		base = http.DefaultTransport
	}
	network, ok := base.(*http.Transport)
	return network, ok
}

// WithMiddleware wraps the SDK's transport, the last one outermost; it is the
// place for tracing and metrics. A middleware sees every attempt, with
// placeholders where tokens, passwords and codes go, and without a body. It may
// add headers, which win over the SDK's own. A request whose method or URL it
// changes is refused, and so is one that it sends twice. It sees no response body
// of calls that carry secrets. An httptrace.ClientTrace in the context of a call,
// also one that a middleware puts there, sees the real headers, Authorization
// among them (WroteHeaderField): keep their values out of traces.
func WithMiddleware(middleware func(http.RoundTripper) http.RoundTripper) Option {
	return func(c *config) {
		if middleware == nil {
			c.refuse("WithMiddleware", "is nil")
			return
		}
		c.middleware = append(c.middleware, func(next http.RoundTripper) http.RoundTripper {
			if wrapped := middleware(next); wrapped != nil {
				return wrapped
			}
			return noTransport{}
		})
	}
}

// chain returns the middleware as one; nil if there is none.
func (c *config) chain() func(http.RoundTripper) http.RoundTripper {
	if len(c.middleware) == 0 {
		return nil
	}
	return func(next http.RoundTripper) http.RoundTripper {
		for _, wrap := range c.middleware {
			next = wrap(next)
		}
		return next
	}
}

// noTransport stands for a middleware that returned none.
type noTransport struct{}

func (noTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &ArgumentError{Field: "WithMiddleware", Reason: "returned no transport"}
}

// WithLogger sets where the SDK logs to: calls at debug, logins and logouts at
// info, what endangers a session at warn, and calls that fail for a reason of the API,
// the store or the configuration at warn too, one a second with the number of those
// left out. No line holds a secret, an e-mail
// address or a URL. Without it nothing is logged. A call waits for its handler no
// longer than its context lasts; while 16 lines about calls are left in a handler that
// does not return, further ones are dropped.
func WithLogger(logger *slog.Logger) Option { return func(c *config) { c.logger = logger } }

// WithTokenStore sets where sessions are kept; the default is NewMemoryStore(0).
func WithTokenStore(store TokenStore) Option {
	return func(c *config) {
		if isNil(store) {
			c.refuse("WithTokenStore", "is nil; leave the option out for the memory store")
			return
		}
		c.store = store
	}
}

// WithSessionContext sets what anonymous sessions start with.
func WithSessionContext(sc SessionContext) Option { return func(c *config) { c.context = sc } }

// WithLanguage sets the Accept-Language header, such as "de" or "de-CH, en;q=0.5".
func WithLanguage(language string) Option { return func(c *config) { c.language = language } }

// WithTimeouts sets how long the SDK waits.
func WithTimeouts(t Timeouts) Option {
	return func(c *config) {
		if t.Attempt < 0 || t.Refresh < 0 || t.Store < 0 {
			c.refuse("WithTimeouts", "has a negative duration")
			return
		}
		override(&c.timeouts.Attempt, t.Attempt)
		override(&c.timeouts.Refresh, t.Refresh)
		override(&c.timeouts.Store, t.Store)
	}
}

// WithRetries sets how often a call is sent at most.
func WithRetries(r Retries) Option {
	return func(c *config) {
		if r.MaxAttempts < 0 || r.MaxAttempts > 10 || r.MaxRetryAfter < 0 {
			c.refuse("WithRetries", "needs 1 to 10 attempts and no negative duration")
			return
		}
		override(&c.retries.MaxAttempts, r.MaxAttempts)
		override(&c.retries.MaxRetryAfter, r.MaxRetryAfter)
	}
}

func override[T comparable](to *T, value T) {
	var zero T
	if value != zero {
		*to = value
	}
}

// WithEmployeeCredentials sets the backend client that Customers.Activate is
// authorised with. Its tokens need the scope customer.customer_manage; they are
// obtained when first needed, kept, and renewed.
func WithEmployeeCredentials(clientID, clientSecret string) Option {
	return func(c *config) {
		switch {
		case clientID == "" || clientSecret == "":
			c.refuse("WithEmployeeCredentials", "needs both the client ID and the secret")
			return
		case !credential(clientID) || !credential(clientSecret):
			c.refuse("WithEmployeeCredentials", badCredential)
			return
		}
		c.employeeID, c.employeeSecret = clientID, NewSecret(clientSecret)
	}
}

// WithEmployeeToken sets a function that returns an employee's access token
// with the scope customer.customer_manage. It is called for each call that
// needs one, in a goroutine of its own, and does its own caching. It is waited for as
// long as the call's context lasts.
func WithEmployeeToken(token func(ctx context.Context) (Secret, error)) Option {
	return func(c *config) {
		if token == nil {
			c.refuse("WithEmployeeToken", "is nil")
			return
		}
		c.employeeToken = token
	}
}

// WithForegroundRenewal keeps the SDK from renewing sessions in the background:
// for processes that must not change a session after they have answered, such as
// a BFF that keeps it in a cookie. Call Session.RenewIfDue at the start of a request;
// a token that has ended is still renewed by the call that needs it.
func WithForegroundRenewal() Option { return func(c *config) { c.foreground = true } }

// WithUserAgent appends to the User-Agent header, such as "shop/1.4".
func WithUserAgent(suffix string) Option { return func(c *config) { c.userAgent = suffix } }

// WithObserver sets a function that is told what happens to sessions. It is called
// outside every lock, in a goroutine of its own; events of one session come one after
// the other, in order, and those of up to 64 different sessions at once. It may
// call the SDK. A panic in it is contained. Events of renewals in the background
// arrive after the call that began them.
//
// The call that caused an event waits until the observer has returned, so the observer
// should be quick. The wait ends after two seconds, or when the call's context ends.
// The call does not wait behind another event of the session, and it does not wait at
// all while the observer has taken longer than two seconds for an earlier event.
//
// An observer that does not return holds up further events of that session; 64 such
// calls hold up all events. Up to 1024 events wait then. Further ones are dropped, and
// Client.Close says how many. A log handler (WithLogger) that does not return has the
// same effect.
func WithObserver(observer func(Event)) Option { return func(c *config) { c.observer = observer } }

// DefaultBaseURL is where the API is.
const DefaultBaseURL = "https://api.emporix.io"

var tenantPattern = regexp.MustCompile(`^[a-z][a-z0-9]{2,15}$`)

// check refuses everything that is wrong, at once, and repeats no value.
func (c *config) check() (*url.URL, error) {
	switch {
	case c.tenant == "":
		c.refuse(c.names.tenant, "is not set")
	case !tenantPattern.MatchString(c.tenant):
		c.refuse(c.names.tenant, "must be 3 to 16 lower-case letters and digits, the first a letter")
	}
	switch {
	case c.clientID == "":
		c.refuse(c.names.clientID, "is not set")
	case strings.TrimSpace(c.clientID) == "" || headerText(c.clientID, 256) != "":
		c.refuse(c.names.clientID, "must be the storefront client ID of the tenant: 1 to 256 printable ASCII characters, not blank")
	}
	if c.insecureName != "" && (c.insecureHost == "" || len(c.insecureHost) > 255 || strings.ContainsFunc(c.insecureHost, notInHost)) {
		c.refuse(c.insecureName, "must be the name of one host, such as emporix-fake, without scheme and port")
	}
	base, reason := parseBaseURL(c.baseURL, c.insecureHost)
	if reason != "" {
		c.refuse(c.names.baseURL, reason)
	}
	if reason := headerText(c.language, 256); reason != "" {
		c.refuse("WithLanguage", reason)
	}
	if reason := headerText(c.userAgent, 256); reason != "" {
		c.refuse("WithUserAgent", reason)
	}
	if name, reason := c.context.invalidField(); reason != "" {
		c.refuse("WithSessionContext", name+" "+reason)
	}
	c.employeeFromEnv()
	if c.employeeID != "" && c.employeeToken != nil {
		c.refuse("WithEmployeeToken", "can't be used together with WithEmployeeCredentials")
	}
	return base, errors.Join(c.problems...)
}

// employeeFromEnv takes the environment's pair if no option says otherwise.
func (c *config) employeeFromEnv() {
	id, secret := c.envEmployeeID, c.envEmployeeSecret
	if c.employeeID != "" || c.employeeToken != nil || id == "" && secret.IsZero() {
		return
	}
	switch {
	case id == "":
		c.refuse(EnvEmployeeID, "is not set, but "+EnvEmployeeSecret+" is")
	case secret.IsZero():
		c.refuse(EnvEmployeeSecret, "is not set, but "+EnvEmployeeID+" is")
	case !credential(id):
		c.refuse(EnvEmployeeID, badCredential)
	case !credential(secret.Reveal()):
		c.refuse(EnvEmployeeSecret, badCredential)
	default:
		c.employeeID, c.employeeSecret = id, secret
	}
}

func (c *config) logFromEnv(name string) {
	if name == "" {
		return
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		c.refuse(EnvLog, "must be debug, info, warn or error")
		return
	}
	c.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

const badCredential = "must be 1 to 4096 characters, not blank, without control characters" // #nosec G101 -- a text

func credential(value string) bool {
	return len(value) <= 4096 && strings.TrimSpace(value) != "" && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl)
}

// isNil reports a nil pointer inside an interface, too.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Interface:
		return r.IsNil()
	}
	return false
}

// invalidField names the first field that can't be sent, and why.
func (sc SessionContext) invalidField() (field, reason string) {
	for _, f := range [][2]string{
		{"Currency", sc.Currency}, {"SiteCode", sc.SiteCode}, {"Language", sc.Language}, {"TargetLocation", sc.TargetLocation},
	} {
		if reason := headerText(f[1], 64); reason != "" {
			return f[0], reason
		}
	}
	return "", ""
}

func headerText(value string, limit int) string {
	if len(value) > limit {
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(value), limit)
	}
	for i := 0; i < len(value); i++ {
		if value[i] < 0x20 || value[i] > 0x7e {
			return "holds a character that is not printable ASCII"
		}
	}
	return ""
}

// parseBaseURL returns the URL or why it is refused. The reasons never repeat
// the input, which may hold credentials.
func parseBaseURL(raw, insecureHost string) (*url.URL, string) {
	if len(raw) > 2048 {
		return nil, "is longer than 2048 bytes"
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "is no URL; give scheme and host, such as " + DefaultBaseURL
	}
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, "must begin with https://"
	case u.Opaque != "" || host == "":
		return nil, "has no host; give scheme and host, such as " + DefaultBaseURL
	case u.User != nil:
		return nil, "holds credentials; give them as client ID and secret instead"
	case u.RawQuery != "" || u.ForceQuery:
		return nil, "has a query; give scheme, host and perhaps a path"
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return nil, "has a fragment; give scheme, host and perhaps a path"
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port()):
		return nil, "has no usable port"
	case strings.HasSuffix(host, ".") || strings.ContainsFunc(host, func(r rune) bool { return r == ' ' || r >= utf8.RuneSelf }):
		return nil, "has a host that is no plain ASCII name; write internationalised names in their xn-- form"
	case u.Scheme == "http" && !isLoopback(host) && !strings.EqualFold(host, insecureHost):
		return nil, "is not encrypted; http is only for loopback addresses, and for the host that WithInsecureHTTP names"
	}
	for _, segment := range strings.Split(u.Path, "/") {
		if segment == "." || segment == ".." {
			return nil, "has a relative path"
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, ""
}

// notInHost reports what no name of a host and no IPv4 address has.
func notInHost(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (sc SessionContext) internal() lifecycle.SessionContext { return lifecycle.SessionContext(sc) }

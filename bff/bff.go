package bff

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// Lifetimes and limits when Options leave them out.
const (
	DefaultIdle        = 30 * 24 * time.Hour
	DefaultAbsolute    = 90 * 24 * time.Hour
	DefaultMaxSessions = 100
)

// sessionsLimit keeps the list of a customer's sessions, 70 bytes for each, within
// the 64 KiB of a row, and leaves room for those that could not be logged out.
const sessionsLimit = 900

// longestLife is what "never" comes to: far from what overflows, also as the
// seconds of a cookie in 32 bits.
const longestLife = 50 * 365 * 24 * time.Hour

// The names of the visitor's cookie.
const (
	cookieName            = "__Host-emporix"
	developmentCookieName = "emporix"
)

// Options say how visitors are kept. The zero value is right for most shops.
type Options struct {
	// Idle ends a visitor's session after this time without a visit (default 30
	// days), Absolute after this time in any case, counted from the login or, for
	// a guest, from the first visit (default 90 days). Visits are noted to within
	// an hour, or a thirtieth of Idle: a session may end by that much early.
	Idle, Absolute time.Duration
	// Strict sends the cookie with same-site requests only (SameSite=Strict): a
	// link from a mail or another site then opens the shop as a stranger's. Who
	// comes by one is a guest for that page only, and gets no cookie, so that the
	// one that they may have is not overwritten. Social logins come back only from
	// providers on the shop's own site.
	Strict bool
	// Development drops the prefix __Host- and the attribute Secure, for http on a
	// loopback address. Requests to any other host are then refused.
	Development bool
	// TrustedOrigins may send unsafe requests, such as "https://m.shop.example".
	TrustedOrigins []string
	// StrictOrigin refuses unsafe requests that say neither with Sec-Fetch-Site
	// nor with Origin where they come from. Every browser since 2020 says it;
	// scripts often don't.
	StrictOrigin bool
	// ReadOnly says which requests must not begin or change a session, such as
	// those of scripts that prefetch with fetch: they have a Sec-Fetch-Mode other
	// than navigate. Requests that say that they are prefetches never may. Tokens
	// in a store may still be renewed in the background, which needs no cookie; a
	// client made with emporix.WithForegroundRenewal leaves that to other requests.
	ReadOnly func(*http.Request) bool
	// BeforeLogin is called before every login; an error refuses the login.
	BeforeLogin func(ctx context.Context, guest *emporix.Session) error
	// AfterLogin is called after every login, before the response; merge the carts
	// here. The login stands whatever it returns: the caller gets its error as a
	// *HookError together with the result. It has a minute, also when the browser
	// goes away. At the request's own deadline the caller gets a *HookError, and the
	// hook goes on.
	AfterLogin func(ctx context.Context, customer *emporix.Session, login *Login) error
	// Providers are the identity providers of social logins, by a name of your own.
	Providers map[string]Provider
	// MaxSessions bounds how many sessions a customer can have at once (default
	// 100, up to 900); the oldest is logged out when another one begins.
	MaxSessions int
	// ErrorPage answers in place of Error's plain text. It writes the status. What
	// Handler itself refuses has no Visit: use FromContext there, not From. The page
	// is sent when ErrorPage returns; the plain text is, if that takes longer than the
	// request has.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, err error)
	// Site is what a guest session begins with, a new visitor's or that of a guest
	// who comes back when the store has forgotten theirs: currency, site,
	// language, by host or path. It then begins with the visit's first Session,
	// which costs the call that the first use would have cost. Without it, the
	// client's own WithSessionContext counts.
	Site func(*http.Request) emporix.SessionContext
	// Logger is told of what the visitor need not know. No line holds a secret.
	Logger *slog.Logger
}

// BFF gives every visitor of a web shop a session of their own. It is made once.
type BFF struct {
	client      *emporix.Client
	opts        Options
	tenant      string
	visitorRows string
	baseURL     *url.URL
	cookie      string
	origin      *http.CrossOriginProtection
	keep        visitorStore
	index       *index // nil with sessions in cookies
	touchPace   time.Duration
	logStuck    atomic.Bool
	resumptions sync.Map // of *resumption, by a digest of the session's key
}

// setDefaults fills in what is not set, and refuses what can't be.
func (o *Options) setDefaults(refuse func(field, reason string)) {
	if o.Idle < 0 || o.Absolute < 0 {
		refuse("Idle, Absolute", "must not be negative")
	}
	o.Idle = min(cmp.Or(o.Idle, DefaultIdle), longestLife)
	o.Absolute = min(cmp.Or(o.Absolute, DefaultAbsolute), longestLife)
	o.MaxSessions = cmp.Or(o.MaxSessions, DefaultMaxSessions)
	if o.MaxSessions < 1 || o.MaxSessions > sessionsLimit {
		refuse("MaxSessions", fmt.Sprintf("must be 1 to %d", sessionsLimit))
	}
	o.Providers = maps.Clone(o.Providers)
}

// New returns a BFF over a client. Visitors are kept in the client's token
// store; if that is a *CookieStore, in their cookies. All mistakes are reported
// at once.
func New(client *emporix.Client, opts Options) (*BFF, error) {
	if client == nil {
		return nil, &emporix.ArgumentError{Field: "client", Reason: "is nil"}
	}
	var problems []error
	refuse := func(field, reason string) {
		problems = append(problems, &emporix.ArgumentError{Field: "bff.Options." + field, Reason: reason})
	}
	opts.setDefaults(refuse)
	settings := client.Settings()
	base, err := url.Parse(settings.BaseURL)
	if err != nil { // the client has checked it
		return nil, err
	}
	b := &BFF{
		client: client, opts: opts, tenant: settings.Tenant, visitorRows: settings.VisitorRowPrefix, baseURL: base, cookie: cookieName,
		origin: http.NewCrossOriginProtection(), touchPace: min(opts.Idle/30, time.Hour),
	}
	if opts.Development {
		b.cookie = developmentCookieName
	}
	for _, origin := range opts.TrustedOrigins {
		if err := b.origin.AddTrustedOrigin(origin); err != nil {
			refuse("TrustedOrigins", "need scheme and host, such as https://m.shop.example")
		}
	}
	for name, provider := range opts.Providers {
		if reason := provider.check(); reason != "" {
			refuse(fmt.Sprintf("Providers[%q]", name), reason)
		}
	}
	if holder, sealed := settings.TokenStore.(interface{ cookieStore() *CookieStore }); sealed { // also one that has it embedded, to count
		store := holder.cookieStore()
		if !settings.ForegroundRenewal {
			problems = append(problems, &emporix.ArgumentError{Field: "client", Reason: "keeps sessions in cookies, so it needs emporix.WithForegroundRenewal"})
		}
		if store.inner().once && !opts.Development {
			refuse("Development", "is needed with a DevelopmentCookieStore; a shop needs a key that lasts: NewCookieStore")
		}
		b.keep = &sealedVisitors{b: b, store: store}
	} else {
		rows := newRows(settings.TokenStore, settings.RowPrefix)
		b.keep = &storeVisitors{b: b, rows: rows, renews: settings.ForegroundRenewal}
		b.index = &index{b: b, rows: rows}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return b, nil
}

// Handler is the middleware. It refuses unsafe requests from other sites, and
// gives every request a Visit. It reads and writes nothing until the visit is used.
func (b *BFF) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := b.accepts(r); err != nil {
			b.Error(w, r, err)
			return
		}
		readOnly, err := b.readOnly(r)
		if err != nil {
			b.Error(w, r, err)
			return
		}
		state := &requestState{
			b: b, readOnly: readOnly,
			withheld:  b.opts.Strict && r.Header.Get("Sec-Fetch-Site") == "cross-site",
			presented: func() []*http.Cookie { return r.CookiesNamed(b.cookie) }, busy: make(chan struct{}, 1),
		}
		if b.opts.Site != nil {
			state.site = func() emporix.SessionContext { return b.opts.Site(r) }
		}
		in := r.WithContext(context.WithValue(r.Context(), visitKey{}, &Visit{inner: func() *requestState { return state }}))
		out, done := &writer{ResponseWriter: w, state: state, request: in}, false
		if _, sealed := b.keep.(*sealedVisitors); sealed {
			out.before = w.Header().Clone()
		}
		defer func() { // also for what answers in place of a handler that panicked
			out.failed = !done
			out.begin()
		}()
		next.ServeHTTP(out, in)
		done = true
	})
}

func (b *BFF) readOnly(r *http.Request) (bool, error) {
	if prefetch(r) || b.opts.ReadOnly == nil {
		return prefetch(r), nil
	}
	return runHook(r.Context(), "Options.ReadOnly", func() (bool, error) { return b.opts.ReadOnly(r), nil })
}

func (b *BFF) accepts(r *http.Request) error {
	if b.opts.Development && !loopback(r.Host) {
		return fmt.Errorf("%w: Options.Development is for loopback addresses only", ErrCrossOrigin)
	}
	if err := b.origin.Check(r); err != nil {
		return ErrCrossOrigin
	}
	if b.opts.StrictOrigin && !safeMethod(r.Method) && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return fmt.Errorf("%w: it does not say where it comes from", ErrCrossOrigin)
	}
	return nil
}

func safeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// prefetch reports requests that a browser makes before anybody asked for them.
func prefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		for _, value := range r.Header.Values(name) {
			if strings.Contains(strings.ToLower(value), "prefetch") {
				return true
			}
		}
	}
	return false
}

func (b *BFF) log(ctx context.Context, message string, err error) {
	b.tell(ctx, slog.LevelWarn, message, slog.Any("error", err))
}

// tell writes a line to the logger. While one does not return, lines are dropped.
func (b *BFF) tell(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	if b.opts.Logger == nil || b.logStuck.Load() {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	returned := make(chan struct{})
	_, err := await(limited, func(context.Context) (struct{}, error) {
		defer close(returned)
		b.opts.Logger.LogAttrs(context.WithoutCancel(ctx), level, "bff: "+message, attrs...)
		return struct{}{}, nil
	})
	if errors.Is(err, errStuck) {
		b.logStuck.Store(true)
		go func() { // ends with the line
			<-returned
			b.logStuck.Store(false)
		}()
	}
}

type visitKey struct{}

// From returns the visit of a request that came through Handler. Without it, it
// panics: the program is put together wrongly.
func From(r *http.Request) *Visit {
	v, ok := FromContext(r.Context())
	if !ok {
		panic("bff: the request did not come through BFF.Handler")
	}
	return v
}

// FromContext returns the visit of a request's context.
func FromContext(ctx context.Context) (*Visit, bool) {
	v, ok := ctx.Value(visitKey{}).(*Visit)
	return v, ok
}

package emporix

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// Version is the SDK's own version, as sent in the User-Agent header.
const Version = "0.1.0"

// Client calls the API for one storefront of a tenant. Make it once, with NewClient; any
// number of goroutines can use it, for any number of visitors (see Session). The
// services on the Client itself act for the client's default session, which is what
// scripts and tests with one visitor need. The methods of a nil or zero Client panic.
type Client struct {
	// Auth logs customers in and out and keeps their tokens.
	Auth *AuthService
	// Customers signs customers up and keeps their profile.
	Customers *CustomersService
	// Addresses keeps the customer's addresses.
	Addresses *AddressesService
	// Credentials changes passwords and e-mail addresses.
	Credentials *CredentialsService

	core func() *core
	own  *Session
}

// core is what all sessions of a client share. It is reached through a function
// so that printers that walk through fields can't reach it.
type core struct {
	clientID       string
	pipeline       *transport.Pipeline
	sessions       *lifecycle.Manager
	base           http.RoundTripper
	otherServices  http.RoundTripper // to other Emporix services, with a bearer from the context
	baseHost       hostBinding
	ownTransport   *http.Transport // the transport, if the client made it
	logger         *slog.Logger
	scopes         grantedScopes
	plainLogger    bool
	troubleLog     paced // lines at warn about calls that failed
	observer       func(Event)
	employeeID     string
	employeeSecret Secret
	employeeToken  func(context.Context) (Secret, error)
	settings       Settings
	attemptTimeout time.Duration
	calls          bounded.Calls // of other people's code that has not returned
}

// NewClient returns a client for a tenant and its storefront client ID. It makes
// no request. What is wrong with the arguments and options is reported at once,
// as joined *ArgumentErrors.
func NewClient(tenant, clientID string, opts ...Option) (*Client, error) {
	cfg := config{
		tenant: tenant, clientID: clientID, baseURL: DefaultBaseURL, names: names{"tenant", "clientID", "WithBaseURL"},
		timeouts: Timeouts{Attempt: 10 * time.Second, Refresh: 30 * time.Second, Store: 2 * time.Second},
		retries:  Retries{MaxAttempts: 3, MaxRetryAfter: 30 * time.Second},
	}
	for _, opt := range opts {
		if opt == nil {
			cfg.refuse("option", "is nil")
			continue
		}
		opt(&cfg)
	}
	baseURL, err := cfg.check()
	if err != nil {
		return nil, err
	}
	c := &core{
		clientID: cfg.clientID, logger: cfg.logger, plainLogger: cfg.logger != nil && isPlain(cfg.logger), observer: cfg.observer, base: cfg.base,
		employeeID: cfg.employeeID, employeeSecret: cfg.employeeSecret, employeeToken: cfg.employeeToken,
		attemptTimeout: cfg.timeouts.Attempt,
		baseHost:       hostBinding{scheme: baseURL.Scheme, host: baseURL.Host},
	}
	if c.base == nil {
		c.ownTransport = transport.NewNetwork()
		c.base = c.ownTransport
	}
	_, direct := networkOf(c.base)
	if !direct && c.logger != nil {
		withRecover(func() {
			c.logger.Warn("emporix: the transport sees tokens in URLs, and is none of net/http's; if it records requests, put the recording into WithMiddleware instead",
				"transport", fmt.Sprintf("%T", c.base))
		})
	}
	if baseURL.Scheme == "http" && !isLoopback(baseURL.Hostname()) && c.logger != nil {
		c.logger.Warn("emporix: requests are not encrypted, so tokens and passwords can be read on the way; this is for tests only", "host", baseURL.Host)
	}
	chain := transport.Passage(cfg.chain(), &c.calls)
	agent := strings.TrimSpace("emporix-go/" + Version + " " + cfg.userAgent)
	c.baseHost.tenant, c.baseHost.userAgent = cfg.tenant, agent
	c.otherServices = chain(&bearerBinding{to: c.baseHost, base: transport.Bounded(c.base, c.ownTransport != nil, false, &c.calls)})
	c.pipeline = transport.New(transport.Config{
		BaseURL: baseURL, Tenant: cfg.tenant, UserAgent: agent, Language: cfg.language,
		Base: transport.Bounded(c.base, c.ownTransport != nil, true, &c.calls), Direct: direct, Middleware: chain,
		MaxAttempts: cfg.retries.MaxAttempts, MaxRetryAfter: cfg.retries.MaxRetryAfter, AttemptTimeout: cfg.timeouts.Attempt,
	})
	if cfg.store == nil {
		cfg.store = NewMemoryStore(0)
	}
	_, prompt := cfg.store.(*memoryStore)
	callLimit := cfg.timeouts.Attempt
	if _, alone := cfg.store.(interface{ OneProcess() }); alone {
		callLimit = 0
	}
	rows := scope(cfg.tenant, baseURL, cfg.clientID)
	c.sessions = lifecycle.New(lifecycle.Config{
		Scope: rows, Store: cfg.store, Issuer: issuer{c}, Notify: c.notifier(), Context: cfg.context.internal(), Foreground: cfg.foreground,
		RefreshLimit: cfg.timeouts.Refresh, CallLimit: callLimit, StoreLimit: cfg.timeouts.Store,
		PromptStore: prompt, Calls: &c.calls,
	})
	c.settings = Settings{Tenant: cfg.tenant, BaseURL: baseURL.String(), TokenStore: cfg.store, ForegroundRenewal: cfg.foreground, RowPrefix: rows + "/", VisitorRowPrefix: rows + "/" + visitorPrefix}
	get := func() *core { return c }
	own := newSession(get, "", "own")
	return &Client{
		Auth: own.Auth, Customers: own.Customers, Addresses: own.Addresses, Credentials: own.Credentials,
		core: get, own: own,
	}, nil
}

// scope names the client's rows in a store that it may share with others. Host
// and client ID are part of it, so that a client that is pointed elsewhere finds
// no tokens that are not for there.
func scope(tenant string, baseURL *url.URL, clientID string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(baseURL.Scheme+"://"+baseURL.Host) + baseURL.EscapedPath() + "\n" + clientID))
	return tenant + "." + hex.EncodeToString(sum[:4])
}

// The environment variables that NewClientFromEnv reads. All but EnvLog and
// EnvInsecureHTTP are named as in the vendor's own Java SDK.
const (
	EnvTenant         = "EMPORIX_TENANT"
	EnvHost           = "EMPORIX_API_HOST"
	EnvClientID       = "EMPORIX_API_CREDENTIALS_STOREFRONT_CLIENT_ID"
	EnvEmployeeID     = "EMPORIX_API_CREDENTIALS_BACKEND_CLIENT_ID"
	EnvEmployeeSecret = "EMPORIX_API_CREDENTIALS_BACKEND_SECRET" // #nosec G101 -- the name of a variable
	EnvLog            = "EMPORIX_LOG"
	EnvInsecureHTTP   = "EMPORIX_INSECURE_HTTP"
)

// NewClientFromEnv returns a client as the environment describes it:
// EMPORIX_TENANT and EMPORIX_API_CREDENTIALS_STOREFRONT_CLIENT_ID are needed;
// EMPORIX_API_HOST (default https://api.emporix.io),
// EMPORIX_API_CREDENTIALS_BACKEND_CLIENT_ID and
// EMPORIX_API_CREDENTIALS_BACKEND_SECRET (both or none) are optional, and so is
// EMPORIX_LOG: debug, info, warn or error writes log lines of that level and above
// to the standard error output. EMPORIX_INSECURE_HTTP is WithInsecureHTTP. Options given here come after the environment and
// win: with WithEmployeeCredentials or WithEmployeeToken the employee's pair of the
// environment is not looked at.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	env := func(c *config) {
		c.names = names{EnvTenant, EnvClientID, EnvHost}
		if host := os.Getenv(EnvHost); host != "" {
			c.baseURL = host
		}
		if host := os.Getenv(EnvInsecureHTTP); host != "" {
			c.insecureHost, c.insecureName = host, EnvInsecureHTTP
		}
		c.envEmployeeID, c.envEmployeeSecret = os.Getenv(EnvEmployeeID), NewSecret(os.Getenv(EnvEmployeeSecret))
		c.logFromEnv(os.Getenv(EnvLog))
	}
	return NewClient(os.Getenv(EnvTenant), os.Getenv(EnvClientID), append([]Option{env}, opts...)...)
}

// Settings is what a client was made with, for packages that build on it.
type Settings struct {
	Tenant            string
	BaseURL           string
	TokenStore        TokenStore
	ForegroundRenewal bool
	// RowPrefix is what the keys of all the client's rows in the token store begin
	// with. It ends with a slash.
	RowPrefix string
	// VisitorRowPrefix is what the keys of visitors' rows begin with; the visitor's
	// key follows.
	VisitorRowPrefix string
}

// Settings returns what the client was made with.
func (c *Client) Settings() Settings { return c.mustCore().settings }

// DefaultSession returns the client's default session, the one that the services on the
// Client act for.
func (c *Client) DefaultSession() *Session {
	c.mustCore()
	return c.own
}

// Session returns a visitor's session. The key names the visitor: for a BFF the
// random value of the visitor's cookie, 1 to 256 bytes of UTF-8 without control
// characters; calls on a session with any other key are refused. It makes no
// request and starts nothing: make one for each HTTP request. All sessions of
// one key share their tokens through the token store, and one renewal.
func (c *Client) Session(key string) *Session {
	c.mustCore()
	s := newSession(c.core, visitorPrefix, key)
	if reason := checkKey(key); reason != "" {
		s.invalid = &ArgumentError{Field: "session key", Reason: reason}
	}
	return s
}

// mustCore returns what NewClient made, or says what was forgotten.
func (c *Client) mustCore() *core {
	if c == nil || c.core == nil {
		panic("emporix: this Client was not made by NewClient; check the error that NewClient returned")
	}
	return c.core()
}

// Close refuses new calls (ErrClosed), waits for renewals and events under way until
// ctx ends, and cuts the rest short. It does not wait for calls that other goroutines
// have begun. It returns at most 100 ms after ctx has ended.
//
// Close leaves no goroutine and no idle connection of the client behind, with one
// exception: a call of a token store, transport, middleware, token function or log
// handler that does not return although its context has ended, or of an observer that
// takes more than two seconds, keeps its goroutine until it returns. The error names
// these calls. A second Close tells which of them are still running.
//
// Sessions stay in the token store. Close tries once more to save what the store has
// not taken yet; ErrStoreUnavailable says how many sessions are lost.
func (c *Client) Close(ctx context.Context) error {
	inner := c.mustCore()
	err := inner.sessions.Close(ctx)
	if inner.ownTransport != nil {
		inner.ownTransport.CloseIdleConnections()
	}
	return err
}

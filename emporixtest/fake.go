// Package emporixtest gives tests a fake Emporix of their own, in one line:
//
//	func TestCheckout(t *testing.T) {
//		fake := emporixtest.New(t)
//		shop := myshop.New(fake.Client(t)) // the real SDK
//		fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
//		…
//	}
//
// It runs in memory, without a socket, so that it also works inside a bubble of
// testing/synctest, where time.Sleep(31*24*time.Hour) takes no time. It ends
// with the test, and prints its journal when the test failed. Each New is a
// tenant of its own: tests can run in parallel.
//
// The fake itself is package emporixfake, which says what is documented and
// what is assumed.
package emporixtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// The types of the fake, under names that keep tests short.
type (
	Customer    = emporixfake.Customer
	Company     = emporixfake.Company
	Contact     = emporixfake.Contact
	Identity    = emporixfake.Identity
	Fault       = emporixfake.Fault
	Mail        = emporixfake.Mail
	MailFilter  = emporixfake.MailFilter
	Entry       = emporixfake.Entry
	Lifetimes   = emporixfake.Lifetimes
	Assumptions = emporixfake.Assumptions
	BearerState = emporixfake.BearerState
)

// inMemoryURL is the base URL of a fake without a socket.
const inMemoryURL = "https://fake.emporix.test"

// shownEntries is how much of the journal a failed test prints.
const shownEntries = 200

// Fake is a fake Emporix that belongs to one test.
type Fake struct {
	t         testing.TB
	server    *emporixfake.Server
	url       string
	transport http.RoundTripper
	socket    bool
}

// Option changes what New makes.
type Option func(*settings)

type settings struct {
	cfg    emporixfake.Config
	socket bool
}

// WithTenant names the tenant; the default is "acme".
func WithTenant(name string) Option { return func(s *settings) { s.cfg.Tenant = name } }

// WithLifetimes says how long tokens are valid; zero fields keep their default.
func WithLifetimes(l Lifetimes) Option { return func(s *settings) { s.cfg.Lifetimes = l } }

// WithAssumptions changes what the fake assumes, starting from its defaults.
func WithAssumptions(change func(*Assumptions)) Option {
	return func(s *settings) { change(s.cfg.Assumptions) }
}

// WithSeed is the state to start with.
func WithSeed(seed emporixfake.Seed) Option { return func(s *settings) { s.cfg.Seed = seed } }

// WithSocket serves on a loopback port instead of in memory. It can't be used
// inside a bubble of testing/synctest.
func WithSocket() Option { return func(s *settings) { s.socket = true } }

// New starts a fake that ends with the test.
func New(t testing.TB, opts ...Option) *Fake {
	t.Helper()
	assumptions := emporixfake.DefaultAssumptions()
	s := settings{cfg: emporixfake.Config{Assumptions: &assumptions}}
	for _, opt := range opts {
		opt(&s)
	}
	f := &Fake{t: t, server: emporixfake.New(s.cfg), socket: s.socket}
	t.Cleanup(f.showJournal)
	t.Cleanup(f.checkFaults)
	if s.socket {
		f.listen()
	} else {
		memory := newMemoryTransport(f.server)
		t.Cleanup(memory.close)
		f.url, f.transport = inMemoryURL, memory
	}
	return f
}

func (f *Fake) listen() {
	serving, cancel := context.WithCancel(context.Background())
	server := httptest.NewUnstartedServer(f.server)
	server.Config.DisableGeneralOptionsHandler = true // OPTIONS * is no operation of the API
	server.Config.ReadHeaderTimeout, server.Config.IdleTimeout = 10*time.Second, 2*time.Minute
	server.Config.BaseContext = func(net.Listener) context.Context { return serving }
	server.Start()
	transport := &http.Transport{}
	f.t.Cleanup(func() {
		cancel() // ends requests that a fault delays
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
	})
	f.url, f.transport = server.URL, transport
}

// checkFaults fails the test for a fault that no call has met: then the test did not
// try what it says.
func (f *Fake) checkFaults() {
	for _, fault := range f.server.Faults() {
		if fault.Fired == 0 {
			operation := cmp.Or(fault.Operation, "any operation")
			f.t.Errorf("emporixtest: no call has met the fault for %s (%s); correct it, or clear the faults with Server().ClearFaults", operation, &fault)
		}
	}
}

func (f *Fake) showJournal() {
	if !f.t.Failed() {
		return
	}
	entries := f.server.Journal()
	if older := len(entries) - shownEntries; older > 0 {
		f.t.Logf("journal of the fake, without its %d oldest entries:", older)
		entries = entries[older:]
	} else {
		f.t.Logf("journal of the fake, %d entries:", len(entries))
	}
	var lines strings.Builder
	for _, e := range entries {
		lines.WriteString(e.String() + "\n")
	}
	f.t.Log("\n" + lines.String())
}

// Server is the fake itself, for what has no shorthand here.
func (f *Fake) Server() *emporixfake.Server { return f.server }

// URL is the base URL: in memory one that Transport answers.
func (f *Fake) URL() string { return f.url }

// Transport carries requests to the fake. In memory it knows no other host.
func (f *Fake) Transport() http.RoundTripper { return f.transport }

// AddCustomer adds a customer, and answers it with its number. The test ends if
// the fake refuses it.
func (f *Fake) AddCustomer(t testing.TB, c Customer) Customer {
	t.Helper()
	added, err := f.server.AddCustomer(c)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// AddCompany adds a legal entity and assigns customers to it. The test ends if
// the fake refuses it.
func (f *Fake) AddCompany(t testing.TB, c Company) {
	t.Helper()
	if err := f.server.AddCompany(c); err != nil {
		t.Fatal(err)
	}
}

// Handle serves requests that are none of the API's, such as those to the cart
// service, with a handler of yours; see [emporixfake.Server.Handle].
func (f *Fake) Handle(pattern string, handler http.HandlerFunc) { f.server.Handle(pattern, handler) }

// Identify says whose access token bearer is; see [emporixfake.Server.Identify].
func (f *Fake) Identify(bearer string) (BearerState, bool) { return f.server.Identify(bearer) }

// Outbox lists the mails that customers got, the newest first. It panics if the
// filter names a kind of mail that there is not.
func (f *Fake) Outbox(filter MailFilter) []Mail { return f.server.Outbox(filter) }

// LatestMail is the newest mail of a kind to an address. The test ends if there
// is none.
func (f *Fake) LatestMail(t testing.TB, kind, email string) Mail {
	t.Helper()
	switch kind {
	case emporixfake.MailPasswordReset, emporixfake.MailEmailChange, emporixfake.MailOptIn:
	default:
		t.Fatalf("emporixtest: there is no kind of mail %q; there are %s, %s and %s", kind, emporixfake.MailPasswordReset, emporixfake.MailEmailChange, emporixfake.MailOptIn)
	}
	mails := f.server.Outbox(MailFilter{Kind: kind, Email: email})
	if len(mails) == 0 {
		t.Fatalf("emporixtest: the outbox has no %s mail for %s", kind, email)
	}
	return mails[0]
}

// Advance moves the fake's clock, and no other; back, if d is negative. Inside a bubble of
// testing/synctest time.Sleep moves both.
func (f *Fake) Advance(d time.Duration) { f.server.Advance(d) }

// Fail makes calls fail. The test ends if the fault makes no sense, and it fails if
// no call has met the fault when it ends.
func (f *Fake) Fail(t testing.TB, faults ...Fault) {
	t.Helper()
	for _, fault := range faults {
		if err := f.server.Fail(fault); err != nil {
			t.Fatal(err)
		}
	}
}

// Journal lists the requests without their secrets, the oldest first.
func (f *Fake) Journal() []Entry { return f.server.Journal() }

// Calls says how often an operation, such as "Auth.Login", was called. The test
// ends if there is no such operation.
func (f *Fake) Calls(t testing.TB, operation string) int {
	t.Helper()
	f.checkOperation(t, operation)
	return f.server.Calls(operation)
}

// AssertCalls fails the test unless an operation was called n times.
func (f *Fake) AssertCalls(t testing.TB, operation string, n int) bool {
	t.Helper()
	f.checkOperation(t, operation)
	if got := f.server.Calls(operation); got != n {
		t.Errorf("emporixtest: %s was called %d times, not %d", operation, got, n)
		return false
	}
	return true
}

// checkOperation keeps a misspelled name from proving that nothing was called.
func (f *Fake) checkOperation(t testing.TB, operation string) {
	t.Helper()
	if operation != "OAuth.Token" && !slices.Contains(emporixfake.Operations(), operation) {
		t.Fatalf("emporixtest: there is no operation %q; there are %s", operation, strings.Join(emporixfake.Operations(), ", "))
	}
}

// Request is what AssertRequest looks for. An empty field is not compared.
type Request struct {
	Query  map[string]string // the query has these values
	Header map[string]string // the headers have these values
	Body   map[string]any    // the JSON body has these members, and perhaps others
}

// AssertRequest fails the test unless a request of an operation, such as
// "Customers.Update", has arrived that has all of want.
func (f *Fake) AssertRequest(t testing.TB, operation string, want Request) bool {
	t.Helper()
	f.checkOperation(t, operation)
	for _, e := range f.server.JournalWithSecrets() {
		if e.Operation == operation && want.fits(e) {
			return true
		}
	}
	var seen []string
	for _, e := range f.server.Journal() {
		if e.Operation == operation {
			seen = append(seen, fmt.Sprintf("query %v, header %v, body %s", e.Query, e.Header, e.Body))
		}
	}
	if len(seen) == 0 {
		t.Errorf("emporixtest: %s was not called", operation)
		return false
	}
	t.Errorf("emporixtest: no request of %s had query %v, header %v and body %v; there were:\n%s", operation, want.Query, want.Header, want.Body, strings.Join(seen, "\n"))
	return false
}

func (r Request) fits(e Entry) bool {
	for name, value := range r.Query {
		if !slices.Contains(e.Query[name], value) {
			return false
		}
	}
	for name, value := range r.Header {
		if !slices.Contains(http.Header(e.Header).Values(name), value) {
			return false
		}
	}
	if r.Body == nil {
		return true
	}
	var sent map[string]any
	if json.Unmarshal([]byte(e.Body), &sent) != nil {
		return false
	}
	for name, value := range r.Body {
		want, err := json.Marshal(value)
		if err != nil {
			return false
		}
		got, given := sent[name]
		if have, err := json.Marshal(got); err != nil || !given || !bytes.Equal(have, want) {
			return false
		}
	}
	return true
}

package emporixfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const controlPrefix = "/__fake"

func isControl(r *http.Request) bool {
	return r.URL.Path == controlPrefix || strings.HasPrefix(r.URL.Path, controlPrefix+"/")
}

// serveControl answers the control interface: what Server's methods do, over
// HTTP and as JSON. It has no password.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	var body any
	err := s.checkVisitor(r)
	if err == nil && wantsPage(r) {
		s.servePage(w, r)
		return
	}
	if err == nil {
		err = s.bufferBody(r)
	}
	if err == nil {
		body, err = s.control(r)
	}
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
		switch {
		case errors.Is(err, errNoControl):
			status = http.StatusNotFound
		case errors.Is(err, errForeignOrigin), errors.Is(err, errForeignHost):
			status = http.StatusForbidden
		}
		body = object{"error": err.Error()}
	}
	writeAnswer(w, answer{status: status, body: body})
}

var (
	errForeignOrigin = errors.New("the control interface is not for web pages of another origin; call it without an Origin header")
	errForeignHost   = errors.New("the control interface answers under a loopback address, localhost, the address that it listens on and the names of Config.ControlHosts (-control-host), not under another Host")
)

// checkVisitor keeps web pages out, which a browser on this machine lets reach
// loopback: those that say where they are from, and those that gave their own
// name this address. Without a socket there is no browser.
func (s *Server) checkVisitor(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return errForeignOrigin
	}
	for _, origin := range r.Header.Values("Origin") {
		if from, err := url.Parse(origin); err != nil || from.Host == "" || !strings.EqualFold(from.Host, r.Host) {
			return errForeignOrigin
		}
	}
	local, overSocket := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !overSocket {
		return nil
	}
	name := (&url.URL{Host: r.Host}).Hostname()
	if strings.EqualFold(name, "localhost") || slices.ContainsFunc(s.cfg.ControlHosts, func(host string) bool { return strings.EqualFold(host, name) }) {
		return nil
	}
	asked := net.ParseIP(name)
	listening, _, _ := net.SplitHostPort(local.String())
	if asked == nil || !asked.IsLoopback() && !asked.Equal(net.ParseIP(listening)) {
		return errForeignHost
	}
	return nil
}

var errNoControl = errors.New("the control interface has no such method and path; GET " + controlPrefix + "/ lists what it has")

// endpoint is one method and path of the control interface.
type endpoint struct {
	Method  string `json:"method"`
	Path    string `json:"path"` // below controlPrefix
	Does    string `json:"does"`
	Query   string `json:"query,omitempty"`   // its parameters, such as "kind, email"
	Example string `json:"example,omitempty"` // a request body
	serve   func(*Server, *http.Request) (any, error)
}

var done = object{"status": "ok"}

// endpoints is the control interface. The index, the page and the OpenAPI document
// are made from it.
var endpoints = []endpoint{
	{"GET", "health", "tells the tenant and the client IDs", "", "", func(s *Server, _ *http.Request) (any, error) {
		return object{"status": "ok", "tenant": s.cfg.Tenant, "clientId": s.cfg.ClientID, "backendClientId": s.cfg.BackendClientID}, nil
	}},
	{"GET", "customers", "lists the customers with profiles and addresses", "", "", func(s *Server, _ *http.Request) (any, error) { return s.Customers(), nil }},
	{"POST", "customers", "adds a customer", "", `{"email":"ann@example.com","password":"P@ssw0rd123"}`, func(s *Server, r *http.Request) (any, error) {
		return control(r, s.AddCustomer)
	}},
	{"POST", "companies", "adds a company with its contacts", "", `{"id":"D1","name":"Emporix","contacts":[{"email":"jo@example.com"}]}`, func(s *Server, r *http.Request) (any, error) {
		return control(r, func(c Company) (object, error) { return done, s.AddCompany(c) })
	}},
	{"GET", "sessions", "lists the sessions, without their tokens", "", "", func(s *Server, _ *http.Request) (any, error) { return s.Sessions(), nil }},
	{"POST", "identify", "says whose access token a bearer is", "", `{"bearer":"…"}`, (*Server).controlIdentify},
	{"POST", "revoke", "ends access or refresh tokens of a customer number or a session ID, or with \"\" of all", "", `{"kind":"access","who":"13869000"}`, (*Server).controlRevoke},
	{"GET", "outbox", "lists the mails, newest first", "kind, email", "", (*Server).controlOutbox},
	{"GET", "clock", "tells the time", "", "", func(s *Server, _ *http.Request) (any, error) { return object{"now": s.Now()}, nil }},
	{"POST", "clock", "moves the clock, back with a minus", "", `{"advance":"31d2h"}`, (*Server).controlClock},
	{"GET", "faults", "lists the faults that are pending, and how often each has failed a call", "", "", func(s *Server, _ *http.Request) (any, error) { return s.Faults(), nil }},
	{"POST", "faults", "makes calls fail; a fault or a list of them", "", `{"operation":"Auth.Login","status":503}`, (*Server).controlFaults},
	{"DELETE", "faults", "forgets the faults that are pending", "", "", func(s *Server, _ *http.Request) (any, error) {
		s.ClearFaults()
		return done, nil
	}},
	{"GET", "journal", "lists the requests, oldest first; with secrets=show as they came, else with the secrets masked", "operation, secrets", "", (*Server).controlJournal},
	{"GET", "coverage", "counts calls and successes of each operation", "", "", func(s *Server, _ *http.Request) (any, error) { return s.Coverage(), nil }},
	{"GET", "assumptions", "lists documented and assumed behaviour", "", "", func(s *Server, _ *http.Request) (any, error) { return s.Assumptions(), nil }},
	{"POST", "social-identities", "makes a code of the identity provider", "", `{"code":"code-1","identity":{"email":"sam@example.com"}}`, func(s *Server, r *http.Request) (any, error) {
		return control(r, func(in struct {
			Code     string   `json:"code"`
			Identity Identity `json:"identity"`
		}) (object, error) {
			return done, s.AddSocialIdentity(in.Code, in.Identity)
		})
	}},
	{"POST", "subject-tokens", "makes a token that can be exchanged", "", `{"token":"subject-1","identity":{"email":"alex@example.com"}}`, func(s *Server, r *http.Request) (any, error) {
		return control(r, func(in Subject) (object, error) {
			return done, s.AddSubjectToken(in.Token, in.Identity, in.Config)
		})
	}},
	{"POST", "reset", "goes back to the seed", "", "", func(s *Server, _ *http.Request) (any, error) {
		s.Reset()
		return done, nil
	}},
	{"GET", "openapi.json", "describes the control interface as OpenAPI 3.1", "", "", nil}, // made from this table
}

func (s *Server) control(r *http.Request) (any, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, controlPrefix), "/")
	if name == "" && r.Method == http.MethodGet {
		return s.index(), nil
	}
	for _, e := range endpoints {
		switch {
		case e.Method != r.Method || e.Path != name:
		case e.serve == nil:
			return openAPI(), nil
		default:
			return e.serve(s, r)
		}
	}
	return nil, errNoControl
}

// control reads the body of a request and does something with it.
func control[In, Out any](r *http.Request, do func(In) (Out, error)) (any, error) {
	var in In
	if err := readControl(r, &in); err != nil {
		return nil, err
	}
	return do(in)
}

// bufferBody reads the body of a request, within the limits that all have.
func (s *Server) bufferBody(r *http.Request) error {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	raw, err := s.readAll(r)
	if err != nil || len(raw) > maxBody {
		return errors.New("the request body can't be read, or is too large")
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return nil
}

func readControl(r *http.Request, into any) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := decodeStrictly(raw, into); err != nil {
		return fmt.Errorf("the request body is not what it should be: %w", err)
	}
	return nil
}

func (s *Server) controlOutbox(r *http.Request) (any, error) {
	query, err := parameters(r, "kind", "email")
	if err != nil {
		return nil, err
	}
	filter := MailFilter{Kind: query.Get("kind"), Email: query.Get("email")}
	if err := filter.check(); err != nil {
		return nil, err
	}
	return s.Outbox(filter), nil
}

func (s *Server) controlIdentify(r *http.Request) (any, error) {
	return control(r, func(in struct {
		Bearer string `json:"bearer"`
	}) (BearerState, error) {
		state, known := s.Identify(in.Bearer)
		if !known {
			return state, errors.New("the fake has not issued this access token, or does not remember it")
		}
		return state, nil
	})
}

func (s *Server) controlJournal(r *http.Request) (any, error) {
	query, err := parameters(r, "operation", "secrets")
	if err != nil {
		return nil, err
	}
	entries := s.Journal()
	switch query.Get("secrets") {
	case "":
	case "show":
		entries = s.JournalWithSecrets()
	default:
		return nil, errors.New(`secrets can be "show", or is left out`)
	}
	operation := query.Get("operation")
	if operation == "" {
		return entries, nil
	}
	if err := s.checkOperation(operation); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(entries, func(e Entry) bool { return e.Operation != operation }), nil
}

// parameters returns the query, which may have each of the names once.
func parameters(r *http.Request, names ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query is not encoded as it must be")
	}
	for name, values := range query {
		if !slices.Contains(names, name) || len(values) > 1 {
			return nil, fmt.Errorf("%q is not a parameter here, or is given twice; there are %s", name, strings.Join(names, " and "))
		}
	}
	return query, nil
}

func (s *Server) controlClock(r *http.Request) (any, error) {
	return control(r, func(in struct {
		Advance string `json:"advance"`
	}) (object, error) {
		d, err := ParseDuration(in.Advance)
		if err != nil {
			return nil, fmt.Errorf("advance: %w", err)
		}
		if err := s.advance(d); err != nil {
			return nil, err
		}
		return object{"now": s.Now()}, nil
	})
}

// controlFaults takes one fault or a list of them.
func (s *Server) controlFaults(r *http.Request) (any, error) {
	return control(r, func(in json.RawMessage) ([]Fault, error) {
		list := []json.RawMessage{in}
		if bytes.HasPrefix(bytes.TrimSpace(in), []byte("[")) {
			if err := json.Unmarshal(in, &list); err != nil {
				return nil, errors.New("the list of faults can't be read")
			}
		}
		faults := make([]Fault, len(list))
		for i, raw := range list {
			if err := faults[i].read(raw); err != nil {
				return nil, fmt.Errorf("the fault is not what it should be: %w", err)
			}
			if err := s.checkFault(faults[i]); err != nil {
				return nil, err
			}
		}
		for _, f := range faults {
			if err := s.Fail(f); err != nil {
				return nil, err
			}
		}
		return s.Faults(), nil
	})
}

func (s *Server) controlRevoke(r *http.Request) (any, error) {
	return control(r, func(in struct {
		Who  string `json:"who"` // customer number or session ID; "" is everybody
		Kind string `json:"kind"`
	}) (object, error) {
		switch in.Kind {
		case "access":
			return object{"revoked": s.RevokeAccess(in.Who)}, nil
		case "refresh":
			return object{"revoked": s.RevokeRefresh(in.Who)}, nil
		default:
			return nil, errors.New(`kind must be "access" or "refresh"`)
		}
	})
}

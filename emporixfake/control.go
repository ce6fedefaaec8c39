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
	"strings"
	"time"
)

const controlPrefix = "/__fake"

func isControl(r *http.Request) bool {
	return r.URL.Path == controlPrefix || strings.HasPrefix(r.URL.Path, controlPrefix+"/")
}

// serveControl answers the control interface: what Server's methods do, over
// HTTP and as JSON. It has no password.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	var body any
	err := checkVisitor(r)
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
	errForeignHost   = errors.New("the control interface answers under a loopback address, localhost or the address that it listens on, not under another Host")
)

// checkVisitor keeps web pages out, which a browser on this machine lets reach
// loopback: those that say where they are from, and those that gave their own
// name this address. Without a socket there is no browser.
func checkVisitor(r *http.Request) error {
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
	if strings.EqualFold(name, "localhost") {
		return nil
	}
	asked := net.ParseIP(name)
	listening, _, _ := net.SplitHostPort(local.String())
	if asked == nil || !asked.IsLoopback() && !asked.Equal(net.ParseIP(listening)) {
		return errForeignHost
	}
	return nil
}

var errNoControl = errors.New("the control interface has no such method and path; it has " +
	"GET health, GET outbox, GET and POST clock, GET, POST and DELETE faults, GET journal, GET coverage, GET assumptions, " +
	"POST reset, POST customers, POST companies, POST social-identities, POST subject-tokens, POST revoke")

func (s *Server) control(r *http.Request) (any, error) {
	done := object{"status": "ok"}
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, controlPrefix), "/")
	switch r.Method + " " + name {
	case "GET health":
		return object{"status": "ok", "tenant": s.cfg.Tenant, "clientId": s.cfg.ClientID, "backendClientId": s.cfg.BackendClientID}, nil
	case "GET outbox":
		return s.controlOutbox(r)
	case "GET clock":
		return object{"now": s.Now()}, nil
	case "POST clock":
		return s.controlClock(r)
	case "GET faults":
		return s.Faults(), nil
	case "POST faults":
		return s.controlFaults(r)
	case "DELETE faults":
		s.ClearFaults()
		return done, nil
	case "GET journal":
		return s.Journal(), nil
	case "GET coverage":
		return s.Coverage(), nil
	case "GET assumptions":
		return s.Assumptions(), nil
	case "POST reset":
		s.Reset()
		return done, nil
	case "POST customers":
		return control(r, s.AddCustomer)
	case "POST companies":
		return control(r, func(c Company) (object, error) { return done, s.AddCompany(c) })
	case "POST social-identities":
		return control(r, func(in struct {
			Code     string   `json:"code"`
			Identity Identity `json:"identity"`
		}) (object, error) {
			return done, s.AddSocialIdentity(in.Code, in.Identity)
		})
	case "POST subject-tokens":
		return control(r, func(in Subject) (object, error) {
			return done, s.AddSubjectToken(in.Token, in.Identity, in.Config)
		})
	case "POST revoke":
		return s.controlRevoke(r)
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
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query is not encoded as it must be")
	}
	for name, values := range query {
		if name != "kind" && name != "email" || len(values) > 1 {
			return nil, fmt.Errorf("%q is not a parameter of the outbox, or is given twice; it takes kind and email", name)
		}
	}
	filter := MailFilter{Kind: query.Get("kind"), Email: query.Get("email")}
	switch filter.Kind {
	case "", MailPasswordReset, MailEmailChange, MailOptIn:
		return s.Outbox(filter), nil
	default:
		return nil, fmt.Errorf("there is no kind of mail %q; there are %s, %s and %s", filter.Kind, MailPasswordReset, MailEmailChange, MailOptIn)
	}
}

func (s *Server) controlClock(r *http.Request) (any, error) {
	return control(r, func(in struct {
		Advance string `json:"advance"`
	}) (object, error) {
		d, err := time.ParseDuration(in.Advance)
		if err != nil {
			return nil, fmt.Errorf("advance: %q is not a duration such as 2h", in.Advance)
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

package emporixfake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// maxTenants is how many tenants one process plays.
const maxTenants = 1_000

// Tenants plays several tenants at one address, each with a state and a clock of its
// own, so that tests that run in parallel can share one process. A tenant is made
// when a request first names it.
//
// The control interface of a tenant is under /__fake/tenants/{tenant}/;
// GET /__fake/tenants lists them, and DELETE /__fake/tenants/{tenant} forgets one.
type Tenants struct {
	config func(tenant string) Config

	mu      sync.Mutex
	servers map[string]*Server
}

// NewTenants returns Tenants whose tenants are configured by config. It replaces the
// Tenant of what config returns, and an empty BackendClientID by "{tenant}-backend",
// because POST /oauth/token names no tenant but by that ID.
func NewTenants(config func(tenant string) Config) *Tenants {
	return &Tenants{config: config, servers: map[string]*Server{}}
}

var errTooManyTenants = fmt.Errorf("there are %d tenants already; forget one with DELETE %s/tenants/{tenant}", maxTenants, controlPrefix)

// Server returns the tenant of that name, which it makes if there is none. It panics
// if the name is not 3 to 16 lower-case letters and digits, a letter first, or if
// there are 1,000 tenants already.
func (t *Tenants) Server(tenant string) *Server {
	s, err := t.server(tenant)
	if err != nil {
		panic("emporixfake: " + err.Error())
	}
	return s
}

func (t *Tenants) server(tenant string) (*Server, error) {
	if !isTenant(tenant) {
		return nil, fmt.Errorf("%q is no name of a tenant; it is 3 to 16 lower-case letters and digits, a letter first", cutTo(tenant, 64))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.servers[tenant]; s != nil {
		return s, nil
	}
	if len(t.servers) >= maxTenants {
		return nil, errTooManyTenants
	}
	cfg := t.config(tenant)
	cfg.Tenant = tenant
	setDefault(&cfg.BackendClientID, tenant+"-backend")
	s := New(cfg)
	t.servers[tenant] = s
	return s, nil
}

func isTenant(name string) bool {
	if len(name) < 3 || len(name) > 16 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') })
}

// ServeHTTP hands a request to the tenant that it names.
func (t *Tenants) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ofTenants := strings.CutPrefix(r.URL.Path, controlPrefix+"/tenants")
	switch {
	case ofTenants && strings.Trim(rest, "/") == "" || isControl(r) && !ofTenants:
		t.serveControl(w, r, "")
		return
	case ofTenants:
		tenant, path, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		if r.Method == http.MethodDelete && path == "" {
			t.serveControl(w, r, tenant)
			return
		}
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = controlPrefix+"/"+path, ""
		t.serve(w, r, tenant)
	default:
		tenant, err := t.named(w, r)
		if err != nil {
			writeAnswer(w, badRequest(err.Error()))
			return
		}
		t.serve(w, r, tenant)
	}
}

func (t *Tenants) serve(w http.ResponseWriter, r *http.Request, tenant string) {
	s, err := t.server(tenant)
	if err != nil {
		writeAnswer(w, notFound(err.Error()))
		return
	}
	s.ServeHTTP(w, r)
}

// named returns the tenant that a request names: in its path, its query, or by the
// client ID of an employee.
func (t *Tenants) named(w http.ResponseWriter, r *http.Request) (string, error) {
	segments := strings.Split(r.URL.Path, "/")
	switch {
	case r.URL.Path == "/oauth/token":
		limitBody(w, r)
		raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			return "", errors.New("the body can't be read")
		}
		r.Body = io.NopCloser(bytes.NewReader(raw))
		form, _ := url.ParseQuery(string(raw))
		t.mu.Lock()
		defer t.mu.Unlock()
		for tenant, s := range t.servers {
			if s.cfg.BackendClientID == form.Get("client_id") {
				return tenant, nil
			}
		}
		tenant, _ := strings.CutSuffix(form.Get("client_id"), "-backend")
		return tenant, nil
	case segments[1] == "customerlogin":
		return r.URL.Query().Get("tenant"), nil
	case len(segments) > 2:
		return segments[2], nil
	}
	return "", nil
}

// serveControl lists the tenants, or forgets one.
func (t *Tenants) serveControl(w http.ResponseWriter, r *http.Request, forget string) {
	first := &Server{cfg: t.config("")} // for its ControlHosts
	status := http.StatusOK
	var body any
	t.mu.Lock()
	switch err := first.checkVisitor(r); {
	case err != nil:
		status, body = http.StatusForbidden, object{"error": err.Error()}
	case forget != "" && t.servers[forget] == nil:
		status, body = http.StatusNotFound, object{"error": fmt.Sprintf("there is no tenant %q", cutTo(forget, 64))}
	case forget != "":
		delete(t.servers, forget)
		body = done
	case r.Method == http.MethodGet && strings.TrimRight(r.URL.Path, "/") == controlPrefix+"/tenants", r.Method == http.MethodGet && strings.TrimRight(r.URL.Path, "/") == controlPrefix:
		body = object{"tenants": slices.Sorted(maps.Keys(t.servers)), "control": controlPrefix + "/tenants/{tenant}/"}
	case r.Method == http.MethodGet && r.URL.Path == controlPrefix+"/health":
		body = done
	default:
		status, body = http.StatusNotFound, object{"error": "this fake plays several tenants; the control interface of one is under " + controlPrefix + "/tenants/{tenant}/"}
	}
	t.mu.Unlock()
	writeAnswer(w, answer{status: status, body: body})
}

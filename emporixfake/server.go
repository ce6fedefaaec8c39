package emporixfake

import (
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Server is a fake Emporix: an [http.Handler] that keeps the state of one
// tenant. It is safe for concurrent use.
type Server struct {
	cfg         Config
	operations  []*operation
	largeBodies chan struct{}  // a place for each large body that is being read
	services    *http.ServeMux // of Handle

	mu      sync.Mutex // over everything below; never held across I/O or a wait
	offset  time.Duration
	tenant  *tenant
	faults  []*pendingFault
	journal journal
	calls   map[string]*OperationCount
	secrets *secretBook
}

// New makes a fake tenant. It panics if the configuration is not valid; check a
// seed that others wrote with ReadSeed.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), operations: operationTable(), largeBodies: make(chan struct{}, largeBodies), secrets: newSecretBook(), services: http.NewServeMux()}
	s.secrets.add(s.cfg.BackendSecret)
	s.Reset()
	return s
}

// Reset puts the tenant back to its seed and the clock to its start, and
// forgets faults, journal, mails and counts. Secrets keeps what was issued.
func (s *Server) Reset() {
	fresh := newTenant(s.cfg, s.secrets)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset = 0
	s.faults = nil
	s.journal = journal{}
	s.calls = map[string]*OperationCount{}
	s.tenant = fresh
	if err := fresh.apply(s.cfg.Seed); err != nil {
		panic(err)
	}
}

// Config answers a copy of the configuration, with the defaults filled in.
func (s *Server) Config() Config { return s.cfg.clone() }

// Assumptions is the table of documented and assumed behaviour, with the
// values that this server has.
func (s *Server) Assumptions() []Assumption { return s.cfg.Assumptions.Table() }

// Advance moves the server's clock, and only the server's, by d; a negative d
// moves it back. It panics if that would move it by more than 292 years in all.
func (s *Server) Advance(d time.Duration) {
	if err := s.advance(d); err != nil {
		panic(err)
	}
}

func (s *Server) advance(d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := s.offset + d
	if (moved > s.offset) != (d > 0) && d != 0 {
		return errors.New("emporixfake: the clock can't be moved by more than 292 years in all")
	}
	s.offset = moved
	return nil
}

// Now is the server's time.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

func (s *Server) now() time.Time { return s.cfg.Now().Add(s.offset) }

// Secrets lists the secrets that the server issued or was given: tokens,
// passwords, codes, but no words of the API itself, such as refresh_token. It
// keeps the newest 200,000.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secrets.list()
}

// RevokeAccess ends the access tokens of a customer number, of a session ID, or
// with "" of everybody, and says how many. Their next use is 401.
func (s *Server) RevokeAccess(who string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenant.revokeAccess(who)
}

// RevokeRefresh is RevokeAccess for refresh tokens.
func (s *Server) RevokeRefresh(who string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenant.revokeRefresh(who)
}

// ServeHTTP answers one request. It panics with [http.ErrAbortHandler], which
// net/http turns into a cut connection, when a fault asks for that.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limitBody(w, r)
	s.stamp(w)
	if isControl(r) {
		s.serveControl(w, r)
		return
	}
	s.allowCrossOrigin(w, r)
	if headerSize(r.Header) > maxHeader {
		s.recordUnrouted(r, http.StatusRequestHeaderFieldsTooLarge)
		writeAnswer(w, problem(http.StatusRequestHeaderFieldsTooLarge, "The headers of the request are too large."))
		return
	}
	if s.isPreflight(r) {
		s.servePreflight(w, r)
		return
	}
	op, vars := s.route(r, r.Method)
	if op == nil {
		if s.serveService(w, r) {
			return
		}
		s.recordUnrouted(r, http.StatusNotFound)
		writeAnswer(w, notFound("The requested resource does not exist."))
		return
	}
	c := s.readCall(r, op, vars)
	entry, fault := s.arrive(c, r.Method)
	if fault != nil {
		s.serveFault(w, r, fault, c, entry)
		return
	}
	ans := s.perform(c, entry)
	s.finish(entry, ans.status, ans.status)
	writeAnswer(w, ans)
}

// stamp dates an answer by the fake's clock, which net/http does not know.
func (s *Server) stamp(w http.ResponseWriter) {
	w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
}

// readCall reads all that an operation needs of a request.
func (s *Server) readCall(r *http.Request, op *operation, vars map[string]string) *call {
	c := &call{op: op, vars: vars, header: r.Header, urlTooLong: len(r.RequestURI) > maxURL || len(r.URL.RawQuery) > maxURL}
	switch declared := op.body != nil || op.form; {
	case r.Body == nil || r.Body == http.NoBody:
	case declared:
		raw, err := s.readAll(r)
		c.raw, c.cutShort, c.tooLarge = raw, err != nil, len(raw) > maxBody
	default:
		c.hasBody = hasAny(r.Body)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	c.query, c.queryBroken = query, err != nil
	return c
}

// arrive counts a call, writes down who calls, and takes the fault that is due,
// if one is.
func (s *Server) arrive(c *call, method string) (*Entry, *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = s.now()
	s.tenant.noteSecrets(c)
	_ = s.tenant.authorize(c)
	entry := s.describe(c, method)
	s.count(c.op.name).Calls++
	return entry, s.takeFault(c.op.name)
}

// perform lets the tenant answer a call.
func (s *Server) perform(c *call, entry *Entry) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now, c.token = s.now(), nil
	ans := s.tenant.serve(c)
	entry.Bearer = c.bearerKind
	return ans.encoded()
}

func (s *Server) count(name string) *OperationCount {
	c := s.calls[name]
	if c == nil {
		c = &OperationCount{Operation: name}
		s.calls[name] = c
	}
	return c
}

// finish writes a call into the journal; effect is the status of what was done,
// 0 if nothing was, and sent the one that the client sees.
func (s *Server) finish(entry *Entry, effect, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if effect/100 == 2 {
		s.count(entry.Operation).Succeeded++
	}
	entry.Status = sent
	entry.Time = s.now()
	s.journal.add(*entry)
}

// recordUnrouted writes down a request that is no call of an operation.
func (s *Server) recordUnrouted(r *http.Request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.add(Entry{Time: s.now(), Method: cutTo(r.Method, 16), Path: s.redactUnknown(r.URL.Path), Status: status})
}

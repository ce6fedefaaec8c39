package emporixfake

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const maxEntries = 10_000

// maxJournalBody is how much of a body the journal keeps.
const maxJournalBody = 4 << 10

// Masked stands for a secret in the journal.
const Masked = "[masked]"

// Entry is a request in the journal. [Server.Journal] shows it with its secrets
// masked, in path, query, header and body. Of a request that is no operation of the
// API it has no query, header and body.
type Entry struct {
	Time           time.Time `json:"time"`
	Method         string    `json:"method"`
	Path           string    `json:"path"`
	Operation      string    `json:"operation,omitempty"` // empty if no route fits, and of a preflight
	Bearer         string    `json:"bearer,omitempty"`    // "none", "anonymous", "customer", "employee", "unknown", "expired …", "revoked …"
	CustomerNumber string    `json:"customerNumber,omitempty"`
	Status         int       `json:"status"` // 0 if the connection was cut before an answer
	Fault          string    `json:"fault,omitempty"`

	Query  map[string][]string `json:"query,omitempty"`
	Header map[string][]string `json:"header,omitempty"`
	// Body is the body as it came if it is JSON, a form or text, up to 4 KiB; of others
	// it says the size.
	Body string `json:"body,omitempty"`

	sent *sent // as it came
}

// sent is what a request held.
type sent struct {
	query, header map[string][]string
	body          string
}

// String is the entry on one line.
func (e Entry) String() string {
	line := fmt.Sprintf("%s %-6s %s → %d", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), e.Method, e.Path, e.Status)
	for _, part := range []struct{ label, value string }{
		{"", e.Operation}, {"bearer ", e.Bearer}, {"customer ", e.CustomerNumber}, {"fault: ", e.Fault},
	} {
		if part.value != "" {
			line += "  " + part.label + part.value
		}
	}
	return line
}

// journal is a ring of the newest entries.
type journal struct {
	entries []Entry
	next    int // where the oldest is, once the ring is full
}

func (j *journal) add(e Entry) {
	if len(j.entries) < maxEntries {
		j.entries = append(j.entries, e)
		return
	}
	j.entries[j.next] = e
	j.next = (j.next + 1) % maxEntries
}

// JournalWithSecrets is Journal with query, header and body as they came.
func (s *Server) JournalWithSecrets() []Entry {
	list := s.Journal()
	for i := range list {
		if e := &list[i]; e.sent != nil {
			e.Query, e.Header, e.Body = e.sent.query, e.sent.header, e.sent.body
		}
	}
	return list
}

// describe begins the entry of a call.
func (s *Server) describe(c *call, method string) *Entry {
	e := &Entry{Method: method, Path: s.redactPath(c.op, c.vars), Operation: c.op.name, Bearer: c.bearerKind}
	if c.token != nil && c.token.customer != nil {
		e.CustomerNumber = c.token.customer.number
	}
	e.sent = &sent{query: c.query, header: c.header, body: bodyText(c.raw)}
	e.Query, e.Header = map[string][]string{}, map[string][]string{}
	for name, values := range c.query {
		e.Query[s.mask(name)] = s.maskAll(values, slices.Contains(secretQuery, name))
	}
	for name, values := range c.header {
		e.Header[s.mask(name)] = s.maskAll(values, name == "Session-Id")
	}
	if scheme, _, given := strings.Cut(c.header.Get("Authorization"), " "); given {
		e.Header["Authorization"] = []string{s.mask(scheme) + " " + Masked}
	} else if c.header.Get("Authorization") != "" {
		e.Header["Authorization"] = []string{Masked}
	}
	e.Body = s.maskBody(c.raw)
	return e
}

// mask hides a text that is, or holds, a secret that the fake knows.
func (s *Server) mask(text string) string {
	if s.secrets.known[text] {
		return Masked
	}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;=&?/\"", r) }) {
		if s.secrets.known[part] {
			return Masked
		}
	}
	return text
}

func (s *Server) maskAll(values []string, secret bool) []string {
	masked := make([]string, len(values))
	for i, value := range values {
		if masked[i] = s.mask(value); secret {
			masked[i] = Masked
		}
	}
	return masked
}

// maskBody is bodyText with the secrets masked.
func (s *Server) maskBody(raw []byte) string {
	if len(raw) > maxJournalBody {
		return bodyText(raw)
	}
	var value any
	if json.Unmarshal(raw, &value) == nil {
		masked, err := json.Marshal(s.maskValue("", value))
		if err != nil {
			return bodyText(nil)
		}
		return string(masked)
	}
	if form, err := url.ParseQuery(string(raw)); err == nil && len(form) > 0 && strings.Contains(string(raw), "=") {
		for name, values := range form {
			form[name] = s.maskAll(values, strings.Contains(name, "secret") || strings.Contains(name, "password"))
		}
		return form.Encode()
	}
	if len(raw) == 0 {
		return ""
	}
	return fmt.Sprintf("(%d bytes that are neither JSON nor a form)", len(raw))
}

func (s *Server) maskValue(name string, value any) any {
	if slices.Contains(secretMembers, name) {
		return Masked
	}
	switch value := value.(type) {
	case string:
		return s.mask(value)
	case object:
		for member, of := range value {
			value[member] = s.maskValue(member, of)
		}
		return value
	case []any:
		for i := range value {
			value[i] = s.maskValue(name, value[i])
		}
		return value
	default:
		return value
	}
}

func bodyText(raw []byte) string {
	if len(raw) > maxJournalBody || !utf8.Valid(raw) {
		return fmt.Sprintf("(%d bytes)", len(raw))
	}
	return string(raw)
}

// Journal lists the requests with their secrets masked, the oldest first. It keeps
// the newest 10,000.
func (s *Server) Journal() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Entry, 0, len(s.journal.entries))
	list = append(list, s.journal.entries[s.journal.next:]...)
	return append(list, s.journal.entries[:s.journal.next]...)
}

// OperationCount says how often an operation was called, and how often it was
// done with success.
type OperationCount struct {
	Operation string `json:"operation"`
	Calls     int    `json:"calls"`
	Succeeded int    `json:"succeeded"`
}

// Coverage says which operations of the API were done with success since the
// start or the last Reset.
type Coverage struct {
	Covered    int              `json:"covered"`
	Total      int              `json:"total"`
	Operations []OperationCount `json:"operations"`
}

// String is how many operations succeeded, of how many, such as "7 of 26".
func (c Coverage) String() string { return fmt.Sprintf("%d of %d", c.Covered, c.Total) }

// Missing lists the operations that never succeeded.
func (c Coverage) Missing() []string {
	var names []string
	for _, op := range c.Operations {
		if op.Succeeded == 0 {
			names = append(names, op.Operation)
		}
	}
	return names
}

// MarshalJSON adds the summary that String is.
func (c Coverage) MarshalJSON() ([]byte, error) {
	type plain Coverage
	return json.Marshal(struct {
		Summary string `json:"summary"`
		plain
	}{c.String(), plain(c)})
}

// Coverage counts the calls of all operations.
func (s *Server) Coverage() Coverage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var coverage Coverage
	for _, op := range s.operations {
		if op.name == tokenOperation {
			continue
		}
		counted := *s.count(op.name)
		coverage.Operations = append(coverage.Operations, counted)
		coverage.Total++
		if counted.Succeeded > 0 {
			coverage.Covered++
		}
	}
	return coverage
}

// Calls says how often an operation was called, whatever came of it.
func (s *Server) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if counted := s.calls[operation]; counted != nil {
		return counted.Calls
	}
	return 0
}

// redactPath writes a path with the values that are no secret.
func (s *Server) redactPath(op *operation, vars map[string]string) string {
	var path strings.Builder
	for _, segment := range op.pattern {
		path.WriteByte('/')
		name, isVar := variable(segment)
		if isVar && s.showable(name, vars[name]) {
			segment = vars[name]
		}
		path.WriteString(segment)
	}
	return path.String()
}

// showable keeps out what a confused client puts where an ID belongs.
func (s *Server) showable(name, value string) bool {
	switch name {
	case "tenant":
		return value == s.cfg.Tenant
	case "addressId", "customerNumber":
		return len(value) <= 20 && !s.tenant.secrets.known[value] && strings.IndexFunc(value, notPlain) < 0
	default:
		return false
	}
}

func notPlain(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

// redactUnknown keeps the words of the API of a path that no route fits.
func (s *Server) redactUnknown(path string) string {
	known := map[string]bool{s.cfg.Tenant: true}
	for _, op := range s.operations {
		for _, segment := range op.pattern {
			if _, isVar := variable(segment); !isVar {
				known[segment] = true
			}
		}
	}
	segments := strings.Split(cutTo(path, 200), "/")
	for i, segment := range segments {
		if segment != "" && !known[segment] {
			segments[i] = "…"
		}
	}
	return strings.Join(segments, "/")
}

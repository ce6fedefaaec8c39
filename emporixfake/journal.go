package emporixfake

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const maxEntries = 10_000

// Entry is a request in the journal. It holds no secret: no query and no body,
// and of the path only what is none.
type Entry struct {
	Time           time.Time `json:"time"`
	Method         string    `json:"method"`
	Path           string    `json:"path"`
	Operation      string    `json:"operation,omitempty"` // empty if no route fits, and of a preflight
	Bearer         string    `json:"bearer,omitempty"`    // "none", "anonymous", "customer", "employee", "unknown", "expired …", "revoked …"
	CustomerNumber string    `json:"customerNumber,omitempty"`
	Status         int       `json:"status"` // 0 if the connection was cut before an answer
	Fault          string    `json:"fault,omitempty"`
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

// Journal lists the requests, the oldest first. It keeps the newest 10,000.
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

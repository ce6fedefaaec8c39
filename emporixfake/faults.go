package emporixfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Where a connection is cut.
const (
	CutBefore = "before" // nothing was done
	CutAfter  = "after"  // it was done, and its answer is lost
)

// The bodies that a fault can put in place of the real one.
const (
	BodyMalformed    = "malformed"     // JSON that breaks off
	BodyHTML         = "html"          // a proxy's error page
	BodyEmpty        = "empty"         //
	BodyTruncated    = "truncated"     // half of the answer's body, then the connection is cut; without a body, no answer
	BodyNull         = "null"          //
	BodyArray        = "array"         // []
	BodyString       = "string"        //
	BodyObject       = "object"        // {}
	BodyGatewayFault = "gateway-fault" // the gateway's 401 about the bearer, or another status with its shape
	BodyHuge         = "huge"          // 16 MiB of JSON
	BodyGzipBomb     = "gzip-bomb"     // 64 MiB of JSON, small on the wire
)

// Fault makes calls fail. Its zero value does nothing; its fields combine.
//
// Without After, Cut after or a replaced body the fault comes before the effect:
// a Status, a Redirect or a Cut then means that nothing was done. With After
// the operation is done first, and only its response fails.
type Fault struct {
	Operation string `json:"operation,omitempty"` // "" is any
	Call      int    `json:"call,omitempty"`      // which call from now; 0 is the next
	Times     int    `json:"times,omitempty"`     // how many calls in a row; 0 is one, negative is all

	After      bool          `json:"after,omitempty"`      // the effect comes first
	Delay      time.Duration `json:"-"`                    // as JSON "delay": "2s"
	Status     int           `json:"status,omitempty"`     //
	RetryAfter string        `json:"retryAfter,omitempty"` // the header: seconds or a date
	Redirect   string        `json:"redirect,omitempty"`   // the Location; 302 unless Status says otherwise
	Cut        string        `json:"cut,omitempty"`        // CutBefore or CutAfter

	Body    string            `json:"body,omitempty"`    // one of the Body constants
	RawBody *string           `json:"rawBody,omitempty"` // any other body
	Headers map[string]string `json:"headers,omitempty"` // set on the answer, last

	// Fired is how many calls the fault has failed, in lists of faults.
	Fired int `json:"fired,omitempty"`

	// ExpiresIn, Set and Drop change members of the real answer. ExpiresIn is
	// raw JSON for expires_in; "absent" removes it.
	ExpiresIn json.RawMessage            `json:"expiresIn,omitempty"`
	Set       map[string]json.RawMessage `json:"set,omitempty"`
	Drop      []string                   `json:"drop,omitempty"`
}

type plainFault Fault

type jsonFault struct {
	plainFault
	Delay      string          `json:"delay,omitempty"`
	RetryAfter json.RawMessage `json:"retryAfter,omitempty"`
}

// MarshalJSON writes Delay as "2s".
func (f Fault) MarshalJSON() ([]byte, error) {
	out := jsonFault{plainFault: plainFault(f)}
	if f.Delay != 0 {
		out.Delay = f.Delay.String()
	}
	if f.RetryAfter != "" {
		out.RetryAfter, _ = json.Marshal(f.RetryAfter)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes, and retryAfter as a number too.
// It refuses members that it does not know, and leaves f as it is for null.
func (f *Fault) UnmarshalJSON(raw []byte) error {
	if string(bytes.TrimSpace(raw)) == "null" {
		return nil
	}
	return f.read(raw)
}

func (f *Fault) read(raw []byte) error {
	var in jsonFault
	if err := decodeStrictly(raw, &in); err != nil {
		return err
	}
	*f = Fault(in.plainFault)
	switch after := in.RetryAfter; {
	case len(after) == 0 || string(after) == "null":
	case after[0] == '"':
		if err := json.Unmarshal(after, &f.RetryAfter); err != nil {
			return err
		}
	case after[0] == '-' || '0' <= after[0] && after[0] <= '9':
		f.RetryAfter = string(after)
	default:
		return errors.New("retryAfter must be a string or a number")
	}
	if in.Delay != "" {
		delay, err := ParseDuration(in.Delay)
		if err != nil {
			return fmt.Errorf("delay: %w", err)
		}
		f.Delay = delay
	}
	return nil
}

// pendingFault is a fault that still has calls to fail.
type pendingFault struct {
	Fault
	skip, left, fired int
}

// Fail makes calls fail, beside the faults that are pending. When two are due
// at a call, the one that came first has it, and the other has the next.
func (s *Server) Fail(f Fault) error {
	if string(f.ExpiresIn) == "absent" {
		f.ExpiresIn = json.RawMessage(`"absent"`)
	}
	if err := s.checkFault(f); err != nil {
		return fmt.Errorf("emporixfake: fault: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) >= maxEntries {
		return fmt.Errorf("emporixfake: fault: there are %d pending already; clear them", maxEntries)
	}
	f.Fired = 0 // a listed fault can be given back
	pending := &pendingFault{Fault: f, skip: f.Call, left: f.Times}
	setDefault(&pending.left, 1)
	s.faults = append(s.faults, pending)
	return nil
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func (s *Server) checkFault(f Fault) error {
	if f.Operation != "" {
		if err := s.checkOperation(f.Operation); err != nil {
			return err
		}
	}
	switch {
	case f.Call < 0:
		return fmt.Errorf("call is %d; 0 is the next", f.Call)
	case f.Delay < 0:
		return fmt.Errorf("delay is negative")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not from 200 to 599", f.Status)
	case f.Cut != "" && f.Cut != CutBefore && f.Cut != CutAfter:
		return fmt.Errorf("cut is %q; it can be %q or %q", f.Cut, CutBefore, CutAfter)
	case f.Cut == CutBefore && f.After:
		return fmt.Errorf("cut before the effect and after it")
	case strings.ContainsAny(f.Redirect+f.RetryAfter, "\r\n\x00"):
		return fmt.Errorf("redirect and retryAfter are headers, which are one line")
	}
	for name, value := range f.Set {
		if !json.Valid(value) {
			return fmt.Errorf("the value to set for %q is not JSON", name)
		}
	}
	for name, value := range f.Headers {
		if !headerName.MatchString(name) || strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("the header %q can't be sent so", name)
		}
	}
	if len(f.ExpiresIn) > 0 && !json.Valid(f.ExpiresIn) {
		return fmt.Errorf("expiresIn is neither JSON nor absent")
	}
	switch f.Body {
	case "", BodyMalformed, BodyHTML, BodyEmpty, BodyTruncated, BodyNull, BodyArray, BodyString, BodyObject, BodyGatewayFault, BodyHuge, BodyGzipBomb:
		return nil
	default:
		return fmt.Errorf("there is no body %q", f.Body)
	}
}

// checkOperation refuses a name that is none, and lists those that are.
func (s *Server) checkOperation(name string) error {
	names := make([]string, len(s.operations))
	for i, op := range s.operations {
		names[i] = op.name
	}
	if slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("there is no operation %q; there are %s", cutTo(name, 64), strings.Join(names, ", "))
}

// Faults lists the faults that are pending; Call and Times are what is left, and
// Fired is how many calls each has failed.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Fault{}
	for _, pending := range s.faults {
		f := pending.Fault
		f.Call, f.Times, f.Fired = pending.skip, pending.left, pending.fired
		list = append(list, f)
	}
	return list
}

// ClearFaults forgets the faults that are pending.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault counts a call for every pending fault of its operation and uses the
// first that is due.
func (s *Server) takeFault(operation string) *Fault {
	var due *Fault
	kept := s.faults[:0]
	for _, pending := range s.faults {
		switch {
		case pending.Operation != "" && pending.Operation != operation:
		case pending.skip > 0:
			pending.skip--
		case due == nil:
			due = &pending.Fault
			pending.fired++
			if pending.left > 0 {
				pending.left--
			}
			if pending.left == 0 {
				continue
			}
		}
		kept = append(kept, pending)
	}
	clear(s.faults[len(kept):])
	s.faults = kept
	return due
}

// beforeEffect says whether the fault keeps the operation from being done.
func (f *Fault) beforeEffect() bool {
	return !f.After && f.Cut != CutAfter &&
		(f.Status != 0 || f.Redirect != "" || f.Cut == CutBefore || f.Body == BodyGatewayFault)
}

func (f *Fault) String() string {
	var parts []string
	say := func(is bool, format string, args ...any) {
		if is {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	say(f.Delay > 0, "delay %s", f.Delay)
	say(f.Status != 0, "status %d", f.Status)
	say(f.Redirect != "", "redirect")
	say(f.Cut != "", "cut")
	say(f.Body != "", "body %s", f.Body)
	say(f.RawBody != nil, "another body")
	say(len(f.ExpiresIn)+len(f.Set)+len(f.Drop) > 0, "changed members")
	say(len(f.Headers) > 0, "headers")
	say(f.beforeEffect(), "before the effect")
	say(f.After || f.Cut == CutAfter, "after the effect")
	return strings.Join(parts, ", ")
}

// serveFault answers a call as a fault says.
func (s *Server) serveFault(w http.ResponseWriter, r *http.Request, f *Fault, c *call, entry *Entry) {
	entry.Fault = f.String()
	abort := func(effect int) {
		s.finish(entry, effect, 0)
		panic(http.ErrAbortHandler)
	}
	if !f.After && !wait(r, f.Delay) {
		abort(0)
	}
	var ans answer
	effect := 0
	if !f.beforeEffect() {
		ans = s.perform(c, entry)
		effect = ans.status
		if f.After && !wait(r, f.Delay) {
			abort(effect)
		}
	}
	if f.Cut != "" {
		abort(effect)
	}
	ans = f.change(ans)
	if f.Body == BodyTruncated && len(ans.raw) == 0 { // its header is the whole answer
		abort(effect)
	}
	s.finish(entry, effect, ans.status)
	s.stamp(w) // anew: it may have been delayed
	f.write(w, ans)
}

// wait sleeps; false means that the client went away first.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

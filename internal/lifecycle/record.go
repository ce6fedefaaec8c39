package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Lifetimes used when a response does not say, and limits on what it says.
const (
	defaultLife = 5 * time.Minute
	maxLife     = 365 * 24 * time.Hour
)

// Record is one visitor's session as it lies in the store.
type Record struct {
	Generation   uint64
	Kind         Kind
	Ended        bool // the customer's session ended by itself, and there was no login or logout since
	Suspect      bool // a refresh got no response: the refresh token may be spent
	Access       secret.Secret
	Refresh      secret.Secret
	SaaS         secret.Secret
	Issued       time.Time // when the current tokens were asked for
	AccessUntil  time.Time
	RefreshUntil time.Time
	SessionID    string
	LegalEntity  string
	Context      SessionContext
	Refusals     refusals // of the refresh token, that name no reason
}

// row is the encoded form. Names are short because a shop keeps a million rows.
type row struct {
	Version     int             `json:"v"`
	Generation  uint64          `json:"g"`
	Kind        Kind            `json:"k,omitempty"`
	Ended       bool            `json:"e,omitempty"`
	Suspect     bool            `json:"q,omitempty"`
	Access      string          `json:"a,omitempty"`
	Refresh     string          `json:"r,omitempty"`
	SaaS        string          `json:"s,omitempty"`
	Issued      int64           `json:"i,omitempty"` // unix milliseconds
	AccessFor   int64           `json:"x,omitempty"` // milliseconds after Issued
	RefreshFor  int64           `json:"y,omitempty"` // milliseconds after Issued
	SessionID   string          `json:"n,omitempty"`
	LegalEntity string          `json:"l,omitempty"`
	Context     *SessionContext `json:"c,omitempty"`
	Refusals    *refusalsRow    `json:"f,omitempty"`
}

type refusalsRow struct {
	Count uint8  `json:"n"`
	As    uint32 `json:"h"`
	Since int64  `json:"t"` // unix milliseconds
}

// rowVersion grows when an older SDK could misread a row. The older one then
// refuses the row and leaves it as it is, so a release that raises the version
// should read the new rows one release before it writes them.
const rowVersion = 1

func (r *Record) encode() []byte {
	out := row{
		Version: rowVersion, Generation: r.Generation, Kind: r.Kind, Ended: r.Ended, Suspect: r.Suspect,
		Access: r.Access.Reveal(), Refresh: r.Refresh.Reveal(), SaaS: r.SaaS.Reveal(),
		SessionID: r.SessionID, LegalEntity: r.LegalEntity,
	}
	if !r.Issued.IsZero() {
		out.Issued = r.Issued.UnixMilli()
		out.AccessFor = lifeOf(r.AccessUntil, r.Issued)
		if !r.RefreshUntil.IsZero() {
			out.RefreshFor = lifeOf(r.RefreshUntil, r.Issued)
		}
	}
	if r.Context != (SessionContext{}) {
		out.Context = &r.Context
	}
	if f := r.Refusals; f.count > 0 {
		out.Refusals = &refusalsRow{f.count, f.as, f.since.UnixMilli()}
	}
	data, err := json.Marshal(out)
	if err != nil { // strings, numbers and booleans always encode
		panic("emporix: a session record does not encode")
	}
	return data
}

// lifeOf returns a token's life in milliseconds, within the limits of a row. A kept
// token may have ended during its renewal, or come from a process whose clock is ahead.
func lifeOf(until, issued time.Time) int64 {
	return min(max(until.Sub(issued), 0), maxLife).Milliseconds()
}

// decode reads a row. Its errors never hold what the row holds. A row of a newer
// version is not damaged: a roll-out is under way, and other processes read it.
func decode(data []byte) (*Record, error) {
	r, err := decodeRow(data)
	if err != nil {
		return nil, unreadableRowError{err}
	}
	return r, nil
}

// unreadableRowError is the error of a row that this process has not written.
type unreadableRowError struct{ error }

func (u unreadableRowError) Unwrap() error { return u.error }

func decodeRow(data []byte) (*Record, error) {
	var in row
	err := json.Unmarshal(data, &in)
	if err != nil || in.Version != rowVersion {
		if version, newer := newerVersion(data); newer {
			return nil, fmt.Errorf("%w: the session was written by a newer version of the SDK (row version %d; this process reads %d); nothing is lost: try again, and update this process",
				sentinel.StoreUnavailable, version, rowVersion)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes that are no session record; Logout discards the row", sentinel.StoreCorrupt, len(data))
	}
	if in.Version != rowVersion {
		return nil, fmt.Errorf("%w: its version is %d, this SDK reads %d; Logout discards the row", sentinel.StoreCorrupt, in.Version, rowVersion)
	}
	limit := maxLife.Milliseconds()
	if in.Generation == 0 || in.Kind > Employee || in.AccessFor < 0 || in.AccessFor > limit || in.RefreshFor < 0 || in.RefreshFor > limit ||
		(in.Kind != None && (in.Access == "" || in.Issued == 0)) {
		return nil, fmt.Errorf("%w: its fields contradict each other; Logout discards the row", sentinel.StoreCorrupt)
	}
	r := &Record{
		Generation: in.Generation, Kind: in.Kind, Ended: in.Ended, Suspect: in.Suspect,
		Access: secret.New(in.Access), Refresh: secret.New(in.Refresh), SaaS: secret.New(in.SaaS),
		SessionID: in.SessionID, LegalEntity: in.LegalEntity,
	}
	if in.Issued != 0 {
		r.Issued = time.UnixMilli(in.Issued)
		r.AccessUntil = r.Issued.Add(time.Duration(in.AccessFor) * time.Millisecond)
		if in.RefreshFor != 0 {
			r.RefreshUntil = r.Issued.Add(time.Duration(in.RefreshFor) * time.Millisecond)
		}
	}
	if in.Context != nil {
		r.Context = *in.Context
	}
	if f := in.Refusals; f != nil {
		r.Refusals = refusals{f.Count, f.As, time.UnixMilli(f.Since)}
	}
	return r, nil
}

// newerVersion reports whether a row that can't be decoded is of a newer version,
// whatever else is in it.
func newerVersion(data []byte) (version uint64, newer bool) {
	var members map[string]json.RawMessage // struct fields would match names of another case too
	if json.Unmarshal(data, &members) != nil {
		return 0, false
	}
	version, err := strconv.ParseUint(string(members["v"]), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return version, version > rowVersion
}

// nextGeneration follows every generation seen so far, and the clock: a row
// that was forgotten and begun anew can't reuse a number of its former life.
func nextGeneration(previous uint64) uint64 {
	return max(previous+1, uint64(max(time.Now().UnixMicro(), 1)))
}

// begin makes a new session of a grant; nothing of an older one is in it.
func begin(kind Kind, g Grant, previous uint64) *Record {
	r := &Record{Generation: nextGeneration(previous), Kind: kind, SessionID: g.SessionID, SaaS: g.SaaS}
	r.take(g)
	return r
}

// renew makes the next generation of a session. What the response leaves out stays.
func (r *Record) renew(g Grant) *Record {
	next := r.next()
	next.Suspect, next.Refusals = false, refusals{}
	if g.SessionID != "" {
		next.SessionID = g.SessionID
	}
	if !g.SaaS.IsZero() {
		next.SaaS = g.SaaS
	}
	next.take(g)
	return next
}

func (r *Record) take(g Grant) {
	life := defaultLife
	if g.ExpiresIn.Known {
		life = min(g.ExpiresIn.Duration, maxLife)
	}
	r.Access = g.Access
	r.Issued = g.SentAt.Truncate(time.Millisecond) // as it is stored: what is read again is the same
	r.AccessUntil = r.Issued.Add(life)
	switch {
	case g.RefreshExpiresIn.Known && (!g.Refresh.IsZero() || !r.Refresh.IsZero()):
		r.RefreshUntil = r.Issued.Add(min(g.RefreshExpiresIn.Duration, maxLife))
	case !g.Refresh.IsZero(): // a refresh token of unknown life is trusted as long as its access token
		r.RefreshUntil = r.AccessUntil
	}
	if !g.Refresh.IsZero() {
		r.Refresh = g.Refresh
	}
}

// withoutRefresh returns the next generation with the refresh token gone: it was
// refused, and must not be sent again.
func (r *Record) withoutRefresh() *Record {
	next := r.next()
	next.Refresh, next.RefreshUntil, next.Suspect, next.Refusals = secret.Secret{}, time.Time{}, false, refusals{}
	return next
}

// suspected returns the next generation with its refresh token in doubt.
func (r *Record) suspected() *Record {
	next := r.next()
	next.Suspect = true
	return next
}

// next returns a copy of a later generation.
func (r *Record) next() *Record {
	next := *r
	next.Generation = nextGeneration(r.Generation)
	return &next
}

// renews reports whether this record holds new tokens for the session of r.
func (r *Record) renews(old *Record) bool {
	return !old.Access.IsZero() && r.Kind == old.Kind && !r.Access.Equal(old.Access)
}

// doubts reports whether this record follows old without new tokens: all it
// says is that the refresh token of old gave none.
func (r *Record) doubts(old *Record) bool {
	return r.Kind == old.Kind && r.Access.Equal(old.Access) || r.Kind == None && r.Ended
}

// supersedes reports whether r replaces row although row was written first: two
// replicas sent one refresh token, and the one that was refused wrote that first.
func (r *Record) supersedes(row, old *Record) bool {
	return row != nil && r.renews(old) && row.doubts(old)
}

// tombstone returns the tombstone that follows this record.
func (r *Record) tombstone(ended bool) *Record {
	return &Record{Generation: nextGeneration(r.Generation), Kind: None, Ended: ended}
}

// Row lifetimes beyond the last token: long enough that a late visitor is told
// what happened, and that a late writer meets the tombstone.
const (
	anonymousMargin = 24 * time.Hour
	customerMargin  = 30 * 24 * time.Hour
	tombstoneLife   = time.Hour
)

func (r *Record) ttl(now time.Time) time.Duration {
	last := r.AccessUntil
	if r.RefreshUntil.After(last) {
		last = r.RefreshUntil
	}
	switch {
	case r.Kind == None && r.Ended:
		return customerMargin
	case r.Kind == None:
		return tombstoneLife
	case r.Kind == Anonymous && !r.Ended:
		return max(last.Sub(now), 0) + anonymousMargin
	default:
		return max(last.Sub(now), 0) + customerMargin
	}
}

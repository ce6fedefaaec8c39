package bff

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// record is what is known about a visitor beside the session itself.
type record struct {
	Version    int       `json:"v"`
	Generation uint64    `json:"g"`
	Write      string    `json:"w,omitempty"` // names the write, so that its writer knows it again
	Key        string    `json:"k"`           // of the session; changes with every login
	Began      int64     `json:"b"`           // unix seconds; the absolute lifetime counts from here
	Seen       int64     `json:"s"`           // unix seconds
	Customer   string    `json:"c,omitempty"` // customer number
	LoggedIn   int64     `json:"l,omitempty"` // unix milliseconds
	Listed     uint64    `json:"e,omitempty"` // generation of the customer's list in which the login was listed
	State      state     `json:"p,omitempty"`
	Superseded bool      `json:"x,omitempty"` // the visitor has another ID now
	Next       string    `json:"n,omitempty"` // where that one's record is; not the ID itself
	Changing   int64     `json:"h,omitempty"` // unix milliseconds; until then a request may be giving the visitor a new ID
	Moving     string    `json:"m,omitempty"` // where that request takes the session; Next is where its record is
	From       string    `json:"f,omitempty"` // that request logs in: over which session
	Social     []pending `json:"o,omitempty"`
}

// state is how far the change has come that gives a visitor this record; see
// visit.change.
type state string

const (
	stateSettled   state = ""
	statePromised  state = "p" // the change is under way, or its process has ended
	stateAbandoned state = "a" // the change was taken back and can't be settled any more
)

const recordVersion = 1

// superseded IDs are remembered this long: requests that were under way when the
// visitor got a new ID must not give the browser yet another one.
const supersededFor = time.Minute

func newRecord() record {
	now := time.Now()
	return record{Version: recordVersion, Key: randomValue(), Began: now.Unix(), Seen: now.Unix()}
}

// end makes an ID worth nothing. A request with it gets a session that never
// was a customer's, also where the old one could not be removed.
func (r *record) end(id, next string) {
	*r = record{
		Version: r.Version, Generation: r.Generation, Began: r.Began, Seen: r.Seen, State: r.State,
		Superseded: true, Key: digest("superseded", id), Next: next,
	}
}

// release ends the reservation for a change, with the session at key.
func (r *record) release(key string) {
	r.Key, r.Changing, r.Moving, r.Next, r.From = key, 0, "", "", ""
}

func (r *record) encode() []byte {
	data, err := json.Marshal(r)
	if err != nil { // strings and numbers always encode
		panic("bff: a visitor's record does not encode")
	}
	return data
}

// decodeRecord reads a record; its errors hold nothing of it.
func decodeRecord(data []byte) (record, error) {
	if err := tooNew(data, "the visitor's record"); err != nil {
		return record{}, err
	}
	var r record
	if json.Unmarshal(data, &r) != nil || r.Version != recordVersion || !wellFormed(r.Key) || r.Generation == 0 {
		return r, errDamaged
	}
	return r, nil
}

// tooNew refuses what a newer program has written, whatever else is in it: it is
// neither damaged nor to be overwritten.
func tooNew(data []byte, what string) error {
	var row struct {
		Version int `json:"v"`
	}
	if json.Unmarshal(data, &row) == nil && row.Version > recordVersion {
		return fmt.Errorf("bff: %w: %s has version %d, and this program reads %d; finish the roll-out", emporix.ErrStoreUnavailable, what, row.Version, recordVersion)
	}
	return nil
}

type damaged struct{}

func (damaged) Error() string { return "bff: the visitor's record is damaged" }

var errDamaged error = damaged{}

// over reports that the visitor's time is up.
func (r *record) over(o *Options, now time.Time) bool {
	return now.Sub(time.Unix(r.Seen, 0)) >= o.Idle || now.Sub(time.Unix(r.Began, 0)) >= o.Absolute
}

func (r *record) ttl(o *Options, now time.Time) time.Duration {
	if r.Superseded {
		return supersededFor
	}
	return max(min(o.Idle, time.Unix(r.Began, 0).Add(o.Absolute).Sub(now)), time.Second)
}

// randomValue is 256 random bits.
func randomValue() string {
	bits := make([]byte, 32)
	_, _ = rand.Read(bits) // never fails
	return base64.RawURLEncoding.EncodeToString(bits)
}

const valueLength = 43

// wellFormed tells a value that could be ours from what can't be.
func wellFormed(value string) bool {
	if len(value) != valueLength {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(value)
	return err == nil
}

// digest names a row without telling what it belongs to.
func digest(purpose, value string) string {
	sum := sha256.Sum256([]byte("emporix bff\x00" + purpose + "\x00" + value))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// visitorRecord is a record where it was found. It is never changed, only replaced.
type visitorRecord struct {
	record
	id    string // of the row; "" in a cookie
	value string // of a new cookie, in store mode
	// fresh: the browser must be given the cookie.
	fresh bool
	// session is the session in the cookie that came, and row its generation, in
	// sealed mode.
	session []byte
	row     uint64
}

// visitorStore keeps visitors: in the token store, or in their cookies.
type visitorStore interface {
	// open returns the visitor that a cookie's value names; nil if it is none of ours.
	open(ctx context.Context, value string) (*visitorRecord, error)
	// issue gives a record a new ID.
	issue(ctx context.Context, r record) (*visitorRecord, error)
	// passing gives a record an ID for one request, and keeps nothing.
	transient(r record) *visitorRecord
	// update changes the record of a visitor who still has this ID and this key.
	update(ctx context.Context, v *visitorRecord, change func(*record)) (*visitorRecord, error)
	// claim reserves the visitor for one change, which gives them next; from is what
	// record.From says. Nil if another request was faster. After an error the
	// visitor may be reserved.
	claim(ctx context.Context, v, next *visitorRecord, from string) (*visitorRecord, error)
	// underWay reports whether the change that reserved the visitor may still be
	// going on.
	underWay(ctx context.Context, v *visitorRecord) (bool, error)
	// finished tells that the change to next, which could not be taken back, is not
	// under way any more.
	finished(ctx context.Context, next *visitorRecord)
	// supersede ends an ID whose visitor has another one now.
	supersede(ctx context.Context, v, next *visitorRecord, tries int) error
	// retire ends an ID without another one; false if the record has changed.
	retire(ctx context.Context, v *visitorRecord) (bool, error)
	// successor returns who has the ID that follows v's, nil if there is none.
	successor(ctx context.Context, v *visitorRecord) (*visitorRecord, error)
	// discard forgets an ID that no browser has.
	discard(ctx context.Context, v *visitorRecord) error
	// prepare is called before the visitor's session is used, once per request.
	prepare(ctx context.Context, v *visitorRecord, s *emporix.Session) (*visitorRecord, error)
	// cookie returns the value that the browser must be given now, if any.
	cookie(v *visitorRecord) (value string, changed bool, err error)
}

// newerCookie refuses the cookie of a newer program, which begins with its
// version. IDs of this version have none.
func newerCookie(value string) error {
	version, _, found := strings.Cut(value, ".")
	number, isVersion := strings.CutPrefix(version, "v")
	if n, err := strconv.ParseUint(number, 10, 16); found && isVersion && err == nil && n > 1 {
		return errNewerCookie
	}
	return nil
}

var errNewerCookie = fmt.Errorf("bff: %w: the visitor's cookie is of a newer version than this program; finish the roll-out", emporix.ErrStoreUnavailable)

package bff

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/keyring"
	"github.com/emporix-community/emporix-go/internal/secret"
)

// maxCookie is what browsers take, name and attributes included.
const maxCookie = 4096

// clockSkew is how far apart the clocks of two replicas may be: of the one that
// sealed a cookie, say. The seal says that the cookie is ours; what is further ahead
// is a mistake.
const clockSkew = 24 * time.Hour

// CookieStore keeps sessions in the visitors' own cookies, sealed. It is a token
// store for a client made with emporix.WithForegroundRenewal:
//
//	store, err := bff.NewCookieStore(key)
//	client, err := emporix.NewClient(tenant, clientID,
//		emporix.WithTokenStore(store), emporix.WithForegroundRenewal())
//
// It needs no server, and has limits that no code can lift:
//
//   - A session must fit into a cookie of 4096 bytes: ErrCookieTooLarge.
//   - Tokens are renewed while the visitor's request waits, because they must be
//     in the cookie before the response begins. A handler asks for the session, and
//     makes its calls, before it writes.
//   - An old cookie is as good as the present one until it ends: a logout removes
//     the cookie from the browser, and ends the tokens at the API, but a copy made
//     before can't be told from the original by another process, or after a
//     restart. A process remembers the last 100,000 that it ended.
//   - Two tabs that renew at the same time are one renewal in one process. In two
//     processes both send the same refresh token; where the server takes one only
//     once, one of them loses. Keep a visitor on one replica.
//   - A prefetch writes no cookie, but a token that the API rejects is renewed all
//     the same: another process then has the old one.
//   - The sessions of a customer can't be found: ErrNeedsStore.
type CookieStore struct {
	inner func() *cookieRows // printers can't look into it
}

// Sessions in use stay in memory this long after their last use, and this many.
const (
	memoryLife = time.Hour
	memoryRows = 100_000
)

type cookieRows struct {
	keys    *keyring.Ring
	once    bool // the key ends with the process
	limit   int
	mu      sync.Mutex
	rows    map[string]cookieRow
	changes map[string]cookieRow // notes about changes that are under way
	ended   map[string]cookieRow // notes about IDs that are worth nothing
	order   []string             // of the notes in ended, the oldest first
}

type cookieRow struct {
	data       []byte
	generation uint64
	until      time.Time
}

// NewCookieStore returns a store that seals with the first key and opens with
// all of them: to change keys, add a new one at the end, put it in front once every
// replica has it, and take the old one out once its cookies have ended. A replica
// without the key begins anew with everyone whose cookie it sealed. Keys are 32
// random bytes or more; weak, missing or repeated keys are errors.
func NewCookieStore(keys ...[]byte) (*CookieStore, error) {
	r, err := newRing(keys)
	if err != nil {
		return nil, err
	}
	return newCookieStore(r, false), nil
}

// DevelopmentCookieStore returns a store with a random key, and says so to logger
// (nil: slog.Default): all sessions end with the process, and no other process can
// read them. New takes it with Options.Development only.
func DevelopmentCookieStore(logger *slog.Logger) *CookieStore {
	key := make([]byte, secret.KeySize)
	_, _ = rand.Read(key) // never fails
	r, err := newRing([][]byte{key})
	if err != nil {
		panic(err) // a random key is a good one
	}
	if logger == nil {
		logger = slog.Default()
	}
	logger.Warn("bff: sessions are sealed with a random key of this process and end with it; give NewCookieStore a key that lasts")
	return newCookieStore(r, true)
}

func newCookieStore(r *keyring.Ring, once bool) *CookieStore {
	inner := &cookieRows{keys: r, once: once, limit: memoryRows, rows: map[string]cookieRow{}, changes: map[string]cookieRow{}, ended: map[string]cookieRow{}}
	return &CookieStore{inner: func() *cookieRows { return inner }}
}

func (s *CookieStore) cookieStore() *CookieStore { return s }

// Load returns a session that is in use.
func (s *CookieStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	row, found := s.inner().get(key)
	return append([]byte(nil), row.data...), found, nil
}

// Save keeps a session until it is sealed.
func (s *CookieStore) Save(ctx context.Context, key string, data []byte, generation uint64, _ time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.inner().put(key, data, generation, func(cookieRow) bool { return true }, memoryLife)
	return nil
}

// SaveIf keeps a session if it has not been changed since it was read.
func (s *CookieStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, _ time.Duration) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return s.inner().put(key, data, generation, func(now cookieRow) bool { return now.generation == expected }, memoryLife), nil
}

// OneProcess tells package emporix that it need not wait for a row that another
// process may be writing: what another replica writes goes to the visitor's browser.
func (s *CookieStore) OneProcess() {}

// Delete forgets a session.
func (s *CookieStore) Delete(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.inner().drop(key)
	return nil
}

// table is where a row is kept: sessions in use must not crowd out what ended, or is
// changing.
func (c *cookieRows) table(key string) map[string]cookieRow {
	switch {
	case isEnded(key):
		return c.ended
	case strings.HasPrefix(key, changingNote("")):
		return c.changes
	}
	return c.rows
}

func isEnded(key string) bool {
	return strings.HasPrefix(key, supersededNote("")) || strings.HasPrefix(key, movedNote(""))
}

func (c *cookieRows) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.table(key), key)
}

func (c *cookieRows) get(key string) (cookieRow, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row, found := c.table(key)[key]
	now := time.Now()
	if !found || !now.Before(row.until) {
		return cookieRow{}, false
	}
	if row.generation != 0 { // a session in use; notes have their time
		row.until = now.Add(memoryLife)
		c.rows[key] = row
	}
	return row, true
}

// put writes a row where the present one, zero if there is none, agrees.
func (c *cookieRows) put(key string, data []byte, generation uint64, agrees func(cookieRow) bool, life time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, rows := time.Now(), c.table(key)
	present := rows[key]
	if !now.Before(present.until) {
		present = cookieRow{}
	}
	if !agrees(present) {
		return false
	}
	_, known := rows[key]
	rows[key] = cookieRow{data: append([]byte(nil), data...), generation: generation, until: now.Add(life)}
	if isEnded(key) {
		if !known {
			c.order = append(c.order, key)
		}
		c.forgetEnded(now)
		return true
	}
	// Look at a few others: what has ended goes, and in a full store the one that
	// was used least recently.
	seen, oldest, end := 0, "", time.Time{}
	for other, row := range rows { // starts anywhere
		if seen++; seen > 8 {
			break
		}
		switch {
		case other == key:
		case !now.Before(row.until):
			delete(rows, other)
		case oldest == "" || row.until.Before(end):
			oldest, end = other, row.until
		}
	}
	if len(rows) > c.limit && oldest != "" {
		delete(rows, oldest)
	}
	return true
}

// forgetEnded removes the notes about IDs that have had their time, and the oldest of
// those that are too many. The caller has c.mu.
func (c *cookieRows) forgetEnded(now time.Time) {
	for len(c.order) > c.limit || !now.Before(c.ended[c.order[0]].until) { // the one that was just written stays
		delete(c.ended, c.order[0])
		c.order = c.order[1:]
	}
}

// sealedVisitors keeps each visitor's record in the visitor's cookie.
type sealedVisitors struct {
	b     *BFF
	store *CookieStore
	// tooLargeUntil is when the next guest's session may begin, in unix
	// nanoseconds; 0 while they fit.
	tooLargeUntil atomic.Int64
}

// content is what a cookie holds.
type content struct {
	Version    int             `json:"v"`
	Issued     int64           `json:"i"` // unix seconds
	Record     record          `json:"r"`
	Generation uint64          `json:"g,omitempty"` // of the session
	Session    json.RawMessage `json:"d,omitempty"`
}

// purpose binds a cookie to its name, and to the tenant at the host that its
// tokens are for.
func (k *sealedVisitors) purpose() string { return "\x00" + k.b.cookie + "\x00" + k.b.visitorRows }

// row is the client's name for a session.
func (k *sealedVisitors) row(key string) string { return k.b.visitorRows + key }

func supersededNote(key string) string { return "superseded/" + key }
func movedNote(key string) string      { return "moved/" + key }
func changingNote(key string) string   { return "changing/" + key }

func (k *sealedVisitors) open(ctx context.Context, value string) (*visitorRecord, error) {
	if len(value) > maxCookie {
		return nil, nil
	}
	if err := newerCookie(value); err != nil {
		return nil, err
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	readable := err == nil // an error leaves what came before it decoded
	keys := k.store.inner().keys
	if readable && keys.Newer(sealed) {
		return nil, errNewerCookie
	}
	plain, err := keys.Open(sealed, k.purpose())
	if !readable || err != nil {
		// Anybody can send this: it must not fill the log.
		k.b.tell(ctx, slog.LevelDebug, "a cookie was sealed under another key, or is damaged: the visitor begins anew")
		return nil, nil //nolint:nilerr // it names no visitor
	}
	if err := tooNew(plain, "the visitor's cookie"); err != nil {
		return nil, err
	}
	var c content
	now := time.Now()
	readable = json.Unmarshal(plain, &c) == nil
	switch {
	case !readable || c.Version != recordVersion || c.Record.Version != recordVersion || !wellFormed(c.Record.Key):
		k.b.log(ctx, "a visitor begins anew", errDamaged)
		return nil, nil
	case time.Unix(c.Issued, 0).After(now.Add(clockSkew)) || now.Sub(time.Unix(c.Issued, 0)) >= k.b.opts.Idle:
		return nil, nil
	}
	v := &visitorRecord{record: c.Record, row: c.Generation, session: c.Session}
	v.Superseded, v.Next, v.Changing = false, "", 0
	return k.place(v), nil
}

// place puts the session where the client finds it, unless this process knows a
// later one: another tab's renewal, or a logout.
func (k *sealedVisitors) place(v *visitorRecord) *visitorRecord {
	rows := k.store.inner()
	if v = k.follow(v); v.Superseded {
		return v
	}
	if note, changing := rows.get(changingNote(v.Key)); changing {
		v.Changing = note.until.UnixMilli()
	}
	rows.put(k.row(v.Key), v.session, v.row, func(now cookieRow) bool { return now.generation < v.row }, memoryLife) // not without a session, which is row 0
	return v
}

// follow notices what other requests have made of the visitor since.
func (k *sealedVisitors) follow(v *visitorRecord) *visitorRecord {
	rows, now := k.store.inner(), *v
	moved, found := rows.get(movedNote(now.Key))
	for range 8 { // failed logins
		if !found {
			break
		}
		now.Key, now.row, now.session, now.fresh = string(moved.data), 0, nil, true
		moved, found = rows.get(movedNote(now.Key))
	}
	if found { // no browser's cookie is that old
		now.Superseded, now.Next = true, ""
	} else if note, over := rows.get(supersededNote(now.Key)); over {
		now.Superseded, now.Next = true, string(note.data)
	}
	return &now
}

func (k *sealedVisitors) transient(r record) *visitorRecord {
	return &visitorRecord{record: r, fresh: true}
}

func (k *sealedVisitors) issue(_ context.Context, r record) (*visitorRecord, error) {
	return k.transient(r), nil
}

func (k *sealedVisitors) update(_ context.Context, v *visitorRecord, change func(*record)) (*visitorRecord, error) {
	changed := *v
	change(&changed.record)
	changed.fresh = true
	if changed.Changing == 0 {
		k.store.inner().drop(changingNote(v.Key))
	}
	if changed.Key != v.Key {
		changed.row, changed.session = 0, nil
		k.note(movedNote(v.Key), changed.Key)
	}
	return &changed, nil
}

func (k *sealedVisitors) claim(_ context.Context, v, _ *visitorRecord, _ string) (*visitorRecord, error) {
	until := time.Now().Add(changeLimit).UnixMilli()
	if !k.store.inner().put(changingNote(v.Key), []byte{1}, 0, func(now cookieRow) bool { return now.data == nil }, changeLimit) {
		return nil, nil
	}
	claimed := *v
	claimed.Changing = until
	return &claimed, nil
}

// underWay does not look again: place has just found the note of the change.
func (k *sealedVisitors) underWay(context.Context, *visitorRecord) (bool, error) { return true, nil }

func (k *sealedVisitors) finished(context.Context, *visitorRecord) {}

func (k *sealedVisitors) supersede(_ context.Context, v, next *visitorRecord, _ int) error {
	k.end(v, next.Key)
	return nil
}

func (k *sealedVisitors) end(v *visitorRecord, next string) { k.note(supersededNote(v.Key), next) }

// note is kept as long as a cookie from before it can be opened.
func (k *sealedVisitors) note(key, text string) {
	k.store.inner().put(key, []byte(text), 0, func(cookieRow) bool { return true }, k.b.opts.Idle+clockSkew)
}

func (k *sealedVisitors) retire(ctx context.Context, v *visitorRecord) (bool, error) {
	claimed, err := k.claim(ctx, v, nil, "")
	if err != nil || claimed == nil {
		return false, err
	}
	k.end(v, "")
	return true, nil
}

func (k *sealedVisitors) successor(_ context.Context, v *visitorRecord) (*visitorRecord, error) {
	if v.Next == "" {
		return nil, nil
	}
	next := newRecord()
	next.Key, next.Customer = v.Next, v.Customer
	return k.place(&visitorRecord{record: next}), nil
}

func (k *sealedVisitors) discard(context.Context, *visitorRecord) error { return nil }

// prepare renews what must be in the cookie before the response begins.
func (k *sealedVisitors) prepare(ctx context.Context, v *visitorRecord, s *emporix.Session) (*visitorRecord, error) {
	if err := s.RenewIfDue(ctx); err != nil {
		if ctx.Err() != nil || errors.Is(err, emporix.ErrClosed) {
			return nil, err
		}
		k.b.log(ctx, "a session could not be renewed", err) // the call that needs it says so
	}
	if time.Since(time.Unix(v.Seen, 0)) >= k.b.touchPace {
		seen := *v
		seen.Seen, seen.fresh = time.Now().Unix(), true
		v = &seen
	}
	if _, _, err := k.cookie(v); err != nil {
		return nil, err
	}
	return v, nil
}

// cookie seals the visitor and the session as they are now.
func (k *sealedVisitors) cookie(v *visitorRecord) (value string, changed bool, err error) {
	// A slow page must not bring back the cookie from before a login.
	if v = k.follow(v); v.Superseded {
		return "", false, nil
	}
	c := content{Version: recordVersion, Issued: time.Now().Unix(), Record: v.record, Generation: v.row, Session: v.session}
	if row, found := k.store.inner().get(k.row(v.Key)); found && row.generation != v.row {
		c.Generation, c.Session, changed = row.generation, row.data, true
	}
	if !changed && !v.fresh {
		return "", false, nil
	}
	plain, err := json.Marshal(c)
	if err != nil {
		return "", false, errDamaged
	}
	sealed, err := k.store.inner().keys.Seal(plain, k.purpose())
	if err != nil {
		return "", false, err
	}
	value = base64.RawURLEncoding.EncodeToString(sealed)
	if size := len(k.b.newCookie(value, v.ttlOfCookie(&k.b.opts)).String()); size > maxCookie {
		return "", false, fmt.Errorf("%w (it has %d)", ErrCookieTooLarge, size)
	}
	return value, true, nil
}

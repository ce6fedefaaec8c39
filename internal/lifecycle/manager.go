package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Config is what a Manager needs.
type Config struct {
	Scope        string // names the rows of one tenant at one host
	Store        Store
	Issuer       Issuer
	Notify       func(Event)    // called outside every lock; may be nil
	Context      SessionContext // what anonymous sessions start with
	Foreground   bool           // no renewal in the background; see Due
	RefreshLimit time.Duration  // a whole renewal, from reading the row to having written it
	StoreLimit   time.Duration  // one store operation
}

// Manager keeps the sessions of one client.
type Manager struct {
	cfg     Config
	store   conditionalStore
	private conditionalStore // rows that are the client's own and never leave the process
	utility *Visitor         // the anonymous session that authorises customers' refreshes
	staff   *Visitor         // the employee's

	// epochs grow when this process changes a row, so that other values of the
	// same visitor read it again. They are shared by hash: no state per visitor.
	epochs [256]atomic.Uint64

	ctx    context.Context // of everything that runs detached
	cancel context.CancelFunc
	closed chan struct{}

	mu       sync.Mutex // guards what follows; never held across I/O or a wait
	isClosed bool
	flights  map[string]*flight
	running  map[*flight]struct{} // also those whose waiters have gone
	troubles map[string]trouble
	debts    map[string]debt
}

// New returns a Manager. Nothing runs until a token is asked for.
func New(cfg Config) *Manager {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{
		cfg: cfg, store: conditional(cfg.Store), private: &cellar{rows: map[string]cell{}},
		ctx: ctx, cancel: cancel, closed: make(chan struct{}),
		flights: map[string]*flight{}, running: map[*flight]struct{}{}, troubles: map[string]trouble{}, debts: map[string]debt{},
	}
	m.utility, m.staff = &Visitor{private: true}, &Visitor{private: true}
	m.utility.Init("", "utility")
	m.staff.Init("", "employee")
	return m
}

// Visitor is one value through which a session is used: cheap, without a
// goroutine or timer, and one of possibly many over the same key.
type Visitor struct {
	prefix  string        // of the row's name; "" for the client's own rows
	key     secret.Secret // in a BFF, whoever has it has the session
	stripe  uint8         // which epoch counts for it
	private bool
	snap    atomic.Pointer[snapshot]
}

// Init makes v the visitor of key. An empty prefix marks a row of the client's own.
func (v *Visitor) Init(prefix, key string) {
	v.prefix, v.key = prefix, secret.New(key)
	v.stripe = uint8(maphash.String(stripes, key) % 256)
}

var stripes = maphash.MakeSeed()

// key is the name of the visitor's row.
func (m *Manager) key(v *Visitor) string {
	if v.private {
		return v.key.Reveal()
	}
	return m.cfg.Scope + "/" + v.prefix + v.key.Reveal()
}

// snapshot is an immutable reading of a row.
type snapshot struct {
	record *Record
	bearer bearer
	wants  uint8 // the wants that it serves, a bit each
	epoch  uint64
	taken  time.Time     // has a monotonic reading
	alive  time.Duration // after taken, until the access token ends
	good   time.Duration // after taken, until it is time to plan again
	// checked is how long after taken the wall clock may be left unread: the
	// monotonic clock stops while a machine sleeps.
	checked atomic.Int64
}

const wallCheck = time.Second

func (m *Manager) snapshot(v *Visitor, r *Record, epoch uint64) *snapshot {
	now := time.Now()
	s := &snapshot{record: r, epoch: epoch, taken: now}
	if r.Kind == None {
		return s
	}
	s.bearer = bearer{
		Kind: r.Kind, Generation: r.Generation, Access: r.Access,
		Bearer: secret.New("Bearer " + r.Access.Reveal()), SessionID: r.SessionID, owner: v,
	}
	s.wants = r.serves()
	s.alive = r.AccessUntil.Sub(now)
	if r.plan(m.key(v), now) == use {
		s.good = s.alive
		if r.refreshable(now) && !r.Suspect {
			s.good = min(s.good, r.renewAt(m.key(v)).Sub(now))
		}
		s.checked.Store(int64(min(s.good, wallCheck)))
	}
	return s
}

func (s *snapshot) token() Token { return Token{&s.bearer} }

func (m *Manager) epoch(v *Visitor) *atomic.Uint64 { return &m.epochs[v.stripe] }

// Token returns a bearer for v. While the token is good it costs a look at the
// monotonic clock: no lock, no store, no allocation.
func (m *Manager) Token(ctx context.Context, v *Visitor, want Want) (Token, error) {
	if want == WantEmployee {
		v = m.staff
	}
	if s := v.snap.Load(); s != nil && s.wants&(1<<want) != 0 && s.epoch == m.epoch(v).Load() && int64(time.Since(s.taken)) < s.checked.Load() {
		return s.token(), nil
	}
	return m.find(ctx, v, want)
}

// serves returns the wants that a session of this kind serves, a bit each.
func (r *Record) serves() uint8 {
	switch {
	case r.Kind == Employee:
		return 1 << WantEmployee
	case r.Kind == Customer:
		return 1<<WantCustomer | 1<<WantAny
	case r.Kind == Anonymous && r.Ended:
		return 1 << WantAnonymous
	case r.Kind == Anonymous:
		return 1<<WantAnonymous | 1<<WantAny
	}
	return 0
}

// find is the way of every call that has no good token at hand.
func (m *Manager) find(ctx context.Context, v *Visitor, want Want) (Token, error) {
	for range 4 { // a renewal may be overtaken by a login or logout; then look again
		if m.shut() {
			return Token{}, sentinel.Closed
		}
		s, err := m.read(ctx, v)
		if err != nil {
			return Token{}, err
		}
		r := s.record
		if err := r.refuses(want); err != nil {
			return Token{}, err
		}
		if want == WantAnonymous && r.Kind == Customer {
			v = m.utility
			continue
		}
		now := time.Now()
		switch r.plan(m.key(v), now) {
		case use:
			s.checked.Store(int64(min(now.Sub(s.taken)+wallCheck, s.good)))
			return s.token(), nil
		case renewEarly:
			// While the renewal is under way, or waits for its turn, there is nothing
			// to look at: its end changes the epoch.
			wait := wallCheck
			if !m.cfg.Foreground {
				wait = m.renewInBackground(v, r)
			}
			s.checked.Store(int64(min(now.Sub(s.taken)+min(wait, wallCheck), s.alive)))
			return s.token(), nil
		default:
			if err := m.join(ctx, v, m.upkeep(v, want, r)); err != nil {
				return Token{}, err
			}
		}
	}
	return Token{}, fmt.Errorf("%w: the session changed again and again while it was being renewed; try again", sentinel.Unavailable)
}

// refuses returns why a session of this kind can't serve the call at all.
func (r *Record) refuses(want Want) error {
	switch {
	case want == WantAnonymous || want == WantEmployee || r.Kind == Customer:
		return nil
	case r.Ended:
		return sentinel.SessionExpired
	case want == WantCustomer:
		return sentinel.NotLoggedIn
	}
	return nil
}

// read returns the row as this process knows it, from the snapshot if nothing
// here has changed it since.
func (m *Manager) read(ctx context.Context, v *Visitor) (*snapshot, error) {
	epoch := m.epoch(v).Load()
	if s := v.snap.Load(); s != nil && s.epoch == epoch {
		return s, nil
	}
	r, err := m.load(ctx, v)
	if err != nil {
		return nil, err
	}
	s := m.snapshot(v, r, epoch)
	v.snap.Store(s)
	return s, nil
}

// load reads the row, or what this process holds that the store would not take.
func (m *Manager) load(ctx context.Context, v *Visitor) (*Record, error) {
	m.mu.Lock()
	owed := m.debts[m.key(v)]
	m.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, m.cfg.StoreLimit)
	defer cancel()
	data, found, err := guardLoad(limited, m.rows(v), m.key(v))
	switch {
	case err != nil && owed.record != nil:
		return owed.record, nil
	case err != nil:
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, m.storeError(v, "reading the session", err)
	case !found && owed.replaces(0):
		return owed.record, nil
	case !found:
		return &Record{}, nil
	}
	r, err := decode(data)
	if err == nil && r.Kind == Employee && !v.private {
		err = fmt.Errorf("%w: it holds no visitor's session; Logout discards the row", sentinel.StoreCorrupt)
	}
	if err != nil {
		return nil, err
	}
	if owed.replaces(r.Generation) {
		return owed.record, nil
	}
	return r, nil
}

func (m *Manager) rows(v *Visitor) conditionalStore {
	if v.private {
		return m.private
	}
	return m.store
}

// Info returns a copy of the session's record, without starting anything.
func (m *Manager) Info(ctx context.Context, v *Visitor) (Record, error) {
	if m.shut() {
		return Record{}, sentinel.Closed
	}
	s, err := m.read(ctx, v)
	if err != nil {
		return Record{}, err
	}
	return *s.record, nil
}

// Over reports whether a customer's session has ended by itself.
func (r *Record) Over() bool {
	return r.Ended || r.Kind == Customer && !time.Now().Before(r.AccessUntil) && !r.CanRenew()
}

// CanRenew reports whether the session can be renewed at this moment.
func (r *Record) CanRenew() bool {
	return !r.Refresh.IsZero() && time.Now().Before(r.RefreshUntil)
}

func (m *Manager) shut() bool {
	select {
	case <-m.closed:
		return true
	default:
		return false
	}
}

// Close refuses new calls, lets what is running end until ctx does, and then
// cancels what is left.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	if !m.isClosed {
		m.isClosed = true
		close(m.closed)
	}
	m.mu.Unlock()
	for i := range m.epochs {
		m.epochs[i].Add(1) // nobody goes on with what they hold
	}
	err := m.drain(ctx)
	m.mu.Lock()
	m.cancel() // nothing is detached from here on
	m.mu.Unlock()
	_ = m.drain(context.Background()) // their context is over
	return err
}

// drain waits until nothing is running.
func (m *Manager) drain(ctx context.Context) error {
	for {
		var f *flight
		m.mu.Lock()
		for f = range m.running {
			break
		}
		m.mu.Unlock()
		if f == nil {
			return nil
		}
		select {
		case <-f.ended:
		case <-ctx.Done():
			return fmt.Errorf("emporix: closing: renewals were cut short: %w", context.Cause(ctx))
		}
	}
}

// notify tells the observer; whatever the observer does stays there.
func (m *Manager) notify(kind EventKind, v *Visitor, session Kind, err error) {
	if m.cfg.Notify == nil || v.private {
		return
	}
	defer func() { _ = recover() }()
	event := Event{Kind: kind, Session: session, Err: err}
	if v.prefix != "" {
		event.Key = v.key
	}
	m.cfg.Notify(event)
}

// errPanic stands for a panic in code of the user's: a store, a transport.
var errPanic = errors.New("a panic in the token store or transport (its text may hold secrets and is dropped)")

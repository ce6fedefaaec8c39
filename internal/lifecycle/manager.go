package lifecycle

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// Config is what a Manager needs.
type Config struct {
	Scope        string // names the rows of one tenant at one host
	Store        Store
	Issuer       Issuer
	Notify       func(Event)    // called outside every lock; may be nil
	Context      SessionContext // what anonymous sessions start with
	Foreground   bool           // no renewal in the background; see Due
	RefreshLimit time.Duration  // a whole renewal, from reading the row to having written it; before that, as much for the wait for one's turn
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

	ownBearer atomic.Bool // the server wants the customer's own bearer for a refresh

	ctx    context.Context // of everything that runs detached
	cancel context.CancelFunc
	closed chan struct{}

	mu       sync.Mutex // guards what follows; never held across I/O or a wait
	isClosed bool
	flights  map[string]*flight
	running  map[*flight]struct{} // also those whose waiters have gone
	troubles map[string]trouble

	debts book // guards itself
}

// New returns a Manager. Nothing runs until a token is asked for.
func New(cfg Config) *Manager {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{
		cfg: cfg, store: conditional(cfg.Store), private: &cellar{rows: map[string]cell{}},
		ctx: ctx, cancel: cancel, closed: make(chan struct{}),
		flights: map[string]*flight{}, running: map[*flight]struct{}{}, troubles: map[string]trouble{},
		debts: book{owed: map[string]debt{}},
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

func (m *Manager) epoch(v *Visitor) *atomic.Uint64 { return &m.epochs[v.stripe] }

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

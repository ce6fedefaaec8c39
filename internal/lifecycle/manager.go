package lifecycle

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/secret"
)

// Config is what a Manager needs.
type Config struct {
	Scope        string // names the rows of one tenant at one host
	Store        Store
	Issuer       Issuer
	Notify       func(Event)    // called outside every lock, in a goroutine of its own; may be nil
	Context      SessionContext // what anonymous sessions start with
	Foreground   bool           // no renewal in the background; see RenewIfDue
	RefreshLimit time.Duration  // one renewal, from reading the row to the response; the wait for the lease before it has the same limit
	CallLimit    time.Duration  // one token call; 0: no other process uses the store
	StoreLimit   time.Duration  // one store operation
	PromptStore  bool           // Store is the SDK's own memory, and always answers at once
	Calls        *bounded.Calls // counts what the store and the observer left running; may be nil
}

// Manager keeps the sessions of one client.
type Manager struct {
	self     func() *Manager
	cfg      Config
	store    conditionalStore
	private  conditionalStore // rows that are the client's own and never leave the process
	utility  *Visitor         // the anonymous session that authorises customers' refreshes
	employee *Visitor         // the employee's session

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
	backoffs map[string]backoff

	lost sync.Once // for the first Close, which tells what was not written

	pending pendingWrites // guards itself
	events  events        // guards itself
	calls   *bounded.Calls
}

// New returns a Manager. Nothing runs until a token is asked for.
func New(cfg Config) *Manager {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{
		cfg: cfg, store: conditional(cfg.Store), private: &privateStore{rows: map[string]privateRow{}},
		ctx: ctx, cancel: cancel, closed: make(chan struct{}),
		flights: map[string]*flight{}, running: map[*flight]struct{}{}, backoffs: map[string]backoff{},
		pending: pendingWrites{rows: map[string]pendingWrite{}}, events: events{sessions: map[string]*waitingEvents{}}, calls: cfg.Calls,
	}
	if m.calls == nil {
		m.calls = new(bounded.Calls)
	}
	m.self = func() *Manager { return m }
	m.utility, m.employee = m.own("utility"), m.own("employee")
	return m
}

// Visitor is one value through which a session is used: cheap, without a
// goroutine or timer, and one of possibly many over the same row.
type Visitor struct {
	m       func() *Manager // a function, so that who prints a session prints no store
	name    secret.Secret   // of the row
	id      secret.Secret   // the visitor's key; zero for the client's own sessions
	stripe  uint8           // which epoch counts for it
	private bool            // the row is the client's own and never leaves the process
	snap    atomic.Pointer[snapshot]
	undone  atomic.Uint64 // generation of the row that a failed move may still write here; 0 if there is none
}

// Init makes v the visitor of key; an empty prefix marks a session of the client's own.
func (v *Visitor) Init(m *Manager, prefix, key string) {
	v.m, v.name = m.self, secret.New(m.cfg.Scope+"/"+prefix+key)
	if prefix != "" {
		v.id = secret.New(key)
	}
	v.stripe = uint8(maphash.String(stripes, key) % 256)
}

// own returns the visitor of a row of the client's own.
func (m *Manager) own(name string) *Visitor {
	v := &Visitor{private: true}
	v.Init(m, "", name)
	return v
}

var stripes = maphash.MakeSeed()

// key is the name of the visitor's row.
func (v *Visitor) key() string { return v.name.Reveal() }

func (v *Visitor) epoch() *atomic.Uint64 { return &v.m().epochs[v.stripe] }

// Closed reports whether Close has been called.
func (m *Manager) Closed() bool {
	select {
	case <-m.closed:
		return true
	default:
		return false
	}
}

package lifecycle

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// The fleet model: replicas over one store, a server whose refresh tokens are
// good for one use and whose sessions end when one is used again, visitors who
// ask whichever replica, and faults. A seed fixes what goes wrong how often, not
// the order in which goroutines run.

var fleetSeeds = flag.Uint64("fleet.seeds", 1, "seeds per cell of the fleet model")

const (
	stallTime     = 20 * time.Second // a lease outlives one, but not a second one right after it, nor a slow server's response
	fleetTime     = 8 * time.Hour
	fleetVisitors = 4 // every second is a customer
)

// faults are what goes wrong, and how often.
type faults struct {
	cancels float64 // of the requests are given up by their visitors
	slow    bool    // the server takes seconds
	writes  float64 // of the store's writes fail, half of them after they were applied
	stalls  float64 // of the uses of store and server are followed by a standstill of stallTime
	lost    float64 // of the leases are forgotten by the store before they are used
	answers float64 // of the server's answers are lost: the first of the named losses
	sending float64 // of the leases are forgotten while the refresh token may be under way: the second
}

var fleetFaults = []struct {
	name string
	faults
}{
	{"no fault", faults{}},
	{"visitor cancels 30 %", faults{cancels: 0.3}},
	{"slow server", faults{slow: true}},
	{"store writes fail 30 %", faults{writes: 0.3}},
	{"replica stalls 20 s", faults{stalls: 0.01}},
	{"lock key lost", faults{lost: 0.1}},
	{"all of these", faults{cancels: 0.3, slow: true, writes: 0.3, stalls: 0.01, lost: 0.1}},
	{"answers lost 5 %", faults{answers: 0.05}},
	{"lock key lost while sending", faults{sending: 0.1}},
}

// tally is what a run came to.
type tally struct {
	requests, served, generations, redemptions int
	reused                                     int // refresh tokens that came again
	lost                                       int // sessions, outside the named losses
	answerLost, leaseLost                      int // sessions lost by name
	stalled                                    int // sessions lost because their replica stood still under the lease for longer than that can outlive
	wrong                                      int // answers for somebody else
	held                                       int // customers whose refresh token is held back
	faults                                     int
}

func (a *tally) add(b tally) {
	a.requests += b.requests
	a.served += b.served
	a.generations += b.generations
	a.redemptions += b.redemptions
	a.reused += b.reused
	a.lost += b.lost
	a.answerLost += b.answerLost
	a.leaseLost += b.leaseLost
	a.stalled += b.stalled
	a.wrong += b.wrong
	a.held += b.held
	a.faults += b.faults
}

func TestFleet_Model(t *testing.T) {
	for _, replicas := range []int{2, 4} {
		for _, column := range fleetFaults {
			t.Run(fmt.Sprint(replicas, " replicas, ", column.name), func(t *testing.T) {
				var sum tally
				for seed := range *fleetSeeds {
					run := playFleet(t, replicas, seed, column.faults)
					if run.lost+run.wrong > 0 {
						t.Errorf("seed %d: %+v", seed, run)
					}
					sum.add(run)
				}
				t.Logf("%d seeds, %d requests, %d faults, %d refresh tokens issued, %d redeemed, %d came again; sessions lost %d, and by name %d (answer lost), %d (lease lost while sending), %d (stalled under the lease); held %d; wrong answers %d",
					*fleetSeeds, sum.requests, sum.faults, sum.generations, sum.redemptions, sum.reused, sum.lost, sum.answerLost, sum.leaseLost, sum.stalled, sum.held, sum.wrong)
				assert.Zero(t, sum.lost)
				assert.Zero(t, sum.wrong)
				assert.Greater(t, sum.redemptions, int(*fleetSeeds)*fleetVisitors*3, "the model did renew")
				assert.LessOrEqual(t, sum.reused, sum.answerLost+sum.leaseLost+sum.stalled, "one redemption per generation")
				if column.answers+column.sending == 0 && column.name != "all of these" {
					assert.Zero(t, sum.answerLost+sum.leaseLost)
				}
				if column.stalls == 0 {
					assert.Zero(t, sum.stalled)
				}
			})
		}
	}
}

// fleet is one run.
type fleet struct {
	faults
	leasingStore *leasingStore
	server       *strictServer

	mu  sync.Mutex
	rng *rand.Rand
	sum tally
}

// chance is true with probability p.
func (f *fleet) chance(p float64) bool {
	if p == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	hit := f.rng.Float64() < p
	if hit {
		f.sum.faults++
	}
	return hit
}

func (f *fleet) between(low, high time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return low + time.Duration(f.rng.Int64N(int64(high-low)))
}

func playFleet(t *testing.T, replicas int, seed uint64, what faults) (sum tally) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{faults: what, leasingStore: newLeasingStore(), rng: rand.New(rand.NewPCG(seed, 7))}
		f.server = &strictServer{fleet: f, refresh: map[string]*family{}, access: map[string]*family{}, first: map[string]*family{}}
		var crew []*replica
		for range replicas {
			r := &replica{fleet: f, taken: map[string]time.Duration{}}
			r.m = New(Config{
				Scope: "acme", Store: r.store(), Issuer: r, RefreshLimit: 30 * time.Second, StoreLimit: 2 * time.Second,
			})
			crew = append(crew, r)
		}
		var all sync.WaitGroup
		for i := range fleetVisitors {
			all.Go(func() { f.visit(t, crew, i) })
		}
		all.Wait()
		time.Sleep(2 * time.Minute) // renewals that are under way, and what is owed
		for i := range fleetVisitors {
			f.judge(t, i)
		}
		for _, r := range crew {
			require.NoError(t, r.m.Close(context.Background()))
		}
		f.server.mu.Lock()
		defer f.server.mu.Unlock()
		f.sum.redemptions, f.sum.reused, f.sum.generations = f.server.redeemed, f.server.reused, len(f.server.refresh)
		sum = f.sum
	})
	return sum
}

func fleetKey(i int) string { return fmt.Sprint("visitor", i) }

// visit is one visitor's eight hours: a login, and requests, at times several
// at once, to whichever replica.
func (f *fleet) visit(t *testing.T, crew []*replica, i int) {
	key, want := fleetKey(i), WantAnonymous
	patience := 200
	for established := false; !established && patience > 0; patience-- { // the faults are on already
		r := crew[i%len(crew)]
		if i%2 == 0 {
			_, err := r.m.at(visitor(key)).Token(t.Context(), WantAnonymous)
			established = err == nil
		} else {
			want = WantCustomer
			result, err := r.m.at(visitor(key)).Login(t.Context(), r.login)
			established = err == nil && result.Established
		}
		time.Sleep(time.Second)
	}
	assert.Positive(t, patience, "the session could not be begun")
	time.Sleep(time.Minute) // a first write that is owed
	f.server.began(key)
	var requests sync.WaitGroup
	for end := time.Now().Add(fleetTime); time.Now().Before(end); time.Sleep(f.between(0, 2*time.Minute)) {
		for range 1 + int(f.between(0, 4)) {
			r := crew[int(f.between(0, time.Duration(len(crew))))]
			requests.Go(func() { f.request(t, r, key, want) })
		}
	}
	requests.Wait()
}

func (f *fleet) request(t *testing.T, r *replica, key string, want Want) {
	ctx := t.Context()
	if f.chance(f.cancels) {
		limited, cancel := context.WithTimeout(ctx, f.between(0, 500*time.Millisecond))
		defer cancel()
		ctx = limited
	}
	token, err := r.m.at(visitor(key)).Token(ctx, want)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sum.requests++
	switch {
	case err == nil:
		f.sum.served++
		if owner := f.server.ownerOf(token.Access.Reveal()); owner != key && owner != "" {
			f.sum.wrong++
		}
	case ctx.Err() != nil, errors.Is(err, sentinel.StoreUnavailable), errors.Is(err, sentinel.Unavailable), errors.Is(err, errWire):
	default:
		if !f.server.excused(key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// judge says whether a visitor still has the session of the beginning.
func (f *fleet) judge(t *testing.T, i int) {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	fam := f.server.first[fleetKey(i)]
	row := f.row(fleetKey(i))
	require.NotNil(t, fam)
	kept := row != nil && row.Kind != None && f.server.access[row.Access.Reveal()] == fam && !fam.dead
	switch {
	case kept && row.Suspect:
		f.sum.held++
		// A replica that stalls for longer than its lease looks as if it had died.
		if f.stalls == 0 && !fam.unanswered && !fam.leaseLost && !fam.answerLost {
			t.Errorf("%s is held back for no reason", fleetKey(i))
		}
	case kept:
	case fam.answerLost:
		f.sum.answerLost++
	case fam.leaseLost:
		f.sum.leaseLost++
	case fam.outlived:
		f.sum.stalled++
	default:
		f.sum.lost++
	}
}

func (f *fleet) row(key string) *Record {
	f.leasingStore.mu.Lock()
	defer f.leasingStore.mu.Unlock()
	row, found := f.leasingStore.rows[rowOf(key)]
	if !found || !time.Now().Before(row.until) {
		return nil
	}
	r, err := decode(row.data)
	if err != nil {
		panic(err)
	}
	return r
}

// replica is one process: its manager, its way to the store and to the server.
// When it stalls, everything in it does.
type replica struct {
	*fleet
	m     *Manager
	mu    sync.Mutex
	until time.Time                // it stands still
	stood time.Duration            // in all
	taken map[string]time.Duration // what stood was when it took a visitor's lease
}

// underLease is how long the replica has stood still since it took the lease.
func (r *replica) underLease(key string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stood - r.taken[key]
}

// live is passed before and after whatever the replica does with others.
func (r *replica) live() {
	if r.chance(r.stalls) {
		r.mu.Lock()
		until := time.Now().Add(stallTime)
		r.stood += min(time.Until(until), until.Sub(r.until))
		r.until = until
		r.mu.Unlock()
	}
	for {
		r.mu.Lock()
		wait := time.Until(r.until)
		r.mu.Unlock()
		if wait <= 0 {
			return
		}
		time.Sleep(wait)
	}
}

// store is the replica's way to the store.
func (r *replica) store() Store { return &fleetStore{r: r} }

type fleetStore struct{ r *replica }

func (s *fleetStore) do(ctx context.Context, write bool, act func() error) error {
	s.r.live()
	time.Sleep(s.r.between(100*time.Microsecond, 2*time.Millisecond))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fails := write && s.r.chance(s.r.writes)
	if fails && s.r.between(0, 2) == 0 {
		return errStoreDown // before it was applied
	}
	err := act()
	s.r.live()
	if fails {
		return errStoreDown
	}
	return err
}

func (s *fleetStore) Load(ctx context.Context, key string) (data []byte, found bool, err error) {
	err = s.do(ctx, false, func() (err error) { data, found, err = s.r.leasingStore.Load(ctx, key); return err })
	return data, found, err
}

func (s *fleetStore) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	return s.do(ctx, true, func() error { return s.r.leasingStore.Save(ctx, key, data, generation, ttl) })
}

func (s *fleetStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error) {
	err = s.do(ctx, true, func() (err error) {
		if generation <= expected {
			panic("a generation that does not grow")
		}
		saved, err = s.r.leasingStore.SaveIf(ctx, key, data, expected, generation, ttl)
		return err
	})
	return saved && err == nil, err
}

func (s *fleetStore) Delete(ctx context.Context, key string) error {
	return s.do(ctx, true, func() error { return s.r.leasingStore.Delete(ctx, key) })
}

func (s *fleetStore) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	err = s.do(ctx, true, func() (err error) {
		acquired, abandoned, err = s.r.leasingStore.Acquire(ctx, key, owner, ttl)
		return err
	})
	if err != nil {
		return false, false, err
	}
	if acquired {
		s.r.mu.Lock()
		s.r.taken[key[len(rowOf("")):]] = s.r.stood
		s.r.mu.Unlock()
	}
	if acquired && s.r.chance(s.r.lost) {
		s.r.server.dropLease(key)
	}
	if acquired && s.r.chance(s.r.sending) {
		time.AfterFunc(s.r.between(0, 100*time.Millisecond), func() { s.r.server.dropLease(key) })
	}
	return acquired, abandoned, nil
}

func (s *fleetStore) Remaining(ctx context.Context, key, owner string) (left time.Duration, err error) {
	err = s.do(ctx, false, func() (err error) { left, err = s.r.leasingStore.Remaining(ctx, key, owner); return err })
	return left, err
}

func (s *fleetStore) Release(ctx context.Context, key, owner string) error {
	return s.do(ctx, true, func() error { return s.r.leasingStore.Release(ctx, key, owner) })
}

// strictServer ends a session when one of its refresh tokens comes again.
type strictServer struct {
	fleet                    *fleet
	mu                       sync.Mutex
	issued, redeemed, reused int

	refresh map[string]*family
	access  map[string]*family
	first   map[string]*family // of each visitor, when the run begins
}

// family is one session.
type family struct {
	customer              bool
	owner                 string // its visitor's key, "" until that is known
	current               string // the refresh token that is good
	sending               int    // calls with one of its refresh tokens that are under way
	dead                  bool
	answerLost, leaseLost bool // what happened to it by name
	outlived              bool // who sent its refresh token stood still for too long under the lease
	sender                *replica
	unanswered            bool // a call was given up before the server did anything
}

func (s *strictServer) grant(fam *family, sent time.Time) Grant {
	s.issued++
	access, refresh := fmt.Sprint("A", s.issued), fmt.Sprint("R", s.issued)
	s.access[access], s.refresh[refresh] = fam, fam
	fam.current = refresh
	known := func(d time.Duration) wire.Lifetime { return wire.Lifetime{Duration: d, Known: true} }
	life, refreshLife := anonymousLife, refreshLife
	if fam.customer { // renewed at half of this: as often as a guest's
		life, refreshLife = customerLife, 2*time.Hour
	}
	return Grant{SentAt: sent, Token: wire.Token{
		Access: secret.New(access), ExpiresIn: known(life), Refresh: secret.New(refresh), RefreshExpiresIn: known(refreshLife),
	}}
}

// callTime is how long the server takes, at least and at most.
func (f *faults) callTime() (low, high time.Duration) {
	if f.slow {
		return 2 * time.Second, 9 * time.Second
	}
	return 50 * time.Millisecond, 300 * time.Millisecond
}

// call takes its time, and does act in the middle of it.
func (r *replica) call(ctx context.Context, fam *family, act func() (Grant, error)) (Grant, error) {
	took, sent := r.between(r.callTime()), time.Now()
	r.live()
	stood := time.Since(sent) > 0
	if !pause(ctx, took/2) {
		r.server.mu.Lock()
		fam.unanswered = true
		r.server.mu.Unlock()
		return Grant{}, &failure.Failure{Token: failure.Unknown, Err: errWire}
	}
	r.server.mu.Lock()
	g, err := act()
	r.server.mu.Unlock()
	late := !pause(ctx, took/2)
	if late || fam.owner != "" && r.chance(r.answers) {
		r.server.mu.Lock()
		switch {
		case err != nil:
		case late && stood: // a standstill ate the time for the response
			fam.outlived = true
		default:
			fam.answerLost = true
		}
		r.server.mu.Unlock()
		return Grant{}, &failure.Failure{Token: failure.Unknown, Err: errWire}
	}
	r.live()
	return g, err
}

func (r *replica) begin(ctx context.Context, customer bool) (Grant, error) {
	sent := time.Now()
	fam := &family{customer: customer}
	return r.call(ctx, fam, func() (Grant, error) { return r.server.grant(fam, sent), nil })
}

func (r *replica) Anonymous(ctx context.Context, _ SessionContext) (Grant, error) {
	return r.begin(ctx, false)
}

func (r *replica) login(ctx context.Context, _ Token) (Grant, error) { return r.begin(ctx, true) }

func (r *replica) Employee(context.Context) (Grant, error)     { panic("there is none") }
func (r *replica) Revoke(context.Context, secret.Secret) error { return nil }

func (r *replica) RefreshAnonymous(ctx context.Context, refresh secret.Secret) (Grant, error) {
	return r.redeem(ctx, refresh)
}

func (r *replica) RefreshCustomer(ctx context.Context, _, refresh secret.Secret, _ string) (Grant, error) {
	return r.redeem(ctx, refresh)
}

func (r *replica) redeem(ctx context.Context, refresh secret.Secret) (Grant, error) {
	s, sent, token := r.server, time.Now(), refresh.Reveal()
	s.mu.Lock()
	fam := s.refresh[token]
	fam.sending++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		fam.sending--
		s.mu.Unlock()
	}()
	return r.call(ctx, fam, func() (Grant, error) {
		if fam.current != token && !fam.dead {
			fam.dead = true
			if fam.owner != "" {
				s.reused++
				_, slowest := s.fleet.callTime()
				fam.outlived = fam.outlived || fam.sender.underLease(fam.owner)+slowest > leaseTime-writeLimit
			}
		}
		if fam.dead {
			return Grant{}, &failure.Failure{Token: failure.Refused, Err: errWire}
		}
		s.redeemed++
		fam.sender = r
		return s.grant(fam, sent), nil
	})
}

// began notes whose session a visitor has.
func (s *strictServer) began(key string) {
	row := s.fleet.row(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if row == nil || row.Access.IsZero() {
		panic(key + " has no row")
	}
	fam := s.access[row.Access.Reveal()]
	fam.owner = key
	s.first[key] = fam
}

// ownerOf says whose access token it is, "" if that of a session that began
// after the one of the beginning was lost.
func (s *strictServer) ownerOf(access string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	fam := s.access[access]
	if fam == nil {
		return ""
	}
	return fam.owner
}

func (s *strictServer) excused(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	fam := s.first[key]
	return fam.answerLost || fam.leaseLost || fam.outlived
}

// dropLease makes the store forget a lease. While a refresh token is under way,
// or what it brought is not written, nothing can make up for that: the second
// of the named losses.
func (s *strictServer) dropLease(storeKey string) {
	key := storeKey[len(rowOf("")):]
	row := s.fleet.row(key)
	s.fleet.leasingStore.drop(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if fam := s.first[key]; fam != nil && (fam.sending > 0 || row == nil || row.Refresh.Reveal() != fam.current) {
		fam.leaseLost = true
	}
}

package lifecycle

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
)

// leasingStore is a fakeStore that also lends its rows, in virtual time.
type leasingStore struct {
	*fakeStore
	loans map[string]*grantedLease // guarded by the fakeStore's mutex
}

type grantedLease struct {
	owner   string
	until   time.Time
	written bool // since it was taken
	doubted bool // an earlier one was abandoned
}

func newLeasingStore() *leasingStore {
	return &leasingStore{fakeStore: &fakeStore{rows: map[string]fakeRow{}}, loans: map[string]*grantedLease{}}
}

func (l *leasingStore) Acquire(_ context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	err = l.do("acquire", func() {
		now := time.Now()
		old := l.loans[key]
		switch {
		case old != nil && now.Before(old.until) && old.owner == owner:
			old.until, acquired, abandoned = now.Add(ttl), true, old.doubted && !old.written
		case old == nil || !now.Before(old.until):
			acquired, abandoned = true, old != nil && !old.written
			l.loans[key] = &grantedLease{owner: owner, until: now.Add(ttl), doubted: abandoned}
		}
	})
	if err != nil {
		return false, false, err
	}
	return acquired, abandoned, nil
}

func (l *leasingStore) Remaining(_ context.Context, key, owner string) (left time.Duration, err error) {
	err = l.do("remaining", func() {
		if grantedLease := l.loans[key]; grantedLease != nil && grantedLease.owner == owner {
			left = max(time.Until(grantedLease.until), 0)
		}
	})
	return left, err
}

func (l *leasingStore) Release(_ context.Context, key, owner string) error {
	return l.do("release", func() {
		grantedLease := l.loans[key]
		switch {
		case grantedLease == nil || grantedLease.owner != owner || !time.Now().Before(grantedLease.until):
		case grantedLease.doubted && !grantedLease.written:
			grantedLease.owner, grantedLease.until = "", time.Time{}
		default:
			delete(l.loans, key)
		}
	})
}

func (l *leasingStore) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	defer l.wrote(key, generation)
	return l.fakeStore.Save(ctx, key, data, generation, ttl)
}

func (l *leasingStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	defer l.wrote(key, generation)
	return l.fakeStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

// wrote notes a write that was applied, whatever its writer was told.
func (l *leasingStore) wrote(key string, generation uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if grantedLease := l.loans[key]; grantedLease != nil && l.rows[key].generation == generation {
		grantedLease.written = true
	}
}

// lent returns who has a visitor's row now, "" if nobody.
func (l *leasingStore) lent(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if grantedLease := l.loans[rowOf(key)]; grantedLease != nil && time.Now().Before(grantedLease.until) {
		return grantedLease.owner
	}
	return ""
}

// lend gives a visitor's row to somebody outside; drop takes it from whoever has it.
func (l *leasingStore) lend(t *testing.T, key, owner string, ttl time.Duration) {
	t.Helper()
	acquired, _, err := l.Acquire(t.Context(), rowOf(key), owner, ttl)
	require.NoError(t, err)
	require.True(t, acquired)
}

func (l *leasingStore) drop(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.loans, rowOf(key))
}

// replicaStore is one replica's way to the store.
type replicaStore struct {
	*leasingStore
	ops    map[string]int
	before func(op string) // may sleep; may be nil
}

func (l *replicaStore) use(op string) {
	l.mu.Lock()
	l.ops[op]++
	before := l.before
	l.mu.Unlock()
	if before != nil {
		before(op)
	}
}

// used returns how often each operation has been used since the last time.
func (l *replicaStore) used() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	ops := l.ops
	l.ops = map[string]int{}
	return ops
}

// on runs do before the next use of op.
func (l *replicaStore) on(op string, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = func(got string) {
		if got == op {
			l.mu.Lock()
			l.before = nil
			l.mu.Unlock()
			do()
		}
	}
}

func (l *replicaStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	l.use("load")
	return l.leasingStore.Load(ctx, key)
}

func (l *replicaStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	l.use("save")
	return l.leasingStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (l *replicaStore) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (bool, bool, error) {
	l.use("acquire")
	return l.leasingStore.Acquire(ctx, key, owner, ttl)
}

func (l *replicaStore) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	l.use("remaining")
	return l.leasingStore.Remaining(ctx, key, owner)
}

func (l *replicaStore) Release(ctx context.Context, key, owner string) error {
	l.use("release")
	return l.leasingStore.Release(ctx, key, owner)
}

// shop is several replicas over one store and one tokenServer.
type shop struct {
	t            *testing.T
	tokenServer  *tokenServer
	leasingStore *leasingStore
	links        []*replicaStore
	replicas     []*fixture
}

func inShop(t *testing.T, replicas int, test func(t *testing.T, s *shop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shop{t: t, tokenServer: &tokenServer{}, leasingStore: newLeasingStore()}
		for range replicas {
			l := &replicaStore{leasingStore: s.leasingStore, ops: map[string]int{}}
			s.links = append(s.links, l)
			s.replicas = append(s.replicas, newFixtureOver(t, s.tokenServer, s.leasingStore.fakeStore, l))
		}
		// Their utility sessions begin now and last, so that a test counts what it asks for.
		s.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
			g.ExpiresIn.Duration = maxLife
			g.RefreshExpiresIn.Duration = 2 * maxLife
			return nil
		})
		for _, w := range s.replicas {
			_, err := w.m.at(w.m.utility).Token(t.Context(), WantAnonymous)
			require.NoError(t, err)
		}
		s.tokenServer.script(0, nil)
		test(t, s)
	})
}

// standsStill makes a pause in a replica's store one of the whole process: the
// replica does not leave the call, as if it did not run.
func (s *shop) standsStill(replica int) { s.replicas[replica].m.cfg.PromptStore = true }

// slow makes the tokenServer slow at one thing.
func (s *shop) slow(op string, took time.Duration) {
	s.tokenServer.script(0, func(ctx context.Context, c tokenCall, _ *Grant) error {
		if c.op == op && !pause(ctx, took) {
			return &failure.Failure{Token: failure.Unknown, Err: context.Cause(ctx)}
		}
		return nil
	})
}

// guest begins an anonymous session at the first replica.
func (s *shop) guest(key string) string {
	s.t.Helper()
	return s.replicas[0].token(visitor(key), WantAnonymous)
}

// use is one request to one replica: like a BFF, it makes the visitor's value
// for this request.
func (s *shop) use(replica int, key string, want Want) (string, error) {
	token, err := s.replicas[replica].m.at(visitor(key)).Token(s.t.Context(), want)
	if err != nil {
		return "", err
	}
	return token.Access.Reveal(), nil
}

// everywhere is one request to each replica, all at once. It returns their tokens.
func (s *shop) everywhere(times int, key string, want Want) map[string]int {
	s.t.Helper()
	type answer struct {
		token string
		err   error
	}
	answers := make(chan answer, times*len(s.replicas))
	for i := range s.replicas {
		for range times {
			go func() {
				token, err := s.use(i, key, want)
				answers <- answer{token, err}
			}()
		}
	}
	tokens := map[string]int{}
	for range times * len(s.replicas) {
		a := <-answers
		require.NoError(s.t, a.err)
		tokens[a.token]++
	}
	return tokens
}

// sentOnce requires that each refresh token was sent once.
func (s *shop) sentOnce(op string) {
	s.t.Helper()
	seen := map[string]bool{}
	for _, c := range s.tokenServer.of(op) {
		require.False(s.t, seen[c.refresh], fmt.Sprint(c.refresh, " was sent twice"))
		seen[c.refresh] = true
	}
}

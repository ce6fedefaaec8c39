package lifecycle

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func (s *shop) move(replica int, from, to string) error {
	return s.replicas[replica].m.at(visitor(from)).MoveTo(s.t.Context(), s.replicas[replica].m.at(visitor(to)))
}

func TestMove_TheOldKeyIsDeadAtOnce(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("old")
		before := s.replicas[0].info("old")
		v := visitor("old") // a value of before
		_, err := s.replicas[0].m.at(v).Token(t.Context(), WantCustomer)
		require.NoError(t, err)

		ahead := visitor("new") // made, and used, before there is a session
		_, err = s.replicas[0].m.at(ahead).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)

		require.NoError(t, s.move(0, "old", "new"))
		_, err = s.replicas[0].m.at(ahead).Token(t.Context(), WantCustomer)
		require.NoError(t, err)
		for i, w := range s.replicas {
			_, err := s.use(i, "old", WantCustomer)
			require.ErrorIs(t, err, sentinel.NotLoggedIn)
			after := w.info("new")
			assert.True(t, before.Access.Equal(after.Access))
			assert.True(t, before.Refresh.Equal(after.Refresh))
			assert.Equal(t, before.SessionID, after.SessionID)
			assert.Greater(t, after.Generation, before.Generation)
		}
		for _, w := range s.replicas {
			require.NoError(t, w.m.at(visitor("new")).Refresh(t.Context(), nil))
		}
		_, err = s.replicas[0].m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		tombstone := s.replicas[0].row("old")
		assert.Equal(t, None, tombstone.Kind)
		assert.True(t, tombstone.Refresh.IsZero())
		assert.Greater(t, tombstone.Generation, before.Generation)
		s.sentOnce(refreshCustomer)
		assert.Empty(t, s.leasingStore.lent("old"))
	})
}

func TestMove_AKeyInUseIsRefused(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("jo")
		s.replicas[1].customer("eve")
		jo, eve := s.replicas[0].info("jo"), s.replicas[0].info("eve")
		require.ErrorIs(t, s.move(0, "jo", "eve"), sentinel.Conflict)
		assert.True(t, jo.Access.Equal(s.replicas[1].info("jo").Access))
		assert.True(t, eve.Access.Equal(s.replicas[1].info("eve").Access))

		require.NoError(t, s.replicas[1].m.at(visitor("eve")).Logout(t.Context(), noCall))
		require.ErrorIs(t, s.move(0, "jo", "eve"), sentinel.Conflict, "a tombstone is no free place")
		assert.Equal(t, Customer, s.replicas[1].info("jo").Kind)
	})
}

// Who has gone never heard of the new key, and still uses the old one.
func TestMove_WhoeverHasGoneKeepsTheSession(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.replicas[0].customer("old")
		s.leasingStore.lend(t, "old", "slower", time.Hour)
		time.AfterFunc(20*time.Second, func() { s.leasingStore.drop("old") })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, s.replicas[0].m.at(visitor("old")).MoveTo(ctx, s.replicas[0].m.at(visitor("new"))), context.DeadlineExceeded)
		time.Sleep(time.Minute)
		assert.Equal(t, Customer, s.replicas[0].info("old").Kind)
		assert.Equal(t, None, s.replicas[0].info("new").Kind)
		assert.Empty(t, s.leasingStore.lent("old"))
		require.NoError(t, s.move(0, "old", "new"))
	})
}

// Who goes while the session is being moved is told that it may be under the new key.
func TestMove_WhoeverGoesLaterIsTold(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("old")
		w.fakeStore.fail(func(op string) trip {
			if op == "save" {
				time.Sleep(2 * time.Second)
			}
			return works
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.m.at(v).MoveTo(ctx, w.m.at(visitor("new")))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, sentinel.OutcomeUnknown)
		require.ErrorContains(t, err, "still being moved")
		time.Sleep(time.Minute)
		assert.Equal(t, None, w.info("old").Kind)
		assert.Equal(t, Customer, w.info("new").Kind)
	})
}

func TestMove_AStoreThatFailsKeepsTheSession(t *testing.T) {
	for _, op := range []string{"load", "acquire", "save"} {
		t.Run(op, func(t *testing.T) {
			inShop(t, 1, func(t *testing.T, s *shop) {
				s.replicas[0].customer("old")
				s.leasingStore.fail(always(op, breaks))
				require.ErrorIs(t, s.move(0, "old", "new"), sentinel.StoreUnavailable)
				s.leasingStore.fail(nil)
				time.Sleep(time.Minute)
				assert.Equal(t, Customer, s.replicas[0].info("old").Kind)
				assert.Nil(t, s.replicas[0].row("new"))
				require.NoError(t, s.move(0, "old", "new"))
			})
		})
	}
}

// A move that failed leaves no copy of the session at the new key, also where the store
// made the write and lost the response, or makes it later.
func TestMove_AFailedMoveLeavesNoCopy(t *testing.T) {
	lasting := map[string]func(*atomic.Bool) trip{
		"lost responses": func(down *atomic.Bool) trip {
			if down.Load() {
				return loses
			}
			return works
		},
		"a write that is made later": func(down *atomic.Bool) trip {
			if down.Load() {
				time.Sleep(10 * time.Minute)
			}
			return works
		},
	}
	for name, fault := range lasting {
		for _, outage := range []time.Duration{0, 2 * time.Minute} {
			for _, closes := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", outage, " closes ", closes), func(t *testing.T) {
					inVirtualTime(t, func(t *testing.T, w *fixture) {
						v := w.customer("old")
						store := &faultyKey{fakeStore: w.fakeStore, key: rowOf("new"), down: new(atomic.Bool)}
						store.fault = func() trip { return fault(store.down) }
						w.m.store = store
						store.down.Store(true)
						require.ErrorIs(t, w.m.at(v).MoveTo(t.Context(), w.m.at(visitor("new"))), sentinel.StoreUnavailable)
						assert.Equal(t, None, w.info("new").Kind, "for this process at once")
						time.Sleep(outage)
						store.down.Store(false)
						if closes {
							_ = w.m.Close(t.Context())
						} else {
							w.info("new")
							time.Sleep(20 * time.Minute)
						}
						if name == "lost responses" || !closes {
							row := w.row("new")
							assert.True(t, row == nil || row.Kind == None, "%+v", row)
						}
						assert.Equal(t, Customer, w.row("old").Kind)
						time.Sleep(20 * time.Minute)
					})
				})
			}
		}
	}
}

// faultyKey is a store whose writes of one row fail.
type faultyKey struct {
	*fakeStore
	key   string
	down  *atomic.Bool
	fault func() trip
}

func (s *faultyKey) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if key != s.key {
		return s.fakeStore.SaveIf(ctx, key, data, expected, generation, ttl)
	}
	how := s.fault()
	saved, err := s.fakeStore.SaveIf(ctx, key, data, expected, generation, ttl)
	if how == loses {
		return false, errStoreDown
	}
	return saved, err
}

// A session that keeps changing while it is moved stays where it is, and only there.
func TestMove_ASessionThatKeepsChangingLeavesNoCopy(t *testing.T) {
	for _, fails := range []bool{false, true} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("old")
			other := newFixture(t, w.tokenServer, w.fakeStore)
			store := &changing{fakeStore: w.fakeStore, key: rowOf("new"), loads: -1}
			store.then = func() { // another process changes the old row each time
				require.NoError(t, other.m.at(visitor("old")).Refresh(t.Context(), nil))
				if fails {
					store.loads = 1 // the write is answered, what follows fails
				}
			}
			w.m.store = store
			require.ErrorIs(t, w.m.at(v).MoveTo(t.Context(), w.m.at(visitor("new"))), sentinel.StoreUnavailable)
			store.then, store.loads = nil, -1
			assert.Equal(t, None, w.info("new").Kind)
			time.Sleep(time.Minute)
			assert.Equal(t, None, w.row("new").Kind)
			assert.Equal(t, Customer, w.row("old").Kind)
			assert.Zero(t, w.size("pending writes"))
		})
	}
}

// changing is a store in which something else happens after each write of one row.
type changing struct {
	*fakeStore
	key   string
	then  func()
	loads int // of other rows, until they fail; below 0 they don't
}

func (s *changing) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if key != s.key && s.loads >= 0 {
		if s.loads == 0 {
			return nil, false, errStoreDown
		}
		s.loads--
	}
	return s.fakeStore.Load(ctx, key)
}

func (s *changing) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if s.then != nil && key == s.key {
		defer s.then()
	}
	return s.fakeStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func TestMove_NothingToCarry(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		require.NoError(t, s.move(0, "old", "new"))
		assert.Nil(t, s.replicas[0].row("old"))
		assert.Nil(t, s.replicas[0].row("new"))
	})
}

// A session that ended by itself is told at the new key.
func TestMove_AnExpiredSession(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.replicas[0].customer("old")
		time.Sleep(customerLife + time.Hour)
		_, err := s.use(0, "old", WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		require.NoError(t, s.move(0, "old", "new"))
		_, err = s.use(0, "new", WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		_, err = s.use(0, "old", WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
	})
}

// A move waits for the renewal of another replica, and carries what it brings.
func TestMove_DuringARenewal(t *testing.T) {
	for replica, name := range []string{"in this process", "in another"} {
		t.Run(name, func(t *testing.T) {
			inShop(t, 2, func(t *testing.T, s *shop) {
				s.replicas[0].customer("old")
				before := s.replicas[0].info("old")
				time.Sleep(customerDue)
				s.slow(refreshCustomer, 3*time.Second)
				_, err := s.use(0, "old", WantCustomer)
				require.NoError(t, err)
				time.Sleep(time.Second)
				assert.GreaterOrEqual(t, elapsed(func() { require.NoError(t, s.move(replica, "old", "new")) }), 2*time.Second)
				after := s.replicas[0].info("new")
				assert.False(t, before.Refresh.Equal(after.Refresh))
				assert.Equal(t, Customer, after.Kind)
				assert.Equal(t, None, s.replicas[0].row("old").Kind)
				require.NoError(t, s.replicas[1].m.at(visitor("new")).Refresh(t.Context(), nil))
				s.sentOnce(refreshCustomer)
			})
		})
	}
}

// A refresh token that a dead process may have spent is held back at the new key
// too.
func TestMove_ASessionInDoubt(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("old")
		s.leasingStore.lend(t, "old", "the dead", leaseTime)
		time.Sleep(leaseTime + time.Second)
		require.NoError(t, s.move(1, "old", "new"))
		assert.True(t, s.replicas[0].row("new").Suspect)
		time.Sleep(customerDue)
		_, err := s.use(0, "new", WantCustomer)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Zero(t, s.tokenServer.count(refreshCustomer))
	})
}

// What changes the old key's row while it is carried is carried too.
func TestMove_WhatComesBetween(t *testing.T) {
	between := func(t *testing.T, act func(s *shop)) {
		inShop(t, 2, func(t *testing.T, s *shop) {
			s.replicas[0].customer("old")
			s.links[0].on("save", func() { // the first is that of the new key
				s.links[0].on("save", func() { act(s) })
			})
			require.NoError(t, s.move(0, "old", "new"))
			time.Sleep(time.Minute)
			assert.Equal(t, None, s.replicas[1].row("old").Kind)
			switch row := s.replicas[1].row("new"); {
			case s.tokenServer.count(login) == 2:
				require.Equal(t, Customer, row.Kind)
				assert.Contains(t, s.replicas[1].info("new").SaaS.Reveal(), row.Access.Reveal())
				assert.Equal(t, s.tokenServer.of(login)[1].at, row.Issued, "the last login wins")
			default:
				assert.Equal(t, None, row.Kind, "logged out is logged out")
				_, err := s.use(0, "new", WantCustomer)
				require.ErrorIs(t, err, sentinel.NotLoggedIn)
			}
		})
	}
	t.Run("a logout", func(t *testing.T) {
		between(t, func(s *shop) {
			time.Sleep(time.Second)
			assert.NoError(t, s.replicas[1].m.at(visitor("old")).Logout(s.t.Context(), noCall))
		})
	})
	t.Run("a login", func(t *testing.T) {
		between(t, func(s *shop) {
			time.Sleep(time.Second)
			s.replicas[1].logIn(visitor("old"))
		})
	})
}

// A process that was asleep meets the tombstone.
func TestMove_ALateWriter(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("old")
		time.Sleep(customerDue)
		s.links[1].on("save", func() {
			time.Sleep(40 * time.Second) // longer than its lease
		})
		_, err := s.use(1, "old", WantCustomer)
		require.NoError(t, err)
		time.Sleep(35 * time.Second)
		require.NoError(t, s.move(0, "old", "new"))
		time.Sleep(10 * time.Minute)
		assert.Equal(t, None, s.replicas[0].row("old").Kind)
		assert.Equal(t, Customer, s.replicas[0].row("new").Kind)
		assert.Zero(t, s.replicas[1].size("pending writes"))
	})
}

// Due renews in the foreground, and nothing else does.
func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, fakeStore := &tokenServer{}, newLeasingStore()
		w := newFixtureOver(t, o, fakeStore.fakeStore, fakeStore)
		w.m.cfg.Foreground = true
		due := func() error { return w.m.at(visitor("jo")).RenewIfDue(t.Context()) }

		require.NoError(t, due())
		assert.Nil(t, w.row("jo"), "it begins nothing")
		w.customer("jo")
		require.NoError(t, due())
		assert.Zero(t, o.count(refreshCustomer))

		time.Sleep(customerDue)
		for range 10 {
			w.token(visitor("jo"), WantCustomer)
			time.Sleep(time.Second)
		}
		assert.Zero(t, o.count(refreshCustomer), "not in the background")
		o.script(2*time.Second, nil)
		before := w.row("jo").Generation
		require.NoError(t, due())
		assert.Equal(t, 1, o.count(refreshCustomer))
		assert.Greater(t, w.row("jo").Generation, before, "it is written when Due returns")
		synctest.Wait()
		assert.Zero(t, w.size("running"))
		require.NoError(t, due())
		assert.Equal(t, 1, o.count(refreshCustomer))

		time.Sleep(customerDue)
		o.script(0, failing(map[string]failure.Outcome{refreshCustomer: failure.Failed}))
		require.ErrorIs(t, due(), errWire)
		require.NoError(t, due(), "not again at once")
		assert.Equal(t, 2, o.count(refreshCustomer))
		w.token(visitor("jo"), WantCustomer)
		o.script(0, nil)
		time.Sleep(time.Minute)
		require.NoError(t, due())
		assert.Equal(t, 3, o.count(refreshCustomer))

		time.Sleep(customerLife + time.Hour)
		require.NoError(t, due())
		_, err := w.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		fakeStore.fail(always("load", breaks))
		require.ErrorIs(t, due(), sentinel.StoreUnavailable)
		require.NoError(t, w.m.Close(t.Context()))
		require.ErrorIs(t, due(), sentinel.Closed)
	})
}

// A doubt is about the tokens that were there: those of a login that came while the
// session was moved are free of it.
func TestMove_ADoubtGoesWithItsTokens(t *testing.T) {
	for _, again := range []bool{false, true} {
		inShop(t, 2, func(t *testing.T, s *shop) {
			s.replicas[0].customer("old")
			s.leasingStore.lend(t, "old", "dead", time.Second)
			time.Sleep(time.Minute)
			s.links[0].on("save", func() { // of the new key
				s.links[0].on("save", func() { // of the old one
					if again {
						s.replicas[1].logIn(visitor("old"))
					}
				})
			})
			require.NoError(t, s.move(0, "old", "new"))
			assert.Equal(t, !again, s.replicas[1].row("new").Suspect)
			assert.Equal(t, None, s.replicas[1].row("old").Kind)
		})
	}
}

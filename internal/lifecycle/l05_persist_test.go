package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/rows"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/wire"
)

func TestL05_ATokenIsSavedBeforeItIsUsed(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.fakeStore.fail(func(op string) trip {
			if op == "save" {
				time.Sleep(time.Second)
			}
			return works
		})
		v := visitor("jo")
		for range 3 {
			assert.Equal(t, time.Second, elapsed(func() {
				token := w.token(v, WantAnonymous)
				assert.Equal(t, token, w.row("jo").Access.Reveal())
			}))
			time.Sleep(2 * time.Hour)
		}
		assert.Equal(t, time.Second, elapsed(func() { w.logIn(v) })-time.Second, "its own bearer is renewed first")
		assert.Equal(t, Customer, w.row("jo").Kind)
	})
}

// Hiccups of up to five seconds are nobody's business.
func TestL05_AShortHiccupIsNotSeen(t *testing.T) {
	for _, how := range []trip{breaks, loses, panics} {
		for tries := 1; tries < writeTries; tries++ {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				w.customer("jo")
				time.Sleep(13 * time.Hour)
				left := tries
				w.fakeStore.fail(func(op string) trip {
					if op != "save" || left == 0 {
						return works
					}
					left--
					return how
				})
				require.NoError(t, w.m.at(visitor("jo")).Refresh(t.Context(), nil))
				assert.Zero(t, left*w.tokenServer.count(revoke))
				assert.Equal(t, w.row("jo").Access.Reveal(), w.token(visitor("jo"), WantCustomer))
				assert.Equal(t, []EventKind{EventStarted, EventLoggedIn, EventRefreshed}, w.told())
				assert.Equal(t, 1, w.tokenServer.count(refreshCustomer))
			})
		}
	}
}

// A store that is gone for longer: the caller gets the response, this process
// goes on, and the row is written when the store is back.
func TestL05_ALongOutageLosesNothing(t *testing.T) {
	acts := map[string]func(*fixture, *Visitor){
		"a new session": func(w *fixture, v *Visitor) { w.token(v, WantAnonymous) },
		"a renewal": func(w *fixture, v *Visitor) {
			assert.NoError(w.t, w.m.at(v).Refresh(w.t.Context(), nil))
		},
		"a login": func(w *fixture, v *Visitor) { w.logIn(v) },
	}
	for name, act := range acts {
		for _, how := range []trip{breaks, loses} {
			t.Run(fmt.Sprint(name, " ", how), func(t *testing.T) {
				inVirtualTime(t, func(t *testing.T, w *fixture) {
					v := visitor("jo")
					if name == "a renewal" {
						w.customer("jo")
						time.Sleep(time.Hour)
					}
					w.told()
					var failing atomic.Bool
					failing.Store(true)
					w.fakeStore.fail(func(op string) trip {
						if op != "save" || !failing.Load() {
							return works
						}
						if how == loses {
							failing.Store(false) // applied once, never confirmed
						}
						return how
					})
					took := elapsed(func() { act(w, v) })
					if how == breaks {
						assert.Greater(t, took, 4*time.Second)
						assert.Less(t, took, 15*time.Second)
						assert.Contains(t, w.told(), EventStoreWriteFailed)
					}
					held := w.info("jo")
					require.NotEqual(t, None, held.Kind)
					assert.Equal(t, held.Access.Reveal(), w.token(visitor("jo"), WantAny), "another value sees it too")
					time.Sleep(20 * time.Second)
					failing.Store(false)
					time.Sleep(10 * time.Second)
					require.NotNil(t, w.row("jo"))
					assert.Equal(t, held.Access.Reveal(), w.row("jo").Access.Reveal())
					assert.Zero(t, w.size("pending writes"))
					assert.Zero(t, w.size("running"))
				})
			})
		}
	}
}

// A renewal on top of one that is still owed replaces both the row and the debt,
// whichever of the two is written first.
func TestL05_ARenewalOverAnOwedOne(t *testing.T) {
	for at := range 40 {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("jo")
			w.fakeStore.fail(always("save", breaks))
			require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
			time.Sleep(time.Duration(at) * 100 * time.Millisecond)
			w.fakeStore.fail(func(op string) trip { // slow, so that the two writes overlap
				time.Sleep(150 * time.Millisecond)
				return works
			})
			require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
			calls := w.tokenServer.of(refreshCustomer)
			require.Len(t, calls, 2)
			require.NotEqual(t, calls[0].refresh, calls[1].refresh, "at %d", at)
			time.Sleep(time.Minute)
			last := fmt.Sprint("C", len(w.tokenServer.calls))
			assert.Equal(t, last, w.row("jo").Access.Reveal(), "at %d", at)
			assert.Equal(t, last, w.token(visitor("jo"), WantCustomer), "at %d", at)
			assert.Zero(t, w.size("pending writes"))
			assert.Zero(t, w.tokenServer.count(revoke))
		})
	}
}

// slowAnswers is a fakeStore that reads at once and answers later.
type slowAnswers struct{ *fakeStore }

func (s slowAnswers) Load(ctx context.Context, key string) ([]byte, bool, error) {
	data, found, err := s.fakeStore.Load(ctx, key)
	time.Sleep(1800 * time.Millisecond)
	return data, found, err
}

// What is owed is paid while the row is read: the row as it was is no news.
func TestL05_AReadThatIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakeStore := &fakeStore{rows: map[string]fakeRow{}}
		w := newFixtureOver(t, &tokenServer{}, fakeStore, slowAnswers{fakeStore})
		w.customer("jo")
		before := w.row("jo")
		fakeStore.fail(always("save", breaks))
		require.NoError(t, w.m.at(visitor("jo")).Refresh(t.Context(), nil))
		require.Equal(t, 1, w.size("pending writes"))
		fakeStore.fail(nil)
		assert.False(t, before.Access.Equal(w.info("jo").Access))
		assert.Zero(t, w.size("pending writes"), "it was written in between")
	})
}

func TestL05_ReadsFailClosed(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.token(visitor("jo"), WantAnonymous)
		for _, how := range []trip{breaks, panics} {
			w.fakeStore.fail(always("load", how))
			_, err := w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous)
			require.ErrorIs(t, err, sentinel.StoreUnavailable)
			assert.NotContains(t, err.Error(), "R1")
		}
		assert.Equal(t, 1, w.tokenServer.count(anonymous), "a silent new session would lose the cart")
		w.fakeStore.fail(nil)
		assert.Equal(t, "A1", w.token(visitor("jo"), WantAnonymous))
	})
}

// slowStore answers after an hour, or when the context ends.
type slowStore struct{ *fakeStore }

func (s slowStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if !pause(ctx, time.Hour) {
		return nil, false, context.Cause(ctx)
	}
	return s.fakeStore.Load(ctx, key)
}

func TestL05_ASlowStoreHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakeStore := &fakeStore{rows: map[string]fakeRow{}}
		w := newFixtureOver(t, &tokenServer{}, fakeStore, slowStore{fakeStore})
		assert.Equal(t, 2*time.Second, elapsed(func() {
			_, err := w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous)
			assert.ErrorIs(t, err, sentinel.StoreUnavailable)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.m.at(visitor("jo")).Token(ctx, WantAnonymous)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, sentinel.StoreUnavailable)
	})
}

func TestL05_AnEvictedRow(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.customer("jo")
		w.fakeStore.rows = map[string]fakeRow{}
		_, err := w.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		w.told()
		w.token(visitor("jo"), WantAny)
		assert.Equal(t, []EventKind{EventStarted}, w.told())
	})
}

// A row that was evicted and begun anew has none of its former generations, so
// that a late writer of the former life is beaten.
func TestL05_GenerationsDontComeBack(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		seen := map[uint64]bool{}
		for range 10 {
			w.customer("jo")
			r := w.row("jo")
			require.False(t, seen[r.Generation])
			seen[r.Generation] = true
			w.fakeStore.rows = map[string]fakeRow{}
			time.Sleep(time.Millisecond)
		}
	})
}

// What is owed for visitors who never come back doesn't stay for ever.
func TestL05_DebtsAreForgotten(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		for i := range 4 * manyPending {
			r := begin(Anonymous, Grant{SentAt: time.Now()}, 0)
			require.True(t, w.m.pending.add(rowOf(fmt.Sprint(i)), &Record{}, r, []uint64{0}))
			time.Sleep(time.Minute)
		}
		assert.Less(t, w.size("pending writes"), 2*manyPending)
	})
}

// A store without a conditional save: within one process the comparison holds.
func TestStoresThatCannotCompare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakeStore := &fakeStore{rows: map[string]fakeRow{}}
		w := newFixtureOver(t, &tokenServer{}, fakeStore, struct{ Store }{fakeStore})
		fakeStore.fail(func(string) trip { time.Sleep(10 * time.Millisecond); return works })
		v := w.customer("jo")
		time.Sleep(13 * time.Hour)
		w.tokenServer.script(time.Second, nil)
		w.token(v, WantCustomer)
		synctest.Wait()
		require.NoError(t, w.m.at(v).Logout(t.Context(), noCall))
		time.Sleep(time.Minute)
		assert.Equal(t, None, w.row("jo").Kind)
		assert.Equal(t, 1, w.tokenServer.count(revoke))

		// One writer per key at a time, also if one gives up.
		compare := conditional(struct{ Store }{fakeStore})
		base := w.row("jo").Generation
		var all sync.WaitGroup
		won := make([]bool, 20)
		for i := range won {
			all.Go(func() {
				data := (&Record{Generation: base + uint64(i) + 1}).encode()
				saved, err := compare.SaveIf(t.Context(), rowOf("jo"), data, base, base+uint64(i)+1, time.Hour)
				assert.NoError(t, err)
				won[i] = saved
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		synctest.Wait()
		_, err := compare.SaveIf(ctx, rowOf("jo"), nil, base, base+1, time.Hour)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		all.Wait()
		winners := 0
		for _, w := range won {
			if w {
				winners++
			}
		}
		assert.Equal(t, 1, winners)
		assert.Zero(t, compare.(*rows.Comparing).Held())
	})
}

func TestRowsLiveLongerThanTheirTokens(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	tests := map[string]struct {
		r    Record
		want time.Duration
	}{
		"anonymous":             {Record{Kind: Anonymous, AccessUntil: now.Add(time.Hour), RefreshUntil: now.Add(day)}, 2 * day},
		"customer":              {Record{Kind: Customer, AccessUntil: now.Add(30 * day), RefreshUntil: now.Add(day)}, 60 * day},
		"exchange":              {Record{Kind: Customer, AccessUntil: now.Add(4 * time.Hour), RefreshUntil: now.Add(180 * day)}, 210 * day},
		"customer, over":        {Record{Kind: Customer, AccessUntil: now.Add(-day)}, 30 * day},
		"expired, then a guest": {Record{Kind: Anonymous, Ended: true, AccessUntil: now.Add(time.Hour)}, 30*day + time.Hour},
		"expired":               {Record{Ended: true}, 30 * day},
		"logged out":            {Record{}, time.Hour},
	}
	for name, tt := range tests {
		assert.Equal(t, tt.want, tt.r.ttl(now), name)
	}
}

func full() *Record {
	issued := time.UnixMilli(1767225600123)
	return &Record{
		Generation: 1767225600123456, Kind: Customer, Ended: true, Suspect: true,
		Access: secret.New("CANARY-access"), Refresh: secret.New("CANARY-refresh"), SaaS: secret.New("CANARY-saas"),
		Issued: issued, AccessUntil: issued.Add(time.Hour), RefreshUntil: issued.Add(24 * time.Hour),
		SessionID: "CANARY-session", LegalEntity: "company", Context: SessionContext{Currency: "EUR", SiteCode: "main", Language: "de", TargetLocation: "DE"},
	}
}

func TestWhatIsReadAgainIsTheSame(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		time.Sleep(1234567 * time.Nanosecond)
		held, err := w.m.at(w.customer("jo")).Info(t.Context())
		require.NoError(t, err)
		written := w.row("jo")
		assert.Equal(t, written.Issued, held.Issued)
		assert.Equal(t, written.AccessUntil, held.AccessUntil)
		assert.Equal(t, written.RefreshUntil, held.RefreshUntil)
	})
}

func TestRecordsSurviveTheStore(t *testing.T) {
	longest, ended, refused := full(), full(), full()
	longest.AccessUntil, longest.RefreshUntil = longest.Issued.Add(maxLife), longest.Issued.Add(maxLife)
	ended.AccessUntil, ended.RefreshUntil = ended.Issued, ended.Issued.Add(time.Millisecond)
	refused.Refusals = refusals{1, 7, ended.Issued}
	for _, r := range []*Record{full(), longest, ended, refused, {Generation: 1}, {Generation: 2, Ended: true}} {
		got, err := decode(r.encode())
		require.NoError(t, err)
		assert.JSONEq(t, string(r.encode()), string(got.encode()))
		assert.True(t, r.RefreshUntil.Equal(got.RefreshUntil))
		assert.True(t, r.AccessUntil.Equal(got.AccessUntil))
	}
}

// The employee's bearer never lies in the store; whoever puts it into a visitor's
// row gives the visitor nothing.
func TestAVisitorsRowHoldsNoEmployee(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		r := begin(Employee, Grant{SentAt: time.Now(), Token: wire.Token{Access: secret.New("E1")}}, 0)
		require.NoError(t, w.fakeStore.Save(t.Context(), rowOf("jo"), r.encode(), r.Generation, time.Hour))
		for _, want := range []Want{WantAnonymous, WantCustomer, WantAny} {
			_, err := w.m.at(visitor("jo")).Token(t.Context(), want)
			require.ErrorIs(t, err, sentinel.StoreCorrupt)
		}
		assert.Empty(t, w.tokenServer.calls)
	})
}

func TestRowsThatAreRefused(t *testing.T) {
	whole := string(full().encode())
	for name, data := range map[string]string{
		"empty": "", "null": "null", "an array": "[]", "no object": `"CANARY"`, "cut": whole[:len(whole)/2], "twice": whole + whole,
		"no version": strings.Replace(whole, `"v":1,`, "", 1), "an earlier version": strings.Replace(whole, `"v":1`, `"v":0`, 1),
		"no generation":   strings.Replace(whole, `"g":1767225600123456,`, "", 1),
		"a kind too many": strings.Replace(whole, `"k":2`, `"k":9`, 1), "a negative life": strings.Replace(whole, `"x":3600000`, `"x":-1`, 1),
		"the next kind": strings.Replace(whole, `"k":2`, `"k":4`, 1), "a negative refresh life": strings.Replace(whole, `"y":86400000`, `"y":-1`, 1),
		"just too long": strings.Replace(whole, `"x":3600000`, `"x":31536000001`, 1), "a refresh life just too long": strings.Replace(whole, `"y":86400000`, `"y":31536000001`, 1),
		"not issued": strings.Replace(whole, `"i":1767225600123,`, "", 1), "a negative version": strings.Replace(whole, `"v":1`, `"v":-1`, 1),
		"a life too long": strings.Replace(whole, `"x":3600000`, `"x":9223372036854775807`, 1),
		"no access token": strings.Replace(whole, `"a":"CANARY-access",`, "", 1), "a number as token": strings.Replace(whole, `"CANARY-access"`, "7", 1),
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, whole, data)
			r, err := decode([]byte(data))
			require.ErrorIs(t, err, sentinel.StoreCorrupt)
			assert.Nil(t, r)
			assert.NotContains(t, err.Error(), "CANARY")
		})
	}
}

// FuzzDecodeRecord: whatever lies in a store, reading it doesn't panic, its
// error shows nothing of it, and what is read can be written and read again.
func FuzzDecodeRecord(f *testing.F) {
	f.Add(full().encode(), "k")
	f.Add((&Record{Generation: 1}).encode(), "k")
	f.Add([]byte(`{"v":1,"g":1,"k":1,"a":"t","i":9223372036854775807,"x":31536000000,"y":1}`), "k")
	f.Add([]byte(`{"v":1,"g":18446744073709551615,"k":2,"a":"\ud800","i":-1}`), "k")
	f.Add([]byte("\xff{"), "")
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		r, err := decode(data)
		if err != nil {
			require.NotEqual(t, errors.Is(err, sentinel.StoreCorrupt), errors.Is(err, sentinel.StoreUnavailable))
			require.Less(t, len(err.Error()), 250)
			for i := 0; i+12 <= len(data); i++ {
				if chunk := string(data[i : i+12]); strings.Contains(err.Error(), chunk) {
					require.Contains(t, "emporix: token store row unreadable: bytes that are no session record; Logout discards the row; its version is this SDK reads its fields contradict each other"+
						"emporix: token store unavailable: the session was written by a newer version of the SDK (row version this process reads nothing is lost: try again, and update this process", strings.Trim(chunk, "0123456789, "))
				}
			}
			return
		}
		now := time.UnixMilli(1767225600123)
		_ = r.plan(key, now)
		_ = r.ttl(now)
		_ = r.backoff(1 << 20)
		again, err := decode(r.encode())
		require.NoError(t, err)
		require.Equal(t, string(r.encode()), string(again.encode()))
	})
}

// A lease that is kept for a row is handed out once.
func TestL05_AKeptLeaseIsHandedOutOnce(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		key, l := rowOf("jo"), &lease{}
		assert.False(t, w.m.pending.keepLease(key, l), "nothing is owed")
		require.True(t, w.m.pending.add(key, &Record{}, &Record{Generation: 1}, []uint64{0}))
		assert.True(t, w.m.pending.keepLease(key, l))
		assert.Same(t, l, w.m.pending.takeLease(key))
		assert.Nil(t, w.m.pending.takeLease(key))
	})
}

// Where no row is left, a tombstone may have been there: after its life nothing that is
// pending is written in the place of no row.
func TestL05_APendingWriteFollowsNoRowThatEndedLongAgo(t *testing.T) {
	for waited, written := range map[time.Duration]bool{tombstoneLife - time.Minute: true, tombstoneLife + time.Minute: false} {
		for _, closes := range []bool{false, true} {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				w.fakeStore.fail(always("save", breaks))
				w.customer("jo")
				time.Sleep(waited)
				w.fakeStore.fail(nil)
				if closes {
					require.NoError(t, w.m.Close(t.Context()))
				} else {
					w.info("jo")
					synctest.Wait()
				}
				assert.Equal(t, written, w.row("jo") != nil, "%s", waited)
				assert.Zero(t, w.size("pending writes"))
			})
		}
	}
}

// While a write is pending, a store that hangs keeps no caller longer than one reading.
func TestL05_ATryBesideACallCostsTheCallerNothing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.fakeStore.fail(always("save", breaks))
		w.customer("jo")
		time.Sleep(2 * time.Minute)
		w.fakeStore.fail(func(op string) trip {
			if op == "save" {
				time.Sleep(time.Hour)
			}
			return works
		})
		for range 20 {
			assert.Zero(t, elapsed(func() { w.token(visitor("jo"), WantCustomer) }))
			time.Sleep(time.Second)
		}
		w.fakeStore.fail(nil)
		time.Sleep(retryPause)
		w.token(visitor("jo"), WantCustomer)
		synctest.Wait()
		assert.Zero(t, w.size("pending writes"))
		time.Sleep(2 * time.Hour)
	})
}

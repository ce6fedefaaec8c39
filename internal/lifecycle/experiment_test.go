package lifecycle

import (
	"context"
	"errors"
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

// refusing answers the given calls with a refusal that names no reason.
func refusing(ops ...string) func(context.Context, tokenCall, *Grant) error {
	outcomes := map[string]failure.Outcome{}
	for _, op := range ops {
		outcomes[op] = failure.Undecided
	}
	return failing(outcomes)
}

// One request of the experiment at a time, however many replicas and callers.
func TestL06_TheExperimentIsMadeOnce(t *testing.T) {
	inShop(t, 3, func(t *testing.T, s *shop) {
		old := s.guest("jo")
		time.Sleep(guestOver)
		logins := s.tokenServer.count(anonymous)
		s.tokenServer.script(time.Second, refusing(refreshAnonymous))
		tokens := s.everywhere(20, "jo", WantAnonymous)
		assert.Len(t, tokens, 1)
		assert.NotContains(t, tokens, old)
		assert.Equal(t, 2, s.tokenServer.count(refreshAnonymous))
		assert.Equal(t, logins+1, s.tokenServer.count(anonymous))
		assert.Empty(t, s.leasingStore.lent("jo"))
	})
}

// What the second refresh of the experiment may come to.
func TestL06_TheSecondRefreshDecides(t *testing.T) {
	for name, tt := range map[string]struct {
		second  failure.Outcome
		refused bool // the second one is
		kept    bool
		err     bool
	}{
		"it works": {kept: true}, "undecided again": {second: failure.Undecided, refused: true}, "a definite no": {second: failure.Refused, refused: true},
		"no response": {second: failure.Unknown, refused: true, kept: true, err: true}, "an outage": {second: failure.Failed, refused: true, kept: true, err: true},
		"not sent": {second: failure.NotSent, refused: true, kept: true, err: true},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := visitor("jo")
				w.token(v, WantAnonymous)
				before := w.info("jo")
				time.Sleep(2 * time.Hour)
				sent := 0
				w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					if c.op != refreshAnonymous {
						return nil
					}
					if sent++; sent == 1 {
						return &failure.Failure{Token: failure.Undecided, Err: errWire}
					}
					if tt.refused {
						return &failure.Failure{Token: tt.second, Err: errWire}
					}
					return nil
				})
				_, err := w.m.at(v).Token(t.Context(), WantAnonymous)
				after := w.row("jo")
				if tt.err {
					require.ErrorIs(t, err, sentinel.Unavailable)
					require.ErrorIs(t, err, errWire)
					assert.True(t, before.Refresh.Equal(after.Refresh))
				} else {
					require.NoError(t, err)
				}
				assert.Equal(t, tt.kept, before.SessionID == after.SessionID)
				if !tt.kept || !tt.err {
					assert.Greater(t, after.Generation, before.Generation)
				}
			})
		})
	}
}

// The replacement has the context of the session that it replaces.
func TestL06_TheReplacementKeepsTheContext(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		require.NoError(t, w.m.at(v).Start(t.Context(), SessionContext{SiteCode: "main"}))
		time.Sleep(2 * time.Hour)
		w.tokenServer.script(0, refusing(refreshAnonymous))
		w.token(v, WantAnonymous)
		calls := w.tokenServer.of(anonymous)
		assert.Equal(t, "main", calls[len(calls)-1].entity)
		assert.Equal(t, "main", w.row("jo").Context.SiteCode)
	})
}

// A lease that runs short between the two refreshes is taken again.
func TestL06_AShortLeaseInTheExperiment(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		s.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
			switch c.op {
			case refreshAnonymous:
				return &failure.Failure{Token: failure.Undecided, Err: errWire}
			case anonymous:
				if s.tokenServer.count(refreshAnonymous) == 1 {
					s.leasingStore.drop("jo")
				}
			}
			return nil
		})
		s.links[0].used()
		_, err := s.use(0, "jo", WantAnonymous)
		require.NoError(t, err)
		assert.Equal(t, 2, s.links[0].used()["acquire"])
		assert.Equal(t, 3, s.tokenServer.count(refreshAnonymous))
	})
}

// A logout during the experiment wins, and a login too.
func TestL06_TheExperimentOvertaken(t *testing.T) {
	for _, at := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := visitor("jo")
			w.token(v, WantAnonymous)
			time.Sleep(2 * time.Hour)
			w.tokenServer.script(time.Second, refusing(refreshAnonymous))
			var both sync.WaitGroup
			both.Go(func() { _, _ = w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous) })
			time.Sleep(at)
			_, err := w.m.at(v).overwrite(t.Context(), w.row("jo"), func(current *Record) *Record {
				g, _ := w.tokenServer.login(t.Context(), Token{&bearer{}})
				return begin(Customer, g, current.Generation)
			}, EventLoggedIn)
			require.NoError(t, err)
			both.Wait()
			synctest.Wait()
			assert.Equal(t, Customer, w.row("jo").Kind)
		})
	}
}

// The count is shared by the replicas, and a locked session is not written with
// every call.
func TestL06_RefusalsAreCountedInTheRow(t *testing.T) {
	inShop(t, 3, func(t *testing.T, s *shop) {
		s.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
			g.ExpiresIn.Duration = time.Hour
			return nil
		})
		s.replicas[0].customer("jo")
		time.Sleep(90 * time.Minute)
		s.tokenServer.script(0, refusing(refreshCustomer))
		written := s.leasingStore.saves
		for i := range 12 {
			_, err := s.use(i%3, "jo", WantCustomer)
			require.ErrorIs(t, err, sentinel.Unavailable, i)
			time.Sleep(9900 * time.Millisecond)
		}
		assert.Equal(t, 2, s.leasingStore.saves-written)
		row := s.replicas[0].row("jo")
		assert.Equal(t, Customer, row.Kind)
		assert.False(t, row.Refresh.IsZero())
		time.Sleep(2 * time.Second)
		_, err := s.use(1, "jo", WantCustomer)
		require.ErrorIs(t, err, sentinel.SessionExpired)
		for i := range 3 {
			_, err := s.use(i, "jo", WantCustomer)
			require.ErrorIs(t, err, sentinel.SessionExpired)
		}
		assert.Equal(t, 13, s.tokenServer.count(refreshCustomer))
	})
}

func TestL06_Refusals(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f, no := refusals{}.again(7, now)
	assert.Equal(t, refusals{1, 7, now}, f)
	assert.False(t, no)
	f, no = f.again(7, now.Add(time.Hour))
	assert.Equal(t, refusals{2, 7, now}, f)
	assert.False(t, no, "twice")
	_, no = f.again(7, now.Add(refusalTime-time.Millisecond))
	assert.False(t, no, "not long enough")
	_, no = f.again(7, now.Add(refusalTime))
	assert.True(t, no)
	other, no := f.again(8, now.Add(time.Hour))
	assert.Equal(t, refusals{1, 8, now.Add(time.Hour)}, other)
	assert.False(t, no, "another refusal")
	early, no := f.again(7, now.Add(-time.Hour))
	assert.Equal(t, refusals{1, 7, now.Add(-time.Hour)}, early, "a clock that went back locks nobody out")
	assert.False(t, no)

	r := &Record{Generation: 3, Kind: Customer, Issued: now, AccessUntil: now.Add(time.Hour), Refusals: f}
	r.Access = secret.New("C")
	back, err := decode(r.encode())
	require.NoError(t, err)
	assert.Equal(t, f.count, back.Refusals.count)
	assert.Equal(t, f.as, back.Refusals.as)
	assert.True(t, f.since.Equal(back.Refusals.since))
}

// A row that follows another has a later generation, whatever has changed.
func TestEveryChangeOfARecordIsAnotherGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which the clock stands still
		r := begin(Customer, Grant{SentAt: time.Now()}, 0)
		for name, change := range map[string]func(*Record) *Record{
			"renew":          func(r *Record) *Record { return r.renew(Grant{SentAt: time.Now()}) },
			"withoutRefresh": (*Record).withoutRefresh, "suspected": (*Record).suspected, "next": (*Record).next,
			"gone":  func(r *Record) *Record { return r.tombstone(true) },
			"begin": func(r *Record) *Record { return begin(Anonymous, Grant{}, r.Generation) },
		} {
			assert.Greater(t, change(r).Generation, r.Generation, name)
		}
	})
}

// A refused refresh token is dropped from the store too, under a later generation.
func TestL06_ADroppedRefreshTokenIsWritten(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("jo")
		before := s.replicas[0].row("jo").Generation
		time.Sleep(customerDue)
		s.tokenServer.script(0, failing(map[string]failure.Outcome{refreshCustomer: failure.Refused}))
		s.everywhere(3, "jo", WantCustomer)
		time.Sleep(time.Minute)
		row := s.replicas[1].row("jo")
		assert.Greater(t, row.Generation, before)
		assert.True(t, row.Refresh.IsZero())
		assert.True(t, row.RefreshUntil.IsZero())
		s.everywhere(3, "jo", WantCustomer)
		assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
	})
}

// A success ends the back-off: the next failure is again followed by a short pause.
func TestL03_TheBackoffBeginsAnewAfterASuccess(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		fails := func(want bool) {
			answer := failing(map[string]failure.Outcome{refreshCustomer: failure.Failed})
			if !want {
				answer = nil
			}
			w.tokenServer.script(0, answer)
		}
		every := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				w.token(v, WantCustomer)
			}
		}
		gaps := func() (gaps []time.Duration) {
			calls := w.tokenServer.of(refreshCustomer)
			for i := range calls[1:] {
				gaps = append(gaps, calls[i+1].at.Sub(calls[i].at).Round(time.Second))
			}
			return gaps
		}
		time.Sleep(13 * time.Hour)
		fails(true)
		every(20 * time.Minute)
		early := gaps()
		require.GreaterOrEqual(t, len(early), 4)
		assert.Equal(t, []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute}, early[:4])
		fails(false)
		every(20 * time.Minute)
		assert.Zero(t, w.size("backoffs"), "the trouble is over")
		sent := w.tokenServer.count(refreshCustomer)
		time.Sleep(13 * time.Hour)
		fails(true)
		every(5 * time.Minute)
		late := gaps()[sent:]
		require.GreaterOrEqual(t, len(late), 3)
		assert.Equal(t, []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute}, late[:3])
	})
}

// The clocks of the processes may differ: the server's counts, and the two are not
// mixed. Only the same refusal counts.
func TestL06_RefusalsAreTimedByTheServersClock(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		date := time.Now().Add(-time.Hour)
		refuse := func(as string) error {
			r := w.row("jo")
			_, err := w.m.at(v).countRefusal(t.Context(), r, &failure.Failure{Token: failure.Undecided, Problem: wire.Problem{Code: as}, Err: errWire})
			return err
		}
		tellsTheTime := true
		w.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
			if tellsTheTime {
				g.Date = date
			}
			return nil
		})
		for range 5 { // this process's clock runs ahead
			require.Error(t, refuse("400"))
			time.Sleep(refusalTime)
		}
		require.Equal(t, Customer, w.row("jo").Kind)
		date = date.Add(refusalTime)
		require.Error(t, refuse("401"))
		require.Error(t, refuse("401"))
		tellsTheTime = false
		require.Error(t, refuse("401"))
		require.Error(t, refuse("401"))
		time.Sleep(refusalTime)
		require.NoError(t, refuse("401"))
	})
}

// A renewed access token that has ended already takes no live one's place.
func TestL16_ALiveTokenStays(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		old := w.token(v, WantAnonymous)
		before := w.row("jo")
		w.tokenServer.script(2*time.Second, func(_ context.Context, _ tokenCall, g *Grant) error {
			g.ExpiresIn.Duration, g.ExpiresIn.Known = time.Second, true
			return nil
		})
		require.ErrorIs(t, w.m.at(v).Refresh(t.Context(), nil), sentinel.BadResponse)
		after := w.row("jo")
		assert.True(t, after.Access.Equal(before.Access))
		assert.False(t, after.Refresh.Equal(before.Refresh), "the new refresh token is kept")
		assert.True(t, after.AccessUntil.Equal(before.AccessUntil))
		assert.Equal(t, old, w.token(v, WantAnonymous))
	})
}

// An experiment that has no time for the second refresh, or gets no anonymous
// session, decides nothing.
func TestL06_AnExperimentThatIsNotMade(t *testing.T) {
	for name, tt := range map[string]struct {
		takes time.Duration // the anonymous login
		fails map[string]failure.Outcome
		sent  int
		kept  bool
	}{
		"in time":      {14 * time.Second, map[string]failure.Outcome{refreshAnonymous: failure.Undecided}, 2, false},
		"at the limit": {20 * time.Second, map[string]failure.Outcome{refreshAnonymous: failure.Undecided}, 2, false},
		"too late":     {20*time.Second + 1, map[string]failure.Outcome{refreshAnonymous: failure.Undecided}, 1, true},
		"no login":     {0, map[string]failure.Outcome{refreshAnonymous: failure.Undecided, anonymous: failure.Failed}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := visitor("jo")
				old := w.token(v, WantAnonymous)
				time.Sleep(2 * time.Hour)
				w.told()
				w.tokenServer.script(0, func(ctx context.Context, c tokenCall, g *Grant) error {
					if c.op == anonymous {
						time.Sleep(tt.takes)
					}
					return failing(tt.fails)(ctx, c, g)
				})
				_, err := w.m.at(v).Token(t.Context(), WantAnonymous)
				assert.Equal(t, tt.sent, w.tokenServer.count(refreshAnonymous))
				assert.Equal(t, tt.kept, w.row("jo").Access.Reveal() == old)
				if tt.kept {
					require.ErrorIs(t, err, sentinel.Unavailable)
					require.ErrorIs(t, err, errWire)
					assert.Equal(t, []EventKind{EventRefreshFailed}, w.told())
				}
			})
		})
	}
}

// A renewal that failed and ended nothing is an outage to a caller, and no refusal
// of the caller's own; what it was can be asked for all the same.
func TestL06_WhatIsKeptIsAnOutage(t *testing.T) {
	for _, refusal := range refusalKinds {
		for o, outage := range map[failure.Outcome]bool{failure.Undecided: true, failure.Failed: true, failure.NotSent: true, failure.Unknown: false} {
			err := kept(&failure.Failure{Token: o, Err: errors.Join(refusal, errWire)})
			require.ErrorIs(t, err, errWire)
			assert.Equal(t, outage, errors.Is(err, sentinel.Unavailable), "%v %v", refusal, o)
			assert.Equal(t, !outage, errors.Is(err, refusal), "%v %v", refusal, o)
			var found *failure.Failure
			require.ErrorAs(t, err, &found)
		}
	}
	lost := &failure.Failure{Token: failure.NotSent, Err: errWire}
	assert.Equal(t, error(lost), kept(lost), "no refusal")
	assert.Contains(t, kept(&failure.Failure{Token: failure.Failed, Err: errWire}).Error(), "the session is kept")
}

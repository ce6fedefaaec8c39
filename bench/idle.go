package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// row 14 wants sessions that cost nothing while nobody uses them.
const (
	visitors  = 10_000 // made by the SDK itself, to look for timers and goroutines
	idleFor   = 1500 * time.Millisecond
	gcRounds  = 9
	gcPerCall = 3000.0 // ns
)

// idleness is what 10,000 visitors left behind whose tokens ended while they
// were away.
type idleness struct {
	goroutines, timers int
	tokenCalls         int64 // beyond the one that each visitor began with
}

// shortLived answers with anonymous tokens that end after a second.
type shortLived struct{ calls atomic.Int64 }

// RoundTrip answers with a token.
func (s *shortLived) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := canned{}.RoundTrip(req)
	if strings.HasSuffix(req.URL.Path, "/anonymous/login") {
		body := strings.Replace(anonJSON, `"expires_in":3599`, `"expires_in":1`, 1)
		resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	s.calls.Add(1)
	return resp, err
}

func leaveIdle(n int) (idleness, error) {
	api := new(shortLived)
	client, err := emporix.NewClient(tenant, clientID, emporix.WithTransport(api))
	if err != nil {
		return idleness{}, err
	}
	defer closeClient(client)
	before := settled()
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	canary := time.AfterFunc(time.Hour, func() {})
	sessions := make([]*emporix.Session, n)
	for i := range sessions {
		sessions[i] = client.Session(visitorKey(i))
		if _, err := sessions[i].Auth.StartAnonymous(context.Background(), emporix.SessionContext{}); err != nil {
			return idleness{}, err
		}
	}
	runtime.MemProfileRate = rate
	time.Sleep(idleFor)
	out := idleness{goroutines: settled() - before, timers: liveTimers() - 1, tokenCalls: api.calls.Load() - int64(n)}
	runtime.KeepAlive(sessions)
	canary.Stop()
	if out.timers < 0 {
		return out, errors.New("the memory profile does not show timers any more")
	}
	return out, nil
}

// busy lets every processor look through its timers: a timer that was stopped
// lies in a processor's heap until then.
func busy() {
	var all sync.WaitGroup
	until := time.Now().Add(50 * time.Millisecond)
	for range 4 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for time.Now().Before(until) {
				runtime.Gosched()
			}
		})
	}
	all.Wait()
}

// settled returns the number of goroutines when those that are on their way out
// have gone.
func settled() int {
	n := runtime.NumGoroutine()
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		n = min(n, runtime.NumGoroutine())
	}
	return n
}

// liveTimers finds the timers that were made while every allocation was
// recorded, and are not collected.
func liveTimers() int {
	busy()
	runtime.GC() // the profile is as old as the last but one collection
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 4096)
	n, ok := runtime.MemProfile(records, false)
	for !ok {
		records = make([]runtime.MemProfileRecord, n+1024)
		n, ok = runtime.MemProfile(records, false)
	}
	timers := 0
	for _, r := range records[:n] {
		frames := runtime.CallersFrames(r.Stack())
		for more := true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			switch f.Function {
			case "runtime.(*timers).addHeap": // a processor's list of timers has grown
				more = false
			case "time.NewTimer", "time.AfterFunc", "time.NewTicker":
				timers += int(r.InUseObjects())
				more = false
			}
		}
	}
	return timers
}

// capturing keeps the last row that the SDK wrote.
type capturing struct {
	emporix.ConditionalTokenStore
	key string
	row []byte
}

// SaveIf keeps a copy.
func (c *capturing) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	c.key, c.row = key, append([]byte(nil), data...)
	return c.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

// crowdedStore fills the memory store with n sessions like the one that begin
// starts, and says what one of them takes.
func crowdedStore(n int, begin func(*emporix.Session) error) (client *emporix.Client, perSession, objects float64, err error) {
	store := &capturing{ConditionalTokenStore: emporix.NewMemoryStore(2 * n)}
	if client, err = emporix.NewClient(tenant, clientID, emporix.WithTransport(canned{}), emporix.WithTokenStore(store)); err != nil {
		return nil, 0, 0, err
	}
	one := visitorKey(0)
	if err := begin(client.Session(one)); err != nil {
		return nil, 0, 0, err
	}
	prefix, row := strings.TrimSuffix(store.key, one), store.row
	if err := asCustomer(client.DefaultSession()); err != nil { // who makes the calls that the collector is measured with
		return nil, 0, 0, err
	}
	before := inUse()
	for i := range n {
		// Save, and not SaveIf: nobody is there to compare with.
		if err := store.Save(context.Background(), prefix+visitorKey(i+1), row, 1, 24*time.Hour); err != nil {
			return nil, 0, 0, err
		}
	}
	after := inUse()
	return client, float64(after.HeapAlloc-before.HeapAlloc) / float64(n), float64(after.HeapObjects-before.HeapObjects) / float64(n), nil
}

func asGuest(s *emporix.Session) error {
	_, err := s.Auth.StartAnonymous(context.Background(), emporix.SessionContext{})
	return err
}

func asCustomer(s *emporix.Session) error {
	_, err := s.Auth.Login(context.Background(), emporix.LoginRequest{Email: "johanna.bergmann@example.com", Password: "correct horse"})
	return err
}

func inUse() runtime.MemStats {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

// gcCost returns what the collector costs each call: the CPU time of a whole
// collection, by the system's account and the least of some, spread over the
// calls that bring about the next one.
func gcCost(collections int, do func() error) (perCall float64, calls int, err error) {
	cycle := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	untilNext := func() (made int, err error) {
		metrics.Read(cycle)
		for before := cycle[0].Value.Uint64(); cycle[0].Value.Uint64() == before; metrics.Read(cycle) {
			for range 100 {
				if err := do(); err != nil {
					return 0, err
				}
			}
			made += 100
		}
		return made, nil
	}
	runtime.GC()
	if calls, err = untilNext(); err != nil {
		return 0, 0, err
	}
	var least time.Duration
	for i := range collections {
		before := cpuTime()
		runtime.GC()
		if spent := cpuTime() - before; i == 0 || spent < least {
			least = spent
		}
	}
	return float64(least) / float64(calls), calls, nil
}

// measureStore measures a store and lets it go.
func measureStore(sessions int, begin func(*emporix.Session) error) (memory, objects float64, err error) {
	client, memory, objects, err := crowdedStore(sessions, begin)
	if err == nil {
		closeClient(client)
	}
	return memory, objects, err
}

// idleRows measures rows 13 and 14.
func idleRows(cfg config) ([]row, error) {
	left, err := leaveIdle(min(visitors, cfg.sessions))
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, n := range []int{max(cfg.sessions/10, 1), cfg.sessions} {
		memory, err := memoryRows(n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, memory...)
	}
	client, _, _, err := crowdedStore(cfg.sessions, asCustomer)
	if err != nil {
		return nil, err
	}
	defer closeClient(client)
	gc, made, err := gcCost(gcRounds, sdkProfile(client))
	if err != nil {
		return nil, err
	}
	idle := fmt.Sprintf("%d idle visitors: ", min(visitors, cfg.sessions))
	return append(rows,
		row{"14", idle + "goroutines", count(float64(left.goroutines)), "", "", "0", judge(left.goroutines <= 0)},
		row{"14", idle + "timers", count(float64(left.timers)), "", "", "0", judge(left.timers == 0)},
		row{"14", idle + "token calls after their tokens ended", count(float64(left.tokenCalls)), "", "", "0", judge(left.tokenCalls == 0)},
		row{"14", fmt.Sprintf("%d idle sessions: GC's CPU per call", cfg.sessions), lasting(gc), fmt.Sprintf("%d calls a cycle", made), "", "≤ 3 µs", judge(gc <= gcPerCall)},
	), nil
}

// memoryRows measures row 13 with n sessions in the store.
func memoryRows(n int) ([]row, error) {
	customer, customerObjects, err := measureStore(n, asCustomer)
	if err != nil {
		return nil, err
	}
	guest, guestObjects, err := measureStore(n, asGuest)
	if err != nil {
		return nil, err
	}
	return []row{
		{"13", fmt.Sprintf("%d idle sessions: memory of a customer's", n), size(customer), "308 B", times(customer / 308), "≤ 416 B (later)", noLimit},
		{"13", "… of an anonymous one", size(guest), "108 B", times(guest / 108), "≤ 189 B (later)", noLimit},
		{"13", "… heap objects, customer and anonymous", fmt.Sprintf("%.1f, %.1f", customerObjects, guestObjects), "", "", "≤ 2 (later)", noLimit},
	}, nil
}

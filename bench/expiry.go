package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/emporix-community/emporix-go/internal/lifecycle"
)

const (
	callers    = 200
	period     = 100 * time.Millisecond // of each caller: 2,000 calls per second
	slow       = 10 * time.Millisecond
	refresh    = 200 * time.Millisecond
	tolerance  = 5 * time.Millisecond
	patience   = 50 * time.Millisecond // of the caller with a deadline of its own
	lastWindow = 1200 * time.Millisecond
)

// A token of 10 s whose last 1.2 s are watched: the SDK renews it early in
// somewhere between 1 s and 0.5 s before its end.
const (
	watchedLife = 10 * time.Second
	watchedAge  = watchedLife - lastWindow
	watched     = lastWindow + 500*time.Millisecond
)

// waits are how long callers waited for a token.
type waits struct {
	all    []time.Duration
	slow   int
	errors int
}

func (w *waits) add(d time.Duration, err error) {
	w.all = append(w.all, d)
	if d > slow {
		w.slow++
	}
	if err != nil {
		w.errors++
	}
}

func (w *waits) p99() time.Duration {
	return slices.Sorted(slices.Values(w.all))[len(w.all)*99/100]
}

func (w *waits) slowShare() string {
	return fmt.Sprintf("%.1f %%", 100*float64(w.slow)/float64(len(w.all)))
}

// crowd lets 200 callers ask each source at their own pace, and returns how
// long each source made them wait. The sources take turns in being asked first,
// which is the expensive place: the caches are cold.
func crowd(during time.Duration, sources ...func() error) []*waits {
	total := make([]*waits, len(sources))
	for i := range total {
		total[i] = new(waits)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	start := time.Now()
	for n := range callers {
		group.Go(func() {
			own := make([]waits, len(sources))
			for i := range own {
				own[i].all = make([]time.Duration, 0, during/period+1)
			}
			next := start.Add(period * time.Duration(n) / callers)
			for turn := n; next.Sub(start) < during; turn++ {
				time.Sleep(time.Until(next))
				for i := range sources {
					i = (i + turn) % len(sources)
					began := time.Now()
					err := sources[i]()
					own[i].add(time.Since(began), err)
				}
				next = next.Add(period)
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range own {
				total[i].all = append(total[i].all, own[i].all...)
				total[i].slow += own[i].slow
				total[i].errors += own[i].errors
			}
		})
	}
	group.Wait()
	return total
}

// crossing is what 200 callers saw while a token ended.
type crossing struct {
	ours, static, oauth *waits
	unending            *waits // ours, with a token that does not end
	refreshes           int
	untilEnd            []time.Duration // how long before the first token's end each renewal began
}

// cross watches the end of a token whose first renewals fail.
func cross(latency time.Duration, fail int) (crossing, error) {
	issuer := &renewals{life: watchedLife, age: watchedAge, latency: latency, fail: fail}
	sessions, visitor := manager(issuer)
	defer func() { _ = sessions.Close(context.Background()) }()
	ours := func() error {
		_, err := visitor.Token(context.Background(), lifecycle.WantAny)
		return err
	}
	fixed := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: accessToken})
	static := func() error {
		_, err := fixed.Token()
		return err
	}
	calm, other := manager(&renewals{life: time.Hour})
	defer func() { _ = calm.Close(context.Background()) }()
	unending := func() error {
		_, err := other.Token(context.Background(), lifecycle.WantAny)
		return err
	}
	if err := unending(); err != nil {
		return crossing{}, err
	}
	end := time.Now().Add(lastWindow)
	if err := ours(); err != nil { // the first token
		return crossing{}, err
	}
	seen := crowd(watched, ours, static, unending)
	began, _ := issuer.seen()
	c := crossing{ours: seen[0], static: seen[1], unending: seen[2], refreshes: len(began)}
	for _, at := range began {
		c.untilEnd = append(c.untilEnd, end.Sub(at))
	}

	source := (&renewals{life: watchedLife, age: watchedAge + lastWindow/2, latency: latency, fail: fail}).reuse()
	c.oauth = crowd(watched-lastWindow/2, func() error {
		_, err := source.Token()
		return err
	})[0]
	return c, nil
}

// revival is what 200 callers saw who found a dead token after idleness.
type revival struct {
	refreshes int
	late      time.Duration // the last caller, beyond what the refresh took
	deadline  time.Duration // the caller with 50 ms, beyond them
	oauth     time.Duration // the same caller with oauth2, which takes no context
}

func revive() (revival, error) {
	issuer := &renewals{life: 100 * time.Millisecond, latency: refresh}
	sessions, visitor := manager(issuer)
	defer func() { _ = sessions.Close(context.Background()) }()
	take := func(ctx context.Context) error {
		_, err := visitor.Token(ctx, lifecycle.WantAny)
		return err
	}
	other := &renewals{life: 100 * time.Millisecond, latency: refresh}
	source := other.reuse()
	if err := take(context.Background()); err != nil {
		return revival{}, err
	}
	if _, err := source.Token(); err != nil {
		return revival{}, err
	}
	time.Sleep(150 * time.Millisecond) // idle; both tokens are dead now

	last, hurried, err := rush(take)
	if err != nil {
		return revival{}, err
	}
	began, spent := issuer.seen()
	r := revival{refreshes: len(began), late: last - spent, deadline: hurried - patience}
	_, hurried, _ = rush(func(context.Context) error {
		_, err := source.Token()
		return err
	})
	r.oauth = hurried - patience
	return r, nil
}

// rush sends 200 callers at once, one of them with a deadline, and returns how
// long the last and that one took.
func rush(take func(context.Context) error) (last, hurried time.Duration, err error) {
	gate := make(chan struct{})
	took := make([]time.Duration, callers)
	failed := make([]error, callers)
	var ready, group sync.WaitGroup
	ready.Add(callers)
	var start time.Time
	for n := range callers {
		group.Go(func() {
			ready.Done()
			<-gate
			ctx, began := context.Background(), start
			if n == callers/2 {
				var cancel context.CancelFunc
				began = time.Now()
				ctx, cancel = context.WithTimeout(ctx, patience)
				defer cancel()
			}
			failed[n] = take(ctx)
			took[n] = time.Since(began)
		})
	}
	ready.Wait()
	start = time.Now()
	close(gate)
	group.Wait()
	hurried, took[callers/2] = took[callers/2], 0
	if err := failed[callers/2]; !errors.Is(err, context.DeadlineExceeded) {
		return 0, hurried, fmt.Errorf("the caller with a deadline of %s got %w", patience, errors.Join(errWrong, err))
	}
	failed[callers/2] = nil
	return slices.Max(took), hurried, errors.Join(failed...)
}

// expiryRows measures row 6.
func expiryRows(cfg config) ([]row, error) {
	rounds, err := repeat(cfg.rounds/3, func() (crossing, error) { return cross(refresh, 0) })
	if err != nil {
		return nil, err
	}
	return sixRows(rounds), nil
}

// failureRows measures row 7.
func failureRows(cfg config) ([]row, error) {
	rounds, err := repeat(cfg.rounds/3, func() (crossing, error) { return cross(20*time.Millisecond, 2) })
	if err != nil {
		return nil, err
	}
	return sevenRows(rounds), nil
}

// revivalRows measures row 8.
func revivalRows(cfg config) ([]row, error) {
	rounds, err := repeat(cfg.rounds, revive)
	if err != nil {
		return nil, err
	}
	return eightRows(rounds), nil
}

func repeat[R any](n int, do func() (R, error)) (rounds []R, err error) {
	for range max(1, n) {
		r, err := do()
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, r)
	}
	return rounds, nil
}

func sixRows(rounds []crossing) []row {
	refreshes, exactly := rounds[0].refreshes, true
	for _, c := range rounds {
		if c.refreshes != 1 {
			refreshes, exactly = c.refreshes, false
		}
	}
	slowest := medianOf(rounds, func(c crossing) int { return c.ours.slow })
	p99 := medianOf(rounds, func(c crossing) time.Duration { return c.ours.p99() })
	over := func(base func(crossing) *waits) (time.Duration, float64) {
		p99 := medianOf(rounds, func(c crossing) time.Duration { return base(c).p99() })
		return p99, medianOf(rounds, func(c crossing) float64 { return float64(c.ours.p99()) / float64(base(c).p99()) })
	}
	unending, ratio := over(func(c crossing) *waits { return c.unending })
	static, bare := over(func(c crossing) *waits { return c.static })
	return []row{
		{"6", "200 callers over an expiry: refreshes", count(float64(refreshes)), "", "", "1", judge(exactly)},
		{"6", "… calls over 10 ms, against oauth2", count(float64(slowest)),
			rounds[0].oauth.slowShare(), "", "0", judge(slowest == 0)},
		{"6", "… p99, against a token that does not end", took(p99), took(unending), times(ratio), "≤ 2.00", judge(ratio <= 2)},
		{"", "… p99, against oauth2.StaticTokenSource", took(p99), took(static), times(bare), "", noLimit},
	}
}

func sevenRows(rounds []crossing) []row {
	failures := medianOf(rounds, func(c crossing) int { return c.ours.errors })
	slowest := medianOf(rounds, func(c crossing) int { return c.ours.slow })
	again := true
	for _, c := range rounds {
		t := c.untilEnd
		again = again && len(t) == 3 && t[2] > 0 && t[1]-t[2] > t[0]-t[1]
	}
	last := rounds[len(rounds)-1]
	when := make([]string, len(last.untilEnd))
	for i, d := range last.untilEnd {
		when[i] = fmt.Sprint(-d.Milliseconds())
	}
	return []row{
		{"7", "the early refresh fails twice: errors, against oauth2", count(float64(failures)), count(float64(last.oauth.errors)), "", "0", judge(failures == 0)},
		{"7", "… calls over 10 ms", count(float64(slowest)), count(float64(last.oauth.slow)), "", "0", judge(slowest == 0)},
		{"7", "… tried again, with backoff (ms from the expiry)", fmt.Sprint(when), "", "", "before it", judge(again)},
	}
}

func eightRows(rounds []revival) []row {
	refreshes, exactly := rounds[0].refreshes, true
	for _, r := range rounds {
		if r.refreshes != 1 {
			refreshes, exactly = r.refreshes, false
		}
	}
	late := medianOf(rounds, func(r revival) time.Duration { return r.late })
	deadline := medianOf(rounds, func(r revival) time.Duration { return r.deadline })
	oauth := medianOf(rounds, func(r revival) time.Duration { return r.oauth })
	return []row{
		{"8", "dead token, 200 callers: refreshes", count(float64(refreshes)), "", "", "1", judge(exactly)},
		{"8", "… the last caller, beyond the refresh", took(late), "", "", "≤ 5 ms", judge(late <= tolerance)},
		{"8", "… a caller with 50 ms, beyond them, against oauth2", took(deadline), took(oauth), "", "≤ 5 ms", judge(deadline <= tolerance)},
	}
}

func medianOf[R any, T float64 | int | time.Duration](rounds []R, of func(R) T) T {
	values := make([]T, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	return median(values)
}

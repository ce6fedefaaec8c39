package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fleet is one run.
type fleet struct {
	settings
	server *tokenServer
	shared *engine

	mu       sync.Mutex
	replicas []*replica
	started  int
	visitors []*visitor
	owners   map[string]*visitor

	requests, answered int
	refused            map[string]int // by reason: told so, nothing lost
	wrong              int
	killed             string // the replica
	killedAt, failedAt time.Time
}

// replica is one process. Its address stays its own when another takes its place.
type replica struct {
	name, address string
	cmd           *exec.Cmd
}

type visitor struct {
	key, owner string
	lost       string // why
}

// driver has the connections of the driver to the replicas.
var driver = &http.Client{Timeout: 45 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 200}}

// begin starts the replicas and the sessions.
func (f *fleet) begin(ctx context.Context) error {
	f.owners, f.refused = map[string]*visitor{}, map[string]int{}
	for range f.settings.replicas {
		r, err := f.launch()
		if err != nil {
			return err
		}
		f.replicas = append(f.replicas, r)
	}
	for i := range f.settings.visitors {
		f.visitors = append(f.visitors, &visitor{key: fmt.Sprint("visitor-", i)})
	}
	errs := make(chan error, len(f.visitors))
	f.each(32, func(i int, v *visitor) {
		r := f.replicas[i%len(f.replicas)]
		if i%2 == 1 {
			if a, err := ask(ctx, r, "/login", url.Values{"visitor": {v.key}, "email": {email(i)}}); err != nil || a.Error != "" {
				errs <- fmt.Errorf("login: %w %s", err, a.Error)
				return
			}
		}
		a, err := ask(ctx, r, "/visit", url.Values{"visitor": {v.key}})
		if err != nil || a.Owner == "" {
			errs <- fmt.Errorf("first visit: %w %s", err, a.Error)
			return
		}
		v.owner = a.Owner
	})
	select {
	case err := <-errs:
		return err
	default:
	}
	for _, v := range f.visitors {
		if f.owners[v.owner] != nil {
			return errors.New("two visitors have one session")
		}
		f.owners[v.owner] = v
	}
	return nil
}

// each calls do for all visitors, width at a time.
func (f *fleet) each(width int, do func(int, *visitor)) {
	gate := make(chan struct{}, width)
	var all sync.WaitGroup
	for i, v := range f.visitors {
		gate <- struct{}{}
		all.Go(func() {
			defer func() { <-gate }()
			do(i, v)
		})
	}
	all.Wait()
}

func (f *fleet) launch() (*replica, error) {
	f.started++
	r := &replica{name: fmt.Sprint("replica-", f.started)}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r.cmd = exec.CommandContext(context.Background(), self) // #nosec G204 -- this program
	r.cmd.Env = append(os.Environ(), roleVariable+"="+r.name, serverVariable+"="+f.server.url,
		redisVariable+"="+f.shared.address, masterVariable+"="+f.shared.master)
	r.cmd.Stderr = io.Discard // go-redis reports every connection that a failover ends
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s did not start: %w", r.name, err)
	}
	r.address = strings.TrimSpace(line)
	return r, nil
}

func (f *fleet) stop() {
	for _, r := range f.replicas {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, r := range f.replicas {
		_ = r.cmd.Wait()
	}
}

func ask(ctx context.Context, r *replica, path string, values url.Values) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+path+"?"+values.Encode(), nil)
	if err != nil {
		return a, err
	}
	resp, err := driver.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	return a, json.NewDecoder(resp.Body).Decode(&a)
}

// work lets the visitors come, again and again, to all replicas at once, and
// does the harm meanwhile.
func (f *fleet) work(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, f.settings.time)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { f.harm(ctx) })
	const width = 32
	for worker := range width {
		all.Go(func() {
			for ctx.Err() == nil {
				for i := worker; i < len(f.visitors) && ctx.Err() == nil; i += width {
					f.visit(f.visitors[i])
				}
			}
		})
	}
	all.Wait()
}

// visit is one page of a visitor whose requests go to all replicas at once.
func (f *fleet) visit(v *visitor) {
	f.mu.Lock()
	replicas := slices.Clone(f.replicas)
	f.mu.Unlock()
	var all sync.WaitGroup
	for _, r := range replicas {
		all.Go(func() {
			a, err := ask(context.Background(), r, "/visit", url.Values{"visitor": {v.key}})
			f.hear(v, a, err)
		})
	}
	all.Wait()
}

// hear judges an answer.
func (f *fleet) hear(v *visitor, a answer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	switch {
	case err != nil:
		f.refused["the replica is being replaced"]++
	case a.Expired:
		v.lost = a.Error
	case a.Error != "":
		f.refused[reason(a.Error)]++
	case a.Owner == v.owner:
		f.answered++
	case f.owners[a.Owner] != nil:
		f.wrong++
	default:
		v.lost = "another session has taken its place"
	}
}

// reason is the part of an error that says what kind it is.
func reason(message string) string {
	for _, known := range []string{"token store unavailable", "store", "unavailable", "token server"} {
		if strings.Contains(message, known) {
			return "the SDK: " + known
		}
	}
	return message
}

// harm replaces a replica after a third of the time, and fails Redis over after
// half of it.
func (f *fleet) harm(ctx context.Context) {
	wait := func(share time.Duration) {
		select {
		case <-time.After(share):
		case <-ctx.Done():
		}
	}
	wait(f.settings.time / 3)
	if f.kill != "not" {
		f.mu.Lock()
		old := f.replicas[1]
		f.killed, f.killedAt = old.name, time.Now()
		f.mu.Unlock()
		sig := syscall.SIGTERM
		if f.kill == "hard" {
			sig = syscall.SIGKILL
		}
		_ = old.cmd.Process.Signal(sig)
		_ = old.cmd.Wait()
		if r, err := f.launch(); err == nil {
			f.mu.Lock()
			f.replicas[1] = r
			f.mu.Unlock()
		}
	}
	if f.failover {
		wait(f.settings.time / 6)
		f.mu.Lock()
		f.failedAt = time.Now()
		f.mu.Unlock()
		f.shared.killPrimary()
	}
}

// judge asks every replica about every visitor when it is quiet again, and
// takes the word of none that could not answer.
func (f *fleet) judge(ctx context.Context) {
	time.Sleep(f.life + time.Second) // every token is over once more
	f.each(32, func(_ int, v *visitor) {
		for _, r := range f.replicas {
			var a answer
			var err error
			for range 5 {
				if a, err = ask(ctx, r, "/visit", url.Values{"visitor": {v.key}}); err == nil && a.Error == "" {
					break
				}
				time.Sleep(time.Second)
			}
			f.hear(v, a, err)
			if err != nil || a.Error != "" {
				f.mu.Lock()
				v.lost = "it can't be used any more: " + a.Error
				f.mu.Unlock()
			}
		}
	})
}

// report prints the figures.
func (f *fleet) report(out io.Writer) error {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	count := f.count()
	p := func(name string, value any) { fmt.Fprintf(out, "%-58s %v\n", name, value) }
	fmt.Fprintf(out, "%d replicas over %s, %d visitors, %s; tokens live %s, a refresh takes %s, a used refresh token works for %s\n",
		f.settings.replicas, f.shared.name, len(f.visitors), f.settings.time, f.life, f.delay, f.grace)
	p("one replica killed and restarted", f.kill)
	p("Redis failed over", f.failover)
	p("requests", f.requests)
	p("answered", f.answered)
	for _, why := range slices.Sorted(maps.Keys(f.refused)) {
		p("refused, nothing lost: "+why, f.refused[why])
	}
	p("token calls", f.server.calls)
	p("generations (refresh tokens issued)", len(f.server.refresh))
	p("generations redeemed", count.redeemed)
	p("  exactly once", count.once)
	p("  redeemed again, and why is known", count.againByName)
	p("  redeemed again, and nothing explains it", count.again)
	p("refreshes refused for the bearer beside the token", count.unread)
	p("sessions lost", sum(count.lost))
	for _, why := range slices.Sorted(maps.Keys(count.lost)) {
		p("  "+why, count.lost[why])
	}
	p("sessions lost by name (strict server)", sum(count.lostByName))
	for _, why := range slices.Sorted(maps.Keys(count.lostByName)) {
		p("  "+why, count.lostByName[why])
	}
	p("answers for the wrong visitor", f.wrong)
	if count.again+sum(count.lost)+f.wrong > 0 || count.redeemed == 0 || f.answered == 0 {
		return errBroken
	}
	fmt.Fprintln(out, "fleet: as promised")
	return nil
}

func sum(m map[string]int) (n int) {
	for _, count := range m {
		n += count
	}
	return n
}

// counts is what became of the refresh tokens and the sessions.
type counts struct {
	redeemed, once, again, againByName, unread int
	lost, lostByName                           map[string]int // by reason
}

func (f *fleet) count() counts {
	c := counts{lost: map[string]int{}, lostByName: map[string]int{}}
	named := map[string]string{} // by owner: why its session may be lost
	for _, g := range f.server.refresh {
		if why := f.excuse(g); why != "" {
			named[g.owner] = why
		}
	}
	for _, g := range f.server.refresh {
		c.unread += g.unread
		switch {
		case g.redeemed+g.refused == 0:
		case g.redeemed == 1 && g.refused == 0:
			c.once++
			c.redeemed++
		case named[g.owner] != "":
			c.redeemed++
			c.againByName++
		default:
			c.redeemed++
			c.again++
		}
	}
	for _, v := range f.visitors {
		switch why := named[v.owner]; {
		case v.lost == "":
		case why != "":
			c.lostByName[why]++
		default:
			c.lost[v.lost]++
		}
	}
	return c
}

// excuse says which of the two named losses may have met a refresh token: its
// replica was killed before it could write what it got, or Redis forgot that.
func (f *fleet) excuse(g *generation) string {
	const margin = 2 * time.Second // a refresh and its write
	for _, u := range g.uses {
		switch {
		case f.kill == "hard" && u.by == f.killed && u.at.After(f.killedAt.Add(-margin)):
			return "the answer was lost with the killed replica"
		case f.failover && u.at.After(f.failedAt.Add(-margin)) && u.at.Before(f.failedAt.Add(margin)):
			return "Redis may have forgotten the write"
		}
	}
	return ""
}

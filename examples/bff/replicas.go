package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// runReplicas runs several processes of this program and puts one address in
// front of them, which hands requests out in turn. Whoever asks for two pages
// meets two processes.
func runReplicas(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	if s.url == "" {
		s.url = "http://" + listener.Addr().String()
	}
	_, closeStore, err := openStore(ctx, s.redis) // or else each replica would fail at it, again and again
	if err != nil {
		return err
	}
	closeStore()
	own, err := os.Executable()
	if err != nil {
		return err
	}
	// The replicas and the fake outlive ctx: pages that are under way need them.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := environment(serving, &s); err != nil {
		return err
	}
	ctx, stopStarting := context.WithCancel(ctx)
	defer stopStarting()
	f := newFront(s.replicas, frontTime)
	var running sync.WaitGroup
	up := make(chan struct{}, s.replicas)
	for i := range f.replicas {
		running.Go(func() {
			name := fmt.Sprint(i + 1)
			for ctx.Err() == nil {
				cmd := exec.CommandContext(serving, own, "-addr", "127.0.0.1:0", "-redis", s.redis, "-url", s.url, "-replica", name, fmt.Sprintf("-demo=%t", s.demo)) // #nosec G204 G702 -- this program itself
				cmd.Stderr = stderr
				cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
				cmd.WaitDelay = 5 * time.Second
				err := f.replicas[i].run(cmd, func(addr string) {
					fmt.Fprintf(stdout, "Replica %s: process %d on %s\n", name, cmd.Process.Pid, addr)
					select {
					case up <- struct{}{}:
					default:
					}
				})
				if ctx.Err() == nil {
					fmt.Fprintf(stdout, "Replica %s ended and is started again (%v)\n", name, err)
					pause(ctx, 300*time.Millisecond)
				}
			}
		})
	}
	defer running.Wait()
	defer stop()
	defer stopStarting()
	for range s.replicas {
		select {
		case <-up:
		case <-time.After(20 * time.Second):
			return errors.New("the replicas did not start within 20 s")
		case <-ctx.Done():
			return nil
		}
	}
	server := newServer(f.handler())
	fmt.Fprintf(stdout, "The shop is open: %s\n", s.url)
	return serve(ctx, server, listener)
}

// serve serves until ctx ends, and then finishes what is under way.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan struct{})
	undo := context.AfterFunc(ctx, func() {
		defer close(stopped)
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = server.Shutdown(within)
	})
	defer undo()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// replica is one process, by the address that it listens on at present.
type replica struct {
	addr atomic.Pointer[string]
	hung atomic.Pointer[time.Time] // when it was last waited for in vain; nil once it has answered
}

// run runs the process to its end. Its first line is its address. It ends by
// itself when its input does, so that none outlives a front that was killed.
func (r *replica) run(cmd *exec.Cmd, started func(addr string)) error {
	if _, err := cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		addr := lines.Text()
		r.hung.Store(nil)
		r.addr.Store(&addr)
		started(addr)
	}
	for lines.Scan() { // until it ends
	}
	r.addr.Store(nil)
	return cmd.Wait()
}

// untilInputEnds is ctx until the front that started this replica is gone.
func untilInputEnds(ctx context.Context, input io.Reader) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() { // ends with the process
		defer stop()
		_, _ = io.Copy(io.Discard, input)
	}()
	return ctx, stop
}

type front struct {
	replicas []replica
	turn     atomic.Uint64
	patience time.Duration // how long a replica may take to begin its answer
}

func newFront(replicas int, patience time.Duration) *front {
	return &front{replicas: make([]replica, replicas), patience: patience}
}

var errNoReplica = errors.New("no replica is running")

// leftOut is how long a replica that hung is not asked while others are there.
const leftOut = 30 * time.Second

// takesPart reports whether r is in the round. One that hung gets a single
// request after a while, and is back as soon as it answers.
func (r *replica) takesPart() bool {
	hung, now := r.hung.Load(), time.Now()
	return hung == nil || now.Sub(*hung) >= leftOut && r.hung.CompareAndSwap(hung, &now)
}

// next is the address of the replica whose turn it is. When all of them hung,
// it is one of those: they may only be slow.
func (f *front) next() (string, error) {
	var hung *string
	for range f.replicas {
		r := &f.replicas[f.turn.Add(1)%uint64(len(f.replicas))]
		addr := r.addr.Load()
		switch {
		case addr == nil:
		case r.takesPart():
			return *addr, nil
		default:
			hung = addr
		}
	}
	if hung == nil {
		return "", errNoReplica
	}
	return *hung, nil
}

// note keeps whether the replica at addr hung or answered.
func (f *front) note(addr string, hung bool) {
	for i := range f.replicas {
		r := &f.replicas[i]
		switch at := r.addr.Load(); {
		case at == nil || *at != addr:
		case hung:
			now := time.Now()
			r.hung.Store(&now)
		default:
			r.hung.Store(nil)
		}
	}
}

// handler answers for the replicas, and by itself with what pages are made of:
// the page that says that no replica is there needs it too.
func (f *front) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/{file}", new(shop).headers(cached(http.FileServerFS(files))))
	mux.Handle("/", f.proxy())
	return mux
}

func (f *front) proxy() http.Handler {
	// No connection is kept: one that its replica closes just then would cost a
	// request, and a POST can't be sent again.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: f.dial, ResponseHeaderTimeout: f.patience}
	return &httputil.ReverseProxy{
		Transport: again{f, transport},
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "http", Host: "replica"})
			pr.SetXForwarded()       // who asks, for the limiter; what the browser says of itself is dropped
			pr.Out.Host = pr.In.Host // what the browser asked for, for the check of the origin
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			nobody := new(shop)
			what := explain(emporix.ErrUnavailable)
			if !errors.Is(err, errNoReplica) && !reads(r) {
				what = explain(emporix.ErrOutcomeUnknown) // it was sent, and may have been done
				if isTimeout(err) {
					what.Status = http.StatusServiceUnavailable
				}
			}
			nobody.headers(noStore(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				nobody.problem(w, r, what)
			}))).ServeHTTP(w, r)
		},
	}
}

// again asks another replica when one dies while it answers or hangs, if all
// that was asked for is a page. What changes something is never sent twice.
type again struct {
	*front
	http.RoundTripper
}

// RoundTrip asks three times at most, and waits in vain twice at most.
func (t again) RoundTrip(r *http.Request) (*http.Response, error) {
	for asked, waited := 1, 0; ; asked++ {
		res, err := t.ask(r)
		if isTimeout(err) {
			waited++
		}
		if err == nil || asked == 3 || waited == 2 || !reads(r) || r.Context().Err() != nil {
			return res, err
		}
	}
}

// ask asks one replica and notes whether it hung.
func (t again) ask(r *http.Request) (*http.Response, error) {
	var addr string
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { addr = got.Conn.RemoteAddr().String() },
	})
	res, err := t.RoundTripper.RoundTrip(r.WithContext(ctx))
	if r.Context().Err() == nil && (err == nil || isTimeout(err)) {
		t.note(addr, err != nil)
	}
	return res, err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// dial connects to the replica whose turn it is, or to another one while that
// one does not listen. Nothing was sent so far.
func (f *front) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: f.patience}
	err := errNoReplica
	for range len(f.replicas) + 1 {
		var addr string
		if addr, err = f.next(); err != nil {
			return nil, err
		}
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, network, addr); err == nil {
			return conn, nil
		}
	}
	return nil, fmt.Errorf("%w: %w", errNoReplica, err)
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
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
	if err := environment(ctx, &s); err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f := &front{replicas: make([]replica, s.replicas)}
	var running sync.WaitGroup
	up := make(chan struct{}, s.replicas)
	for i := range f.replicas {
		running.Go(func() {
			name := fmt.Sprint(i + 1)
			for ctx.Err() == nil {
				cmd := exec.CommandContext(ctx, own, "-addr", "127.0.0.1:0", "-redis", s.redis, "-url", s.url, "-replica", name, fmt.Sprintf("-demo=%t", s.demo)) // #nosec G204 G702 -- this program itself
				cmd.Stderr = stderr
				cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
				cmd.WaitDelay = 5 * time.Second
				f.replicas[i].run(cmd, func(addr string) {
					fmt.Fprintf(stdout, "Replica %s: process %d on %s\n", name, cmd.Process.Pid, addr)
					select {
					case up <- struct{}{}:
					default:
					}
				})
				if ctx.Err() == nil {
					fmt.Fprintf(stdout, "Replica %s ended and is started again\n", name)
					pause(ctx, 300*time.Millisecond)
				}
			}
		})
	}
	defer running.Wait()
	defer stop()
	for range s.replicas {
		select {
		case <-up:
		case <-time.After(20 * time.Second):
			return errors.New("the replicas did not start within 20 s")
		case <-ctx.Done():
			return nil
		}
	}
	server := &http.Server{Handler: f.proxy(), ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintf(stdout, "The shop is open: %s\n", s.url)
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// replica is one process, by the address that it listens on at present.
type replica struct{ addr atomic.Pointer[string] }

// run runs the process to its end. Its first line is its address.
func (r *replica) run(cmd *exec.Cmd, started func(addr string)) {
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		addr := lines.Text()
		r.addr.Store(&addr)
		started(addr)
	}
	for lines.Scan() { // until it ends
	}
	r.addr.Store(nil)
	_ = cmd.Wait()
}

type front struct {
	replicas []replica
	turn     atomic.Uint64
}

var errNoReplica = errors.New("no replica is running")

// next is the address of the replica whose turn it is.
func (f *front) next() (string, error) {
	for range f.replicas {
		at := f.turn.Add(1) % uint64(len(f.replicas))
		if addr := f.replicas[at].addr.Load(); addr != nil {
			return *addr, nil
		}
	}
	return "", errNoReplica
}

func (f *front) proxy() http.Handler {
	// No connection is kept: one that its replica closes just then would cost a
	// request, and a POST can't be sent again.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: f.dial}
	return &httputil.ReverseProxy{
		Transport: again{transport},
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "http", Host: "replica"})
			pr.Out.Host = pr.In.Host // what the browser asked for, for the check of the origin
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "The shop is not available just now. Please try again in a moment.", http.StatusServiceUnavailable)
		},
	}
}

// again asks another replica when one dies while it answers, if all that was
// asked for is a page. What changes something is never sent twice.
type again struct{ http.RoundTripper }

func (t again) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(r)
	for range 2 {
		if err == nil || r.Method != http.MethodGet && r.Method != http.MethodHead || r.Context().Err() != nil {
			break
		}
		res, err = t.RoundTripper.RoundTrip(r)
	}
	return res, err
}

// dial connects to the replica whose turn it is, or to another one while that
// one does not listen. Nothing was sent so far.
func (f *front) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var dialer net.Dialer
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
	return nil, err
}

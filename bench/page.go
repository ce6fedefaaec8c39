package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/stores/redis"
)

// pages are a shop's account page with the SDK and by hand: the browser's
// cookie, the visitor's session from Redis, the profile from the API, a line of
// HTML. The request comes from memory; Redis and the API are on the loopback
// address.
type pages struct {
	views    [2]func() error
	commands [2]*atomic.Int64 // to Redis
	requests [2]*atomic.Int64 // to the API
	close    func()
}

// startRedis starts a redis-server on a free port, which keeps nothing on disk.
func startRedis(dir string) (address string, stop func(), err error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = listener.Close()
	server := exec.CommandContext(context.Background(), "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no") // #nosec G204 -- arguments of our own
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
	client := goredis.NewClient(&goredis.Options{Addr: address})
	defer func() { _ = client.Close() }()
	for range 100 {
		if err = client.Ping(context.Background()).Err(); err == nil {
			return address, stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("redis-server did not answer in 5 s: %w", err)
}

// counting counts what goes to Redis.
type counting struct{ commands *atomic.Int64 }

func (c counting) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (c counting) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		c.commands.Add(1)
		return next(ctx, cmd)
	}
}

func (c counting) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func openPages() (p *pages, err error) {
	var closers []func()
	shut := func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	defer func() {
		if err != nil {
			shut()
		}
	}()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() { _ = os.RemoveAll(dir) })
	address, stop, err := startRedis(dir)
	if err != nil {
		return nil, err
	}
	closers = append(closers, stop)

	p = &pages{close: shut}
	var rows [2]*goredis.Client
	var apis [2]*httptest.Server
	for i := range rows {
		p.commands[i], p.requests[i] = new(atomic.Int64), new(atomic.Int64)
		requests := p.requests[i]
		rows[i] = goredis.NewClient(&goredis.Options{Addr: address, ContextTimeoutEnabled: true})
		rows[i].AddHook(counting{p.commands[i]})
		apis[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			handler(w, r)
		}))
		closers = append(closers, apis[i].Close, func() { _ = rows[i].Close() })
	}

	store, err := redis.New(rows[0])
	if err != nil {
		return nil, err
	}
	client, err := emporix.NewClient(tenant, clientID, emporix.WithBaseURL(apis[0].URL), emporix.WithTokenStore(store))
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() { closeClient(client) })
	ours, cookie, err := shopWithSDK(client)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	closers = append(closers, transport.CloseIdleConnections)
	theirs, theirCookie, err := shopByHand(rows[1], &handwritten{client: &http.Client{Transport: transport}, baseURL: apis[1].URL})
	if err != nil {
		return nil, err
	}
	p.views = [2]func() error{view(ours, cookie), view(theirs, theirCookie)}
	return p, nil
}

// view requests the account page as a browser with that cookie does.
func view(shop http.Handler, cookie *http.Cookie) func() error {
	return func() error {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "https://shop.example/account", nil)
		r.AddCookie(cookie)
		shop.ServeHTTP(w, r)
		return wrong(nil, w.Code == http.StatusOK && w.Body.String() == "<p>Hello Johanna Bergmann")
	}
}

// shopWithSDK is a shop over package bff, and the cookie of a customer in it.
func shopWithSDK(client *emporix.Client) (http.Handler, *http.Cookie, error) {
	visitors, err := bff.New(client, bff.Options{})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if _, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: "johanna.bergmann@example.com", Password: "correct horse"}); err != nil {
			visitors.Error(w, r, err)
		}
	})
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, r *http.Request) {
		session, err := bff.From(r).Session(r.Context())
		if err != nil {
			visitors.Error(w, r, err)
			return
		}
		me, err := session.Customers.Get(r.Context())
		if err != nil {
			visitors.Error(w, r, err)
			return
		}
		greet(w, me.FirstName, me.LastName)
	})
	shop := visitors.Handler(mux)
	w := httptest.NewRecorder()
	shop.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodPost, "https://shop.example/login", nil))
	cookies := w.Result().Cookies()
	if w.Code != http.StatusOK || len(cookies) != 1 {
		return nil, nil, errors.New("the login of the shop with the SDK failed: " + strings.TrimSpace(w.Body.String()))
	}
	return shop, cookies[0], nil
}

// sessionRow is what somebody would keep by hand for a visitor.
type sessionRow struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// shopByHand does the same without an SDK, for tokens that need no renewal.
func shopByHand(rows *goredis.Client, api *handwritten) (http.Handler, *http.Cookie, error) {
	cookie := &http.Cookie{Name: "__Host-session", Value: strings.Repeat("cK7", 15)[:43], Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
	row, err := json.Marshal(sessionRow{accessToken, time.Now().Add(24 * time.Hour)})
	if err != nil {
		return nil, nil, err
	}
	if err := rows.Set(context.Background(), "session:"+cookie.Value, row, time.Hour).Err(); err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("__Host-session")
		if err != nil {
			http.Error(w, "log in", http.StatusUnauthorized)
			return
		}
		data, err := rows.Get(r.Context(), "session:"+cookie.Value).Bytes()
		if err != nil {
			http.Error(w, "no session", http.StatusServiceUnavailable)
			return
		}
		var row sessionRow
		if err := json.Unmarshal(data, &row); err != nil || time.Now().After(row.Expires) {
			http.Error(w, "log in", http.StatusUnauthorized)
			return
		}
		visitor := *api
		visitor.token = row.Token
		me, err := visitor.profile(r.Context())
		if err != nil {
			http.Error(w, "try again", http.StatusBadGateway)
			return
		}
		greet(w, me.FirstName, me.LastName)
	})
	return mux, cookie, nil
}

func greet(w http.ResponseWriter, first, last string) {
	_, _ = fmt.Fprintf(w, "<p>Hello %s %s", html.EscapeString(first), html.EscapeString(last))
}

// pageRows measures a request to a shop, over Redis.
func pageRows(cfg config) ([]row, error) {
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("EMPORIX_REQUIRE_ENGINES") == "" {
		return []row{{"page", "an account page over Redis: not measured, there is no redis-server", "", "", "", "–", noLimit}}, nil
	}
	p, err := openPages()
	if err != nil {
		return nil, err
	}
	defer p.close()
	var commands, requests [2]float64
	for i := range p.views {
		if commands[i], requests[i], err = p.traffic(i); err != nil {
			return nil, err
		}
	}
	r, err := paired(cfg, calls(p.views[0]), calls(p.views[1]))
	if err != nil {
		return nil, err
	}
	page, what := measured{results: r}, "an account page over Redis: "
	rows := []row{
		informative(timed("", what+"time", page, wallTime, 0)),
		informative(counted("", "… allocations", page, allocs, 0, count)),
		informative(counted("", "… bytes", page, byteCount, 0, size)),
		informative(compared("", "… commands to Redis", commands[0], commands[1], commands[0]/commands[1], 0, count)),
		informative(compared("", "… calls of the API", requests[0], requests[1], requests[0]/requests[1], 0, count)),
	}
	if cpuTime() > 0 {
		rows = append(rows, informative(timed("", "… CPU, with the API's", page, usedCPU, 0)))
	}
	for i := range rows {
		rows[i].goal, rows[i].limit = "page", "–"
	}
	return rows, nil
}

// traffic counts what one view sends, over some.
func (p *pages) traffic(side int) (commands, requests float64, err error) {
	const views = 100
	beforeCommands, beforeRequests := p.commands[side].Load(), p.requests[side].Load()
	for range views {
		if err := p.views[side](); err != nil {
			return 0, 0, err
		}
	}
	return float64(p.commands[side].Load()-beforeCommands) / views, float64(p.requests[side].Load()-beforeRequests) / views, nil
}

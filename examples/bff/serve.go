package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/stores/redis"
	goredis "github.com/redis/go-redis/v9"
)

// environment starts a fake and describes it in the variables of NewClientFromEnv,
// unless they name a tenant already.
func environment(ctx context.Context, s *settings) error {
	if os.Getenv(emporix.EnvTenant) != "" {
		return nil
	}
	cfg, base, err := startFake(ctx, s.activation == "employee", s.lives)
	if err != nil {
		return err
	}
	s.demo = true
	for name, value := range map[string]string{
		emporix.EnvTenant: cfg.Tenant, emporix.EnvClientID: cfg.ClientID, emporix.EnvHost: base,
		emporix.EnvEmployeeID: cfg.BackendClientID, emporix.EnvEmployeeSecret: cfg.BackendSecret,
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// runShop serves one process until ctx ends.
func runShop(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	own := "http://" + listener.Addr().String()
	if s.url == "" {
		s.url = own
	}
	// The fake outlives ctx: pages that are under way need it to the end.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := environment(serving, &s); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	goredis.SetLogger(redisLog{log})
	store, closeStore, err := openStore(ctx, s.redis)
	if err != nil {
		return err
	}
	defer closeStore()
	client, err := emporix.NewClientFromEnv(emporix.WithTokenStore(store), emporix.WithLogger(log), emporix.WithUserAgent("example-shop/1"))
	if err != nil {
		return err
	}
	handler, err := newShop(ctx, client, s, log)
	if err != nil {
		return err
	}
	server := newServer(handler)
	server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	fmt.Fprintf(stdout, "The shop is open: %s\n", own)
	err = serve(ctx, server, listener)
	within, cancel := context.WithTimeout(serving, 3*time.Second)
	defer cancel()
	if err := client.Close(within); err != nil {
		log.Warn("renewals were cut short", "error", err)
	}
	return err
}

// newServer ends what takes too long. Writing may take as long as a log-in, which
// goes on when its page is given up.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, MaxHeaderBytes: 64 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 75 * time.Second, IdleTimeout: time.Minute,
	}
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

func newShop(ctx context.Context, client *emporix.Client, s settings, log *slog.Logger) (http.Handler, error) {
	shop := &shop{client: client, log: log, url: s.url, replica: s.replica, demo: s.demo, limits: newLimiter()}
	var err error
	shop.visits, err = bff.New(client, bff.Options{
		Development: true, // http on loopback
		Providers: map[string]bff.Provider{providerName: {
			AuthURL: s.url + providerPath, ClientID: providerClientID, RedirectURI: s.url + socialCallback,
		}},
		ErrorPage: shop.refused,
		Logger:    log,
	})
	if err != nil {
		return nil, err
	}
	if base := os.Getenv(emporix.EnvHost); base != "" {
		found, err := findTools(ctx, base)
		if err != nil {
			log.Info("there is no fake at the API's address: no mailbox and no identity provider", "error", err)
		}
		shop.tools = found
	}
	return shop.handler(), nil
}

// redisLog takes what the driver tells of single tries. What becomes of them is
// an error of the store.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...))
}

// openStore opens the store that all replicas share, or without one the memory
// of this process.
func openStore(ctx context.Context, addr string) (emporix.TokenStore, func(), error) {
	if addr == "" {
		return emporix.NewMemoryStore(0), func() {}, nil
	}
	client := goredis.NewClient(&goredis.Options{Addr: addr, ContextTimeoutEnabled: true})
	within, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := client.Ping(within).Err(); err != nil {
		_ = client.Close()
		return nil, nil, fmt.Errorf("there is no Redis at %s: %w", addr, err)
	}
	store, err := redis.New(client)
	return store, func() { _ = client.Close() }, err
}

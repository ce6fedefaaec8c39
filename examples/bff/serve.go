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
)

// environment describes the tenant in the variables of NewClientFromEnv, which
// is also how replicas get to know it. Where there are none, it starts a fake.
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
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	own := "http://" + listener.Addr().String()
	if s.url == "" {
		s.url = own
	}
	if err := environment(ctx, &s); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	store, closeStore, err := openStore(s.redis)
	if err != nil {
		return err
	}
	defer closeStore()
	client, err := emporix.NewClientFromEnv(emporix.WithTokenStore(store), emporix.WithLogger(log), emporix.WithUserAgent("example-shop/1"))
	if err != nil {
		return err
	}
	handler, err := newShop(ctx, client, store, s, log)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	if s.replica == "" {
		fmt.Fprintf(stdout, "The shop is open: %s\n", own)
	} else {
		fmt.Fprintln(stdout, listener.Addr()) // the front reads this
	}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = server.Shutdown(within)
		_ = client.Close(within)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

func newShop(ctx context.Context, client *emporix.Client, store emporix.TokenStore, s settings, log *slog.Logger) (http.Handler, error) {
	shop := &shop{client: client, log: log, replica: s.replica, demo: s.demo}
	shop.visits = newVisits(client, social{
		authorize: s.url + providerPath, clientID: providerClientID, callback: s.url + socialCallback,
	})
	if base := os.Getenv(emporix.EnvHost); base != "" {
		found, err := findTools(ctx, base)
		if err != nil {
			log.Info("there is no fake at the API's address: no mailbox and no identity provider", "error", err)
		}
		shop.tools = found
	}
	return shop.handler(), nil
}

func openStore(string) (emporix.TokenStore, func(), error) {
	return emporix.NewMemoryStore(0), func() {}, nil
}

func runReplicas(context.Context, settings, io.Writer, io.Writer) error { return errors.New("not yet") }

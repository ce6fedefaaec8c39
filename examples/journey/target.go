package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// target is where the journey goes.
type target struct {
	name   string
	client *emporix.Client
	fake   *fake        // nil on a real tenant
	server *http.Server // of the fake that this program started, else nil
}

var options = []emporix.Option{emporix.WithUserAgent("emporix-journey")}

// findTarget reads the environment.
func findTarget(ctx context.Context) (*target, error) {
	host, tenant := os.Getenv(emporix.EnvHost), os.Getenv(emporix.EnvTenant)
	switch {
	case host != "" && tenant == "":
		return runningFake(ctx, host)
	case environmentIsEmpty():
		return ownFake(ctx)
	default:
		return namedTenant(ctx, host, tenant)
	}
}

func environmentIsEmpty() bool {
	for _, name := range []string{
		emporix.EnvHost, emporix.EnvTenant, emporix.EnvClientID, emporix.EnvEmployeeID, emporix.EnvEmployeeSecret,
	} {
		if os.Getenv(name) != "" {
			return false
		}
	}
	return true
}

// ownFake starts a fake on a loopback port.
func ownFake(ctx context.Context) (*target, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a fake: %w", err)
	}
	server := &http.Server{
		Handler: emporixfake.New(emporixfake.Config{}), DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 60 << 10,
	}
	go func() { _ = server.Serve(listener) }() // ends with target.close
	p, err := runningFake(ctx, "http://"+listener.Addr().String())
	if err != nil {
		_ = server.Close()
		return nil, err
	}
	p.server = server
	p.name = "a fake Emporix inside this program"
	return p, nil
}

// runningFake takes the tenant and the IDs that the fake itself tells, and the
// backend secret that fakes have by default.
func runningFake(ctx context.Context, host string) (*target, error) {
	f, err := findFake(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("%s is set and %s is not, so a fake Emporix should run there, but %w; "+
			"start one with go run ./cmd/emporix-fake, or name a real tenant with %s and %s",
			emporix.EnvHost, emporix.EnvTenant, err, emporix.EnvTenant, emporix.EnvClientID)
	}
	secret := os.Getenv(emporix.EnvEmployeeSecret)
	if secret == "" {
		secret = emporixfake.New(emporixfake.Config{}).Config().BackendSecret
	}
	client, err := emporix.NewClient(f.Tenant, f.ClientID,
		append(options, emporix.WithBaseURL(host), emporix.WithEmployeeCredentials(f.BackendClientID, secret))...)
	if err != nil {
		return nil, err
	}
	return &target{name: fmt.Sprintf("the fake Emporix at %s, tenant %s", host, f.Tenant), client: client, fake: f}, nil
}

// namedTenant is a real tenant, unless a fake answers at the host.
func namedTenant(ctx context.Context, host, tenant string) (*target, error) {
	client, err := emporix.NewClientFromEnv(options...)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = emporix.DefaultBaseURL
	}
	if strings.TrimRight(host, "/") != emporix.DefaultBaseURL { // surely no fake
		if f, err := findFake(ctx, host); err == nil {
			return &target{name: fmt.Sprintf("the fake Emporix at %s, tenant %s", host, tenant), client: client, fake: f}, nil
		}
	}
	return &target{name: fmt.Sprintf("tenant %s at %s", tenant, host), client: client}, nil
}

func (p *target) close(ctx context.Context) error {
	err := p.client.Close(ctx)
	if p.server != nil {
		err = errors.Join(err, p.server.Shutdown(ctx))
	}
	return err
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
)

const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2

	shutdownTime = 3 * time.Second
)

// sample is the customer that the fake starts with, so that a login works at once.
// The README and the start output name it.
var sample = emporixfake.Customer{Email: "jo@example.com", Password: "P@ssw0rd123", FirstName: "Jo", LastName: "Doe"}

// settings are the flags.
type settings struct {
	addr, addrFile, seedFile string
	empty                    bool
	fake                     emporixfake.Config
}

// run serves until ctx ends, and answers the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "emporix-fake: %v; emporix-fake -h shows all flags\n", err)
		return exitUsage
	}
	if err := serve(ctx, s, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "emporix-fake:", err)
		return exitError
	}
	return exitOK
}

func parse(args []string, stderr io.Writer) (settings, error) {
	assumptions := emporixfake.DefaultAssumptions()
	s := settings{fake: emporixfake.Config{Assumptions: &assumptions}}
	flags := flag.NewFlagSet("emporix-fake", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // a mistake in one flag should not drown in the list of all

	flags.StringVar(&s.addr, "addr", "127.0.0.1:8787", "`address` to listen on; port 0 takes a free one")
	flags.StringVar(&s.addrFile, "addr-file", "", "`file` that gets the base URL once it listens")
	flags.StringVar(&s.seedFile, "seed", "", "JSON `file` with customers and companies to start with, in place of "+sample.Email)
	flags.BoolVar(&s.empty, "empty", false, "start without "+sample.Email)

	standard := emporixfake.New(emporixfake.Config{}).Config()
	flags.StringVar(&s.fake.Tenant, "tenant", standard.Tenant, "`name` of the tenant")
	flags.StringVar(&s.fake.ClientID, "client-id", standard.ClientID, "client `ID` of the storefront")
	flags.StringVar(&s.fake.BackendClientID, "backend-client-id", standard.BackendClientID, "client `ID` of the backend")
	flags.StringVar(&s.fake.BackendSecret, "backend-secret", standard.BackendSecret, "`secret` of the backend")

	life, usual := &s.fake.Lifetimes, standard.Lifetimes
	for _, row := range []struct {
		name, of string
		into     *time.Duration
		usual    time.Duration
	}{
		{"anonymous-life", "anonymous access tokens", &life.Anonymous, usual.Anonymous},
		{"anonymous-refresh-life", "anonymous refresh tokens", &life.AnonymousRefresh, usual.AnonymousRefresh},
		{"customer-life", "customer access tokens", &life.Customer, usual.Customer},
		{"customer-refresh-life", "customer refresh tokens", &life.CustomerRefresh, usual.CustomerRefresh},
		{"exchange-life", "exchanged access tokens", &life.Exchange, usual.Exchange},
		{"exchange-refresh-life", "exchanged refresh tokens", &life.ExchangeRefresh, usual.ExchangeRefresh},
		{"employee-life", "employee tokens", &life.Employee, usual.Employee},
		{"mail-life", "tokens in mails", &life.Mail, usual.Mail},
	} {
		*row.into = row.usual
		flags.Func(row.name, fmt.Sprintf("`duration` that %s are valid (default %s)", row.of, row.usual), func(value string) error {
			d, err := emporixfake.ParseDuration(value)
			if err != nil || d < time.Second || d > emporixfake.MaxLifetime {
				return fmt.Errorf("it must be a duration of at least 1s and at most %s", emporixfake.MaxLifetime)
			}
			*row.into = d
			return nil
		})
	}
	for _, row := range assumptions.Table() {
		if row.Name == "" {
			continue
		}
		set := func(value string) error { return assumptions.Set(row.Name, value) }
		if row.Kind == "bool" {
			flags.BoolFunc(row.Name, fmt.Sprintf("%s (%s; default %s)", row.Sentence, row.Basis, row.Default), set)
		} else {
			flags.Func(row.Name, fmt.Sprintf("%s (a `%s`; %s; default %s)", row.Sentence, row.Kind, row.Basis, row.Default), set)
		}
	}

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			flags.Usage()
		}
		return settings{}, err
	}
	return s, s.check(flags)
}

// check says what is wrong with the flags together.
func (s *settings) check(flags *flag.FlagSet) error {
	if flags.NArg() > 0 {
		return fmt.Errorf("there is an argument too many: %q", flags.Arg(0))
	}
	if !tenantRule.MatchString(s.fake.Tenant) {
		return errors.New("-tenant must be 3 to 16 lower-case letters and digits, a letter first")
	}
	if s.empty && s.seedFile != "" {
		return errors.New("-empty and -seed exclude each other; -seed alone starts with what the file holds")
	}
	for _, name := range []string{"client-id", "backend-client-id", "backend-secret"} {
		if flags.Lookup(name).Value.String() == "" {
			return fmt.Errorf("-%s is empty; leave it out to take the default", name)
		}
	}
	return nil
}

func serve(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	switch {
	case s.seedFile != "":
		seed, err := readSeed(s.seedFile)
		if err != nil {
			return err
		}
		s.fake.Seed = seed
	case !s.empty:
		s.fake.Seed.Customers = []emporixfake.Customer{sample}
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen on -addr %s: %w; choose another address, or port 0 for a free one", s.addr, err)
	}
	baseURL, loopback := baseURLOf(listener.Addr())
	if s.addrFile != "" {
		if err := writeAtomic(s.addrFile, baseURL+"\n"); err != nil {
			_ = listener.Close()
			return fmt.Errorf("write -addr-file: %w", err)
		}
		defer removeIfOurs(s.addrFile, baseURL+"\n") // a base URL that nobody serves misleads
	}
	fake := emporixfake.New(s.fake)
	printSummary(stdout, baseURL, fake.Config())
	if !loopback {
		fmt.Fprintln(stderr, "emporix-fake: this address is not loopback; whoever reaches it can use the control interface")
	}

	// Requests that a fault delays end with the program.
	serving, cancel := context.WithCancel(context.Background())
	defer cancel()
	uploads := newUploads(fake)
	server := newServer(uploads)
	server.BaseContext = func(net.Listener) context.Context { return serving }
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	cancel()
	uploads.stop()
	shutdown, done := context.WithTimeout(context.Background(), shutdownTime)
	defer done()
	if err := server.Shutdown(shutdown); err != nil {
		_ = server.Close()
	}
	if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	fmt.Fprintln(stdout, "stopped")
	return nil
}

// newServer bounds what a connection may take before and between its requests.
// What a request may take, the fake bounds itself: a ReadTimeout would also end
// the delay of a fault.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler,
		// OPTIONS * is no operation of the API.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            10 * time.Second,
		IdleTimeout:                  2 * time.Minute,
		MaxHeaderBytes:               60 << 10,
	}
}

func readSeed(path string) (emporixfake.Seed, error) {
	file, err := os.Open(path) // #nosec G304 -- the file that the caller names
	if err != nil {
		return emporixfake.Seed{}, fmt.Errorf("open -seed: %w", err)
	}
	defer file.Close()
	seed, err := emporixfake.ReadSeed(file)
	if err != nil {
		return emporixfake.Seed{}, fmt.Errorf("-seed %s: %w", path, err)
	}
	return seed, nil
}

// baseURLOf is a URL under which the listener is reached from this machine.
func baseURLOf(addr net.Addr) (baseURL string, loopback bool) {
	host, port, _ := net.SplitHostPort(addr.String())
	ip := net.ParseIP(host)
	if ip != nil && ip.IsUnspecified() {
		return "http://" + net.JoinHostPort("127.0.0.1", port), false
	}
	return "http://" + net.JoinHostPort(host, port), ip != nil && ip.IsLoopback()
}

// removeIfOurs leaves a file alone that another program has written meanwhile.
func removeIfOurs(path, content string) {
	if now, err := os.ReadFile(path); err == nil && string(now) == content { // #nosec G304 -- the file that the caller names
		_ = os.Remove(path)
	}
}

// writeAtomic lets a reader see the whole file or none.
func writeAtomic(path, content string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // of no effect once it is renamed
	_, err = temp.WriteString(content)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

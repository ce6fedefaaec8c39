package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
	version, sampleSeed      bool // print it and end
	tlsCert, tlsKey          string
	tlsSelfSigned            bool
	anyTenant                bool
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
	switch {
	case s.version:
		fmt.Fprintln(stdout, "emporix-fake", version())
		return exitOK
	case s.sampleSeed:
		fmt.Fprint(stdout, sampleSeed)
		return exitOK
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
	flags.BoolVar(&s.sampleSeed, "sample-seed", false, "print a sample for -seed, and end")
	flags.BoolVar(&s.version, "version", false, "print the version, and end")
	flags.StringVar(&s.tlsCert, "tls-cert", "", "PEM `file` with the certificate to serve https with; needs -tls-key")
	flags.StringVar(&s.tlsKey, "tls-key", "", "PEM `file` with the key of -tls-cert")
	flags.BoolVar(&s.tlsSelfSigned, "tls-self-signed", false, "serve https with a certificate made for this run, which is printed; for loopback, and for the names of -control-host")
	flags.Func("control-host", "`name` under which the control interface answers too, such as that of a container; may be given several times", func(name string) error {
		if name == "" || strings.ContainsAny(name, ":/ ") {
			return errors.New("it must be the name of a host, without scheme and port")
		}
		s.fake.ControlHosts = append(s.fake.ControlHosts, name)
		return nil
	})
	flags.BoolVar(&s.anyTenant, "any-tenant", false, "play each tenant that a request names, with a state and a clock of its own; the backend's client ID is then {tenant}-backend, and the control interface is under /__fake/tenants/{tenant}/")
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
	switch {
	case (s.tlsCert == "") != (s.tlsKey == ""):
		return errors.New("-tls-cert and -tls-key go together")
	case s.tlsSelfSigned && s.tlsCert != "":
		return errors.New("-tls-self-signed and -tls-cert exclude each other")
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
	certificate, shown, err := s.certificate()
	if err != nil {
		_ = listener.Close()
		return err
	}
	baseURL, loopback := baseURLOf(listener.Addr())
	if certificate != nil {
		baseURL = "https" + strings.TrimPrefix(baseURL, "http")
	}
	if s.addrFile != "" {
		if err := writeAtomic(s.addrFile, baseURL+"\n"); err != nil {
			_ = listener.Close()
			return fmt.Errorf("write -addr-file: %w", err)
		}
		defer removeIfOurs(s.addrFile, baseURL+"\n") // a base URL that no server answers misleads
	}
	fake := emporixfake.New(s.fake)
	var handler http.Handler = fake
	if s.anyTenant {
		s.fake.BackendClientID = ""
		tenants := emporixfake.NewTenants(func(string) emporixfake.Config { return s.fake })
		fake, handler = tenants.Server(s.fake.Tenant), tenants
	}
	printSummary(stdout, baseURL, fake.Config(), s.anyTenant)
	if shown != "" {
		fmt.Fprintf(stdout, "The certificate for clients to trust; for Go, put it into a file and name that in SSL_CERT_FILE:\n\n%s\n", shown)
	}
	if !loopback {
		fmt.Fprintln(stderr, "emporix-fake: this address is not loopback; every machine that reaches it can use the control interface")
	}

	// Requests that a fault delays end with the program.
	serving, cancel := context.WithCancel(context.Background())
	defer cancel()
	uploads := newUploads(handler)
	server := newServer(uploads)
	server.BaseContext = func(net.Listener) context.Context { return serving }
	stopped := make(chan error, 1)
	go func() {
		if certificate == nil {
			stopped <- server.Serve(listener)
			return
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		stopped <- server.ServeTLS(listener, "", "")
	}()
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

// removeIfOurs leaves a file alone that another program has written since.
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

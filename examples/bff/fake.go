package main

import (
	"bytes"
	"context"
	_ "embed"
	"net"
	"net/http"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// startFake runs a fake tenant with a few customers on a loopback port of its
// own, and answers its address.
func startFake(ctx context.Context, byEmployee bool, lives emporixfake.Lifetimes) (cfg emporixfake.Config, base string, err error) {
	assumptions := emporixfake.DefaultAssumptions()
	assumptions.DoubleOptIn = !byEmployee
	fake := emporixfake.New(emporixfake.Config{Assumptions: &assumptions, Seed: seed(), Lifetimes: lives})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return cfg, "", err
	}
	server := &http.Server{ // the fake bounds bodies itself
		Handler: fake, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 60 << 10,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return fake.Config(), "http://" + listener.Addr().String(), nil
}

const seedPassword = "correct horse" // of every seeded customer

//go:embed seed.json
var seedJSON []byte

// seed returns the customers and companies that the fake starts with.
func seed() emporixfake.Seed {
	seed, err := emporixfake.ReadSeed(bytes.NewReader(seedJSON))
	if err != nil {
		panic(err) // the file is part of the program
	}
	return seed
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/stores/redis"
)

// What the driver tells a replica.
const (
	roleVariable   = "FLEET_REPLICA" // its name
	serverVariable = "FLEET_TOKEN_SERVER"
	redisVariable  = "FLEET_REDIS"
	masterVariable = "FLEET_MASTER"
)

// answer is what a replica says about one request.
type answer struct {
	Owner   string // whose bearer it used
	Expired bool   // the session is over
	Error   string
}

// serveReplica is one process of a shop: it prints its address, and serves
// until it is told to end.
func serveReplica(ctx context.Context) error {
	rows := goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs: []string{os.Getenv(redisVariable)}, MasterName: os.Getenv(masterVariable), ContextTimeoutEnabled: true,
	})
	defer func() { _ = rows.Close() }()
	store, err := redis.New(rows)
	if err != nil {
		return err
	}
	client, err := emporix.NewClient("acme", "storefront",
		emporix.WithBaseURL(os.Getenv(serverVariable)), emporix.WithTokenStore(store), emporix.WithUserAgent(os.Getenv(roleVariable)))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		session := client.Session(r.FormValue("visitor"))
		_, err := session.Auth.Login(r.Context(), emporix.LoginRequest{Email: r.FormValue("email"), Password: password})
		reply(w, answer{Error: text(err)})
	})
	mux.HandleFunc("/visit", func(w http.ResponseWriter, r *http.Request) {
		owner, err := who(r.Context(), client.Session(r.FormValue("visitor")))
		reply(w, answer{Owner: owner, Error: text(err), Expired: errors.Is(err, emporix.ErrSessionExpired) || errors.Is(err, emporix.ErrNotLoggedIn)})
	})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Println(listener.Addr())
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if ctx.Err() != nil {
		err = server.Shutdown(ending)
	}
	return errors.Join(err, client.Close(ending))
}

// who asks the token server with the visitor's bearer, like a call of the shop.
func who(ctx context.Context, session *emporix.Session) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv(serverVariable)+whoPath, nil) // #nosec G704 -- the driver set it
	if err != nil {
		return "", err
	}
	resp, err := session.HTTPClient().Do(req) // #nosec G704 -- the SDK sends it to its own host only
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", err
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("the token server answered %d", resp.StatusCode)
	}
	return strings.TrimSpace(string(body)), nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func reply(w http.ResponseWriter, a answer) { _ = json.NewEncoder(w).Encode(a) }

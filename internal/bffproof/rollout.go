package bffproof

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// newer makes the store look to this program as it will look to the next one,
// whose rows have a version raised by one: it reads both and writes the new one.
type newer struct {
	emporix.LeaseTokenStore
}

var versions = [2][]byte{[]byte(`"v":1`), []byte(`"v":2`)}

func (n newer) Load(ctx context.Context, key string) ([]byte, bool, error) {
	data, found, err := n.LeaseTokenStore.Load(ctx, key)
	return bytes.Replace(data, versions[1], versions[0], 1), found, err
}

func (n newer) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	return n.LeaseTokenStore.Save(ctx, key, bytes.Replace(data, versions[0], versions[1], 1), generation, ttl)
}

func (n newer) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	return n.LeaseTokenStore.SaveIf(ctx, key, bytes.Replace(data, versions[0], versions[1], 1), expected, generation, ttl)
}

// onlyBFF applies newer to the rows of package bff alone.
type onlyBFF struct {
	newer
}

func (o onlyBFF) pick(key string) emporix.LeaseTokenStore {
	if strings.Contains(key, "/bff/") {
		return o.newer
	}
	return o.LeaseTokenStore
}

func (o onlyBFF) Load(ctx context.Context, key string) ([]byte, bool, error) {
	return o.pick(key).Load(ctx, key)
}

func (o onlyBFF) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	return o.pick(key).Save(ctx, key, data, generation, ttl)
}

func (o onlyBFF) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	return o.pick(key).SaveIf(ctx, key, data, expected, generation, ttl)
}

// RollOut runs an old and a new replica side by side over one store, and moves
// visitors from one to the other and back.
func RollOut(t *testing.T, store emporix.LeaseTokenStore) {
	t.Helper()
	for what, next := range map[string]emporix.LeaseTokenStore{"rows of package bff": onlyBFF{newer{store}}, "all rows": newer{store}} {
		t.Run(what, func(t *testing.T) {
			ctx := t.Context()
			s := newShop(t)
			before, after := s.replica(t, store), s.replica(t, next)
			customer := s.number + " customer"
			is := func(r *replica, cookie, target, want string) (now string) {
				t.Helper()
				out := r.get(ctx, cookie, target)
				if out.status != http.StatusOK || out.body != want {
					t.Fatalf("%s is answered %d %q: %s", target, out.status, out.body, out.problem)
				}
				return out.cookie
			}
			unavailable := func(cookie, target string) {
				t.Helper()
				out := before.get(ctx, cookie, target)
				if out.status != http.StatusServiceUnavailable || out.set {
					t.Fatalf("the old replica answers %s with %d, and sets a cookie: %t: %s", target, out.status, out.set, out.problem)
				}
			}

			// Begun on the old replica: the new one goes on with it.
			mine := is(before, "", "/login?password=correct+horse", "")
			is(after, mine, "/page", customer)
			is(before, mine, "/page", customer)
			company := is(after, mine, "/company", "")
			is(after, company, "/page", customer)
			unavailable(company, "/page")
			unavailable(mine, "/page") // its end was written by the new one

			// Begun on the new replica: the old one takes nothing away.
			guest := is(after, "", "/page", guestNumber+" anonymous")
			for _, target := range []string{"/page", "/login?password=correct+horse", "/logout", "/everywhere", "/password", "/company"} {
				unavailable(guest, target)
				unavailable(company, target)
			}
			is(after, guest, "/page", guestNumber+" anonymous")
			is(after, company, "/page", customer)

			// The customer's list is newer: nobody logs in who could not be found.
			stranger := before.get(ctx, "", "/page")
			if out := before.get(ctx, stranger.cookie, "/login?password=correct+horse"); out.status != http.StatusServiceUnavailable || out.set {
				t.Fatalf("a login into a newer list is answered %d", out.status)
			}
			is(before, stranger.cookie, "/page", guestNumber+" anonymous")
			if before.b.LogoutEverywhere(ctx, s.number) == nil {
				t.Fatal("the old replica can't have read the list")
			}
			is(after, company, "/page", customer)

			// The roll-out is over.
			if err := after.b.LogoutEverywhere(ctx, s.number); err != nil {
				t.Fatal(err)
			}
			is(after, company, "/page", guestNumber+" anonymous")
		})
	}
}

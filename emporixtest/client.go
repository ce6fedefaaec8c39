package emporixtest

import (
	"context"
	"errors"
	"testing"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// closeTime is what a client gets to end its background work.
const closeTime = 10 * time.Second

// Client makes a client of the SDK that talks to the fake, with employee
// credentials. It is closed when the test ends. The options come after those
// that connect it.
func (f *Fake) Client(t testing.TB, opts ...emporix.Option) *emporix.Client {
	t.Helper()
	cfg := f.server.Config()
	connect := []emporix.Option{
		emporix.WithBaseURL(f.url),
		emporix.WithEmployeeCredentials(cfg.BackendClientID, cfg.BackendSecret),
	}
	if !f.socket { // over a socket, the SDK's own transport is part of the test
		connect = append(connect, emporix.WithTransport(f.transport))
	}
	client, err := emporix.NewClient(cfg.Tenant, cfg.ClientID, append(connect, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if err := client.Close(ctx); err != nil && !errors.Is(err, emporix.ErrStoreUnavailable) { // a test may break its store
			t.Errorf("emporixtest: close the client: %v", err)
		}
	})
	return client
}

package emporix_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// tellingStore quotes the row that it has in the error of every operation.
type tellingStore struct {
	emporix.LeaseTokenStore
	quote func(key string, row []byte) error
	on    atomic.Bool
}

func (s *tellingStore) tell(ctx context.Context, key string) error {
	if !s.on.Load() {
		return nil
	}
	row, _, err := s.LeaseTokenStore.Load(ctx, key)
	if err != nil {
		return err
	}
	return s.quote(key, row)
}

func (s *tellingStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.tell(ctx, key); err != nil {
		return nil, false, err
	}
	return s.LeaseTokenStore.Load(ctx, key)
}

func (s *tellingStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if err := s.tell(ctx, key); err != nil {
		return false, err
	}
	return s.LeaseTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (s *tellingStore) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	if err := s.tell(ctx, key); err != nil {
		return false, false, err
	}
	return s.LeaseTokenStore.Acquire(ctx, key, owner, ttl)
}

// A store that quotes the row tells no token of it, to a process that has read the
// session and to one that never could.
func TestS06_StoreErrorsShowNoRow(t *testing.T) {
	for name, quote := range map[string]func(key string, row []byte) error{
		"as it is": func(key string, row []byte) error { return fmt.Errorf("row %s of %s: bad checksum", row, key) },
		"%q":       func(key string, row []byte) error { return fmt.Errorf("row %q of %q: bad checksum", row, key) },
		"%v":       func(key string, row []byte) error { return fmt.Errorf("row %v of %v: bad checksum", row, key) },
		"%x":       func(key string, row []byte) error { return fmt.Errorf("row %x of %x: bad checksum", row, key) },
		"base64": func(key string, row []byte) error {
			return fmt.Errorf("row %s of %q: bad checksum", base64.StdEncoding.EncodeToString(row), key)
		},
		"the middle": func(_ string, row []byte) error {
			return fmt.Errorf("near %s: bad checksum", row[len(row)/4:len(row)*3/4])
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := emporixtest.New(t)
				fake.AddCustomer(t, emporixtest.Customer{Email: jo.Email, Password: jo.Password})
				var log bytes.Buffer
				store := &tellingStore{LeaseTokenStore: emporix.NewMemoryStore(0), quote: quote}
				logger := emporix.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
				first := fake.Client(t, emporix.WithTokenStore(store), logger).Session("the-visitors-cookie")
				logIn(t, first)
				stranger := fake.Client(t, emporix.WithTokenStore(store), logger).Session("the-visitors-cookie")
				store.on.Store(true)
				for _, s := range []*emporix.Session{first, stranger} {
					_, infoErr := s.Info(t.Context())
					_, refreshErr := s.Auth.Refresh(t.Context())
					for _, err := range []error{customerCall(t.Context(), stranger), infoErr, refreshErr, s.Auth.Logout(t.Context())} {
						if err == nil {
							continue
						}
						assert.Contains(t, err.Error(), "[redacted]")
						assert.NotContains(t, err.Error(), "the-visitors-cookie")
						fake.AssertNoSecrets(t, []byte(err.Error()))
					}
					require.Error(t, refreshErr)
				}
				fake.AssertNoSecrets(t, log.Bytes())
			})
		})
	}
}

package emporix_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
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
	"github.com/emporix-community/emporix-go/internal/fixture"
	"github.com/emporix-community/emporix-go/stores/storetest"
)

func save(t *testing.T, s emporix.TokenStore, key, data string, generation uint64, ttl time.Duration) {
	t.Helper()
	require.NoError(t, s.Save(t.Context(), key, []byte(data), generation, ttl))
}

// load returns the row, "" if there is none.
func load(t *testing.T, s emporix.TokenStore, key string) string {
	t.Helper()
	data, found, err := s.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, found, data != nil)
	return string(data)
}

// Both built-in stores keep the contract of TokenStore.
func TestBuiltInStores(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) storetest.Store { return emporix.NewMemoryStore(0) }, storetest.WithVirtualTime())
	})
	t.Run("file", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Store { s, _ := fileStore(t); return s }, storetest.WithVirtualTime())
	})
}

// An operation whose context has ended fails with its cause, and tells nothing else.
func TestBuiltInStoresHearTheirContext(t *testing.T) {
	memory := emporix.NewMemoryStore(0)
	file, _ := fileStore(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for name, store := range map[string]emporix.ConditionalTokenStore{"memory": memory, "file": file} {
		save(t, store, "a", "one", 1, time.Hour)
		data, found, err := store.Load(ctx, "a")
		require.ErrorIs(t, err, cause, name)
		assert.Nil(t, data)
		assert.False(t, found, name)
		saved, err := store.SaveIf(ctx, "a", []byte("two"), 1, 2, time.Hour)
		require.ErrorIs(t, err, cause, name)
		assert.False(t, saved, name)
		require.ErrorIs(t, store.Save(ctx, "a", []byte("two"), 2, time.Hour), cause, name)
		require.ErrorIs(t, store.Delete(ctx, "a"), cause, name)
		assert.Equal(t, "one", load(t, store, "a"), name)
	}
	acquired, abandoned, err := memory.Acquire(ctx, "a", "me", time.Hour)
	require.ErrorIs(t, err, cause)
	assert.False(t, acquired || abandoned)
	_, err = acquire(t, memory, "a", time.Hour)
	require.NoError(t, err)
	require.ErrorIs(t, memory.Release(ctx, "a", "me"), cause)
	left, err := memory.Remaining(ctx, "a", "me")
	require.ErrorIs(t, err, cause)
	assert.Zero(t, left)
	left, err = memory.Remaining(t.Context(), "a", "me")
	require.NoError(t, err)
	assert.Positive(t, left)
}

type ownersOf struct {
	emporix.LeaseTokenStore
	owners map[string]bool
}

func (s *ownersOf) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	s.owners[owner] = true
	return s.LeaseTokenStore.Acquire(ctx, key, owner, ttl)
}

func TestOwnersOfLeasesAreShortAndPrintable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &ownersOf{emporix.NewMemoryStore(0), map[string]bool{}}
		fake := emporixtest.New(t)
		client := fake.Client(t, emporix.WithTokenStore(store))
		for range 10 {
			require.NoError(t, fixture.AnonymousCall(t.Context(), client.DefaultSession()))
			_, err := client.Auth.Refresh(t.Context())
			require.NoError(t, err)
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		assert.Greater(t, len(store.owners), 5)
		for owner := range store.owners {
			assert.Regexp(t, `^[!-~]{1,64}$`, owner)
		}
	})
}

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
				fake := fixture.Fake(t)
				var log bytes.Buffer
				store := &tellingStore{LeaseTokenStore: emporix.NewMemoryStore(0), quote: quote}
				logger := emporix.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
				first := fake.Client(t, emporix.WithTokenStore(store), logger).Session("the-visitors-cookie")
				fixture.LogIn(t, first)
				stranger := fake.Client(t, emporix.WithTokenStore(store), logger).Session("the-visitors-cookie")
				store.on.Store(true)
				for _, s := range []*emporix.Session{first, stranger} {
					_, infoErr := s.Info(t.Context())
					_, refreshErr := s.Auth.Refresh(t.Context())
					for _, err := range []error{fixture.CustomerCall(t.Context(), stranger), infoErr, refreshErr, s.Auth.Logout(t.Context())} {
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

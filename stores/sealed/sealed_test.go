package sealed_test

import (
	"bytes"
	"context"
	"crypto/fips140"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/stores/sealed"
	"github.com/emporix-community/emporix-go/stores/storetest"
)

func secretOf(name string) emporix.Secret {
	return emporix.NewSecret(name + strings.Repeat(".", max(0, 31-len(name))) + "!")
}

func key(id string) sealed.Key { return sealed.Key{ID: id, Secret: secretOf("secret of " + id)} }

func keys(ids ...string) sealed.Keys {
	out := sealed.Keys{Index: secretOf("secret of the index")}
	for _, id := range ids {
		out.Ring = append(out.Ring, key(id))
	}
	return out
}

// mapStore is a plain store whose rows a thief can read and move.
type mapStore struct {
	mu   sync.Mutex
	rows map[string][]byte
}

func (d *mapStore) Load(_ context.Context, key string) ([]byte, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	row, found := d.rows[key]
	return bytes.Clone(row), found, nil
}

func (d *mapStore) Save(_ context.Context, key string, data []byte, _ uint64, _ time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rows == nil {
		d.rows = map[string][]byte{}
	}
	d.rows[key] = bytes.Clone(data)
	return nil
}

func (d *mapStore) Delete(_ context.Context, key string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rows, key)
	return nil
}

// only returns the one row and its key.
func (d *mapStore) only(t *testing.T) (key string, row []byte) {
	t.Helper()
	require.Len(t, d.rows, 1)
	for key, row = range d.rows {
	}
	return key, row
}

func seal(t *testing.T, inner emporix.TokenStore, keys sealed.Keys) emporix.TokenStore {
	t.Helper()
	store, err := sealed.New(inner, keys)
	require.NoError(t, err)
	return store
}

func load(t *testing.T, s emporix.TokenStore, key string) (string, error) {
	t.Helper()
	data, found, err := s.Load(t.Context(), key)
	require.Equal(t, err == nil, found)
	if err != nil {
		require.Equal(t, errors.Is(err, sealed.ErrUnreadable), errors.Is(err, emporix.ErrStoreCorrupt))
		require.Equal(t, errors.Is(err, sealed.ErrNewer) || errors.Is(err, sealed.ErrUnknownKey), errors.Is(err, emporix.ErrStoreUnavailable))
		require.NotEqual(t, errors.Is(err, emporix.ErrStoreUnavailable), errors.Is(err, emporix.ErrStoreCorrupt))
		require.Empty(t, data)
	}
	return string(data), err
}

type conditionalOnly struct{ emporix.ConditionalTokenStore }

type plainOnly struct{ emporix.TokenStore }

// A sealed store keeps the promises of the store in it, and has its upgrades.
func TestSealedStoresAreStores(t *testing.T) {
	memory := func() emporix.LeaseTokenStore { return emporix.NewMemoryStore(0) }
	for name, tt := range map[string]struct {
		inner              func() emporix.TokenStore
		conditional, lease bool
	}{
		"plain":       {func() emporix.TokenStore { return plainOnly{memory()} }, false, false},
		"conditional": {func() emporix.TokenStore { return conditionalOnly{memory()} }, true, false},
		"lease":       {func() emporix.TokenStore { return memory() }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			store := seal(t, tt.inner(), keys("a"))
			_, conditional := store.(emporix.ConditionalTokenStore)
			_, lease := store.(emporix.LeaseTokenStore)
			assert.Equal(t, tt.conditional, conditional)
			assert.Equal(t, tt.lease, lease)
			storetest.Run(t, func(t *testing.T) storetest.Store { return seal(t, tt.inner(), keys("a", "b")) }, storetest.WithVirtualTime())
		})
	}
}

// A dump shows neither rows nor keys, and no two rows are alike.
func TestADumpShowsNothing(t *testing.T) {
	thief := &mapStore{}
	store := seal(t, thief, keys("2026-11"))
	seen := map[string]bool{}
	for range 50 {
		require.NoError(t, store.Save(t.Context(), "TENANT-CANARY/VISITOR-CANARY", []byte("TOKEN-CANARY"), 1, time.Hour))
		at, row := thief.only(t)
		assert.Len(t, at, 43)
		all := at + string(row)
		for _, canary := range []string{"TENANT-CANARY", "VISITOR-CANARY", "TOKEN-CANARY", "CANARY"} {
			for _, form := range []string{canary, hex.EncodeToString([]byte(canary)), base64.RawStdEncoding.EncodeToString([]byte(canary))} {
				assert.NotContains(t, all, form)
			}
		}
		assert.Len(t, row, 2+len("2026-11")+32+len("TOKEN-CANARY")+16)
		assert.False(t, seen[string(row)])
		seen[string(row)] = true
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{store, keys("a"), keys("a").Ring[0]} {
			out := fmt.Sprintf(verb, v)
			assert.NotContains(t, out, "secret of")
			assert.NotContains(t, out, hex.EncodeToString([]byte("secret of")))
			assert.NotContains(t, out, strings.Trim(fmt.Sprint([]byte("secret of")), "[]"))
		}
	}
	out, err := json.Marshal(keys("a"))
	require.NoError(t, err)
	assert.NotContains(t, string(out), "secret of")
}

func TestARowThatWasMovedOrChangedIsRefused(t *testing.T) {
	thief := &mapStore{}
	store := seal(t, thief, keys("a", "b"))
	put := func(key string) (string, []byte) {
		clear(thief.rows)
		require.NoError(t, store.Save(t.Context(), key, []byte("the row of "+key), 1, time.Hour))
		at, row := thief.only(t)
		return at, bytes.Clone(row)
	}
	_, other := put("acme/ann")
	_, foreign := put("globex/jo")
	_, shifted := put("aacme/jo")
	at, row := put("acme/jo")
	got, err := load(t, store, "acme/jo")
	require.NoError(t, err)
	require.Equal(t, "the row of acme/jo", got)

	bad := map[string][]byte{
		"another visitor's": other, "another tenant's": foreign, "of a key that is longer": shifted,
		"empty": {}, "one byte": {1}, "text": []byte("the row of acme/jo"), "a bare record": []byte(`{"v":1,"g":1}`),
		"longer": append(bytes.Clone(row), 0), "twice": append(bytes.Clone(row), row...), "zeros": make([]byte, len(row)),
	}
	for i := range row {
		bad[fmt.Sprint("cut to ", i)] = row[:i]
		if i > 0 {
			bad[fmt.Sprint("without the first ", i)] = row[i:]
		}
		for bit := range 8 {
			flipped := bytes.Clone(row)
			flipped[i] ^= 1 << bit
			bad[fmt.Sprint("bit ", bit, " of byte ", i)] = flipped
		}
	}
	for value := range 256 { // every version, and every length of the key ID
		for at, what := range []string{"version ", "key ID of "} {
			flipped := bytes.Clone(row)
			flipped[at] = byte(value)
			if byte(value) != row[at] {
				bad[fmt.Sprint(what, value)] = flipped
			}
		}
		named := append([]byte{1, byte(value)}, strings.Repeat("x", value)...)
		bad[fmt.Sprint("an unknown key ID of ", value)] = append(named, make([]byte, 48)...)
		bad[fmt.Sprint("an unknown key ID of ", value, ", cut")] = append(bytes.Clone(named), make([]byte, 47)...)
	}
	renamed := bytes.Clone(row)
	renamed[2] = 'b'
	bad["under another key of the ring"] = renamed
	renamed = bytes.Clone(row)
	renamed[2] = 'c'
	bad["under a key that is not in the ring"] = renamed

	// Version and key ID stand in clear; the error tells nothing else.
	expected := func(data []byte) error {
		switch {
		case len(data) > 0 && data[0] > 1 && data[0] < 32:
			return sealed.ErrNewer
		case len(data) >= 2+1+48 && data[0] == 1 && data[1] == 1 && data[2] != 'a' && data[2] != 'b' && validID.Match(data[2:3]),
			len(data) > 2 && data[0] == 1 && data[1] > 1 && len(data) >= 2+int(data[1])+48 && data[1] <= 32 && validID.Match(data[2:2+data[1]]):
			return sealed.ErrUnknownKey
		}
		return sealed.ErrUnreadable
	}
	seen := map[error]int{}
	for name, data := range bad {
		thief.rows[at] = data
		_, err := load(t, store, "acme/jo")
		require.Equal(t, expected(data), err, name)
		seen[err]++
		assert.Equal(t, data, thief.rows[at], "the row is kept")
	}
	assert.Len(t, seen, 3)
	thief.rows[at] = row
	_, err = load(t, store, "acme/jo")
	require.NoError(t, err)
}

var validID = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// A process meets rows that a newer one has sealed, in another format or with a
// key that it does not have yet: unavailable, whatever follows.
func TestRowsOfARollOutAreUnavailable(t *testing.T) {
	thief := &mapStore{}
	require.NoError(t, seal(t, thief, keys("new")).Save(t.Context(), "acme/jo", []byte("the row"), 1, time.Hour))
	at, row := thief.only(t)
	_, err := load(t, seal(t, thief, keys("old")), "acme/jo")
	require.ErrorIs(t, err, sealed.ErrUnknownKey)
	assert.ErrorContains(t, err, "nothing is lost")
	for _, later := range [][]byte{
		append([]byte{2}, row[1:]...), append([]byte{31}, row[1:]...), {2}, {2, 0}, {2, 255}, append([]byte{3}, make([]byte, 500)...),
	} {
		thief.rows[at] = later
		_, err := load(t, seal(t, thief, keys("new")), "acme/jo")
		require.ErrorIs(t, err, sealed.ErrNewer)
		require.ErrorContains(t, err, "nothing is lost")
	}
}

func TestRotation(t *testing.T) {
	inner := emporix.NewMemoryStore(0)
	put := func(ids []string, name string) {
		require.NoError(t, seal(t, inner, keys(ids...)).Save(t.Context(), name, []byte("by "+ids[0]), 1, time.Hour))
	}
	put([]string{"one"}, "a")
	put([]string{"one", "two"}, "b") // the new key is known everywhere first
	put([]string{"two", "one"}, "c")
	for _, ids := range [][]string{{"one", "two"}, {"two", "one"}, {"three", "two", "one"}} {
		for name, want := range map[string]string{"a": "by one", "b": "by one", "c": "by two"} {
			got, err := load(t, seal(t, inner, keys(ids...)), name)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
	}
	last := seal(t, inner, keys("two"))
	_, err := load(t, last, "a")
	require.Error(t, err, "its key has gone")
	got, err := load(t, last, "c")
	require.NoError(t, err, "rows are found whatever the ring")
	assert.Equal(t, "by two", got)

	same := keys("two")
	same.Ring[0].Secret = secretOf("another secret under the same ID")
	_, err = load(t, seal(t, inner, same), "c")
	require.Error(t, err)

	reindexed := keys("two")
	reindexed.Index = secretOf("another index")
	_, found, err := seal(t, inner, reindexed).Load(t.Context(), "c")
	require.NoError(t, err)
	assert.False(t, found, "as documented")
}

func TestWeakKeysAreRefused(t *testing.T) {
	with := func(change func(*sealed.Keys)) sealed.Keys {
		k := keys("a", "b")
		change(&k)
		return k
	}
	short := emporix.NewSecret("SECRET-CANARY-SECRET-CANARY-SEC")
	require.Len(t, short.Reveal(), 31)
	for name, tt := range map[string]struct {
		keys sealed.Keys
		says string
	}{
		"none":                {sealed.Keys{}, "the key ring is empty"},
		"an empty ring":       {with(func(k *sealed.Keys) { k.Ring = []sealed.Key{} }), "the key ring is empty"},
		"no index":            {with(func(k *sealed.Keys) { k.Index = emporix.Secret{} }), "the index key is too short"},
		"a short index":       {with(func(k *sealed.Keys) { k.Index = short }), "the index key is too short"},
		"an index of zeros":   {with(func(k *sealed.Keys) { k.Index = emporix.NewSecret(strings.Repeat("\x00", 32)) }), "the index key is a few bytes"},
		"no secret":           {with(func(k *sealed.Keys) { k.Ring[1].Secret = emporix.Secret{} }), "key 2 of the ring is too short"},
		"a short secret":      {with(func(k *sealed.Keys) { k.Ring[0].Secret = short }), "key 1 of the ring is too short"},
		"zeros":               {with(func(k *sealed.Keys) { k.Ring[0].Secret = emporix.NewSecret(strings.Repeat("\x00", 32)) }), "key 1 of the ring is a few bytes"},
		"one byte, long":      {with(func(k *sealed.Keys) { k.Ring[1].Secret = emporix.NewSecret(strings.Repeat("C", 99)) }), "key 2 of the ring is a few bytes"},
		"a word, long":        {with(func(k *sealed.Keys) { k.Ring[0].Secret = emporix.NewSecret(strings.Repeat("canary!", 9)) }), "key 1 of the ring is a few bytes"},
		"hexadecimal":         {with(func(k *sealed.Keys) { k.Ring[0].Secret = emporix.NewSecret("00112233445566778899aabbccddeeff") }), "key 1 of the ring is hexadecimal"},
		"seven bytes, long":   {with(func(k *sealed.Keys) { k.Ring[0].Secret = emporix.NewSecret(strings.Repeat("acnry!?", 9)) }), "key 1 of the ring is a few bytes"},
		"hexadecimal of 63":   {with(func(k *sealed.Keys) { k.Index = emporix.NewSecret(strings.Repeat("0a1b2c3d", 8)[1:]) }), "the index key is hexadecimal"},
		"hexadecimal, long":   {with(func(k *sealed.Keys) { k.Index = emporix.NewSecret(strings.Repeat("CA9A27", 10)) }), "the index key is hexadecimal"},
		"an ID twice":         {with(func(k *sealed.Keys) { k.Ring[1].ID = "a" }), "key 2 of the ring has the ID"},
		"a secret twice":      {with(func(k *sealed.Keys) { k.Ring[1].Secret = k.Ring[0].Secret }), "key 2 of the ring is an earlier one"},
		"no ID":               {with(func(k *sealed.Keys) { k.Ring[1].ID = "" }), "the ID of key 2"},
		"a long ID":           {with(func(k *sealed.Keys) { k.Ring[1].ID = strings.Repeat("CANARY", 6)[3:] }), "the ID of key 2"},
		"an ID with a space":  {with(func(k *sealed.Keys) { k.Ring[1].ID = "CA NARY" }), "the ID of key 2"},
		"a secret for its ID": {with(func(k *sealed.Keys) { k.Ring[1].ID = "CANARY/+=" }), "the ID of key 2"},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := sealed.New(emporix.NewMemoryStore(0), tt.keys)
			require.ErrorContains(t, err, tt.says)
			assert.Nil(t, store)
			assert.NotContains(t, err.Error(), "CANARY")
		})
	}
	for what, change := range map[string]func(*sealed.Keys){
		"an ID of 32":       func(k *sealed.Keys) { k.Ring[1].ID = strings.Repeat("Az09._-x", 4) },
		"hexadecimal of 64": func(k *sealed.Keys) { k.Ring[1].Secret = emporix.NewSecret(strings.Repeat("0a1b2c3d", 8)) },
		"eight bytes, 32":   func(k *sealed.Keys) { k.Index = emporix.NewSecret(strings.Repeat("!?acnryx", 4)) },
	} {
		_, err := sealed.New(emporix.NewMemoryStore(0), with(change))
		require.NoError(t, err, what)
	}
	for _, store := range []emporix.TokenStore{nil, (*mapStore)(nil), (*plainOnly)(nil)} {
		_, err := sealed.New(store, keys("a"))
		require.ErrorContains(t, err, "is nil")
	}
}

var errDown = errors.New("connection refused")

type down struct{ emporix.LeaseTokenStore }

func (down) Load(context.Context, string) ([]byte, bool, error) { return nil, false, errDown }

func TestErrorsOfTheInnerStoreComeThrough(t *testing.T) {
	_, _, err := seal(t, down{emporix.NewMemoryStore(0)}, keys("a")).Load(t.Context(), "a")
	require.ErrorIs(t, err, errDown)
	require.NotErrorIs(t, err, sealed.ErrUnreadable, "nothing is wrong with the row")
}

// What a client does with a row that it can't open: a typed error, no new
// session, the row stays; Logout discards it.
func TestAClientKeepsARowThatItCannotOpen(t *testing.T) {
	fake := emporixtest.New(t)
	fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "Secret-123", FirstName: "Jo"})
	thief := &mapStore{}
	open := func(ids ...string) *emporix.Session {
		return fake.Client(t, emporix.WithTokenStore(seal(t, thief, keys(ids...)))).Session("jo")
	}
	_, err := open("one").Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "Secret-123"})
	require.NoError(t, err)
	name, before := thief.only(t)

	login := emporix.LoginRequest{Email: "jo@example.com", Password: "Secret-123"}
	fails := func(jo *emporix.Session, want, not, because error) {
		t.Helper()
		_, err := jo.Customers.Get(t.Context())
		require.ErrorIs(t, err, want)
		require.NotErrorIs(t, err, not)
		require.ErrorIs(t, err, because)
		_, err = jo.Auth.Login(t.Context(), login)
		require.ErrorIs(t, err, want)
		at, after := thief.only(t)
		assert.Equal(t, before, after)
		assert.Equal(t, name, at)
	}
	fails(open("two"), emporix.ErrStoreUnavailable, emporix.ErrStoreCorrupt, sealed.ErrUnknownKey) // started with the wrong keys

	whole := before
	before = append([]byte{2}, whole[1:]...)
	thief.rows[name] = before
	fails(open("one"), emporix.ErrStoreUnavailable, emporix.ErrStoreCorrupt, sealed.ErrNewer)
	require.ErrorIs(t, open("one").Auth.Logout(t.Context()), emporix.ErrStoreUnavailable)
	before = append(bytes.Clone(whole), 0)
	thief.rows[name] = before
	fails(open("one"), emporix.ErrStoreCorrupt, emporix.ErrStoreUnavailable, sealed.ErrUnreadable)
	thief.rows[name] = whole

	me, err := open("two", "one").Customers.Get(t.Context())
	require.NoError(t, err, "nothing is lost once the keys are right")
	assert.Equal(t, "Jo", me.FirstName)

	require.NoError(t, open("two").Auth.Logout(t.Context()), "the key may be gone for good")
	assert.Empty(t, thief.rows)
}

// Go's FIPS mode is chosen when a program starts, so another one is started.
func TestFIPS(t *testing.T) {
	if os.Getenv("SEALED_TEST_FIPS") != "" {
		require.True(t, fips140.Enforced())
		store := seal(t, &mapStore{}, keys("a", "b"))
		require.NoError(t, store.Save(t.Context(), "acme/jo", []byte("the row"), 1, time.Hour))
		got, err := load(t, store, "acme/jo")
		require.NoError(t, err)
		require.Equal(t, "the row", got)
		return
	}
	program := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPS$") // #nosec G204 G702 -- this test
	program.Env = append(os.Environ(), "GODEBUG=fips140=only", "SEALED_TEST_FIPS=1")
	out, err := program.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func BenchmarkSealed(b *testing.B) {
	store, err := sealed.New(emporix.NewMemoryStore(0), keys("a"))
	require.NoError(b, err)
	row := bytes.Repeat([]byte("x"), 600)
	require.NoError(b, store.Save(b.Context(), "acme/jo", row, 1, time.Hour))
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = store.Load(b.Context(), "acme/jo")
		}
	})
	b.Run("save", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = store.Save(b.Context(), "acme/jo", row, 1, time.Hour)
		}
	})
}

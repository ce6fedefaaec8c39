package emporix

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMemoryRows is how many sessions the default memory store holds.
const DefaultMemoryRows = 1_000_000

// NewMemoryStore returns a token store in this process's memory. It holds at
// most maxRows rows (0: DefaultMemoryRows), or up to 63 more where that is less than
// 1000. When it is full, a row that ends soon makes room. It needs no goroutine:
// expired rows go when others are written. Sessions end with the process.
func NewMemoryStore(maxRows int) LeaseTokenStore {
	if maxRows <= 0 {
		maxRows = DefaultMemoryRows
	}
	s := &memoryRows{seed: maphash.MakeSeed(), limit: int64(maxRows)}
	for i := range s.shards {
		s.shards[i].rows = newMemorySlab(s.seed)
	}
	return &memoryStore{state: func() *memoryRows { return s }}
}

// memoryStore hides its rows behind a function: printers that walk through
// fields by reflection can't see them.
type memoryStore struct {
	state func() *memoryRows
}

const memoryShards = 64

type memoryRows struct {
	seed   maphash.Seed
	limit  int64
	count  atomic.Int64
	shards [memoryShards]memoryShard
}

type memoryShard struct {
	mu   sync.Mutex
	rows memorySlab

	leases  map[string]memoryLease
	sweepAt int // how many leases are looked through for those that are over
}

const maxMemoryRow = 1 << 24

var errLargeRow = errors.New("emporix: memory store: the key is longer than 64 KiB, or the row than 16 MiB")

// lock locks the shard of key, and names its hash.
func (s *memoryStore) lock(key string) (state *memoryRows, shard *memoryShard, hash uint64) {
	state = s.state()
	hash = state.hash(key)
	shard = &state.shards[hash%memoryShards]
	shard.mu.Lock()
	return state, shard, hash
}

func (m *memoryRows) hash(key string) uint64 { return maphash.String(m.seed, key) }

// get returns the live row of key.
func (s *memoryShard) get(hash uint64, key string) (memoryRow, bool) {
	row, found := s.rows.find(hash, key)
	if !found || row.endsBy(time.Now()) {
		return nil, false
	}
	return row, true
}

func (s *memoryStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	_, shard, hash := s.lock(key)
	defer shard.mu.Unlock()
	row, found := shard.get(hash, key)
	if !found {
		return nil, false, nil
	}
	return bytes.Clone(row.data()), true, nil
}

func (s *memoryStore) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	_, err := s.save(ctx, key, data, nil, generation, ttl)
	return err
}

func (s *memoryStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	return s.save(ctx, key, data, &expected, generation, ttl)
}

func (s *memoryStore) save(ctx context.Context, key string, data []byte, expected *uint64, generation uint64, ttl time.Duration) (bool, error) {
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case len(key) > math.MaxUint16, len(data) > maxMemoryRow:
		return false, errLargeRow
	}
	state, shard, hash := s.lock(key)
	defer shard.mu.Unlock()
	if expected != nil {
		var current uint64
		if row, found := shard.get(hash, key); found {
			current = row.generation()
		}
		if current != *expected {
			return false, nil
		}
	}
	state.makeRoom(shard, hash)
	shard.rows.put(hash, key, data, generation, endOf(ttl))
	shard.wrote(key)
	return true, nil
}

// endOf returns when a row ends, in unix nanoseconds; they last until the year 2262.
func endOf(ttl time.Duration) int64 {
	now := time.Now().UnixNano()
	return now + min(int64(ttl), math.MaxInt64-now)
}

func (s *memoryStore) Delete(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	state, shard, hash := s.lock(key)
	defer shard.mu.Unlock()
	if _, found := shard.rows.find(hash, key); found {
		state.drop(shard, hash)
	}
	shard.wrote(key)
	return nil
}

func (m *memoryRows) drop(shard *memoryShard, hash uint64) {
	shard.rows.remove(hash)
	m.count.Add(-1)
}

// makeRoom counts the row that is about to be written, and looks at a few others:
// expired ones go, and if the store is full, so does the one of them that ends first.
//
// If two keys have the same 64-bit hash, the row that is written later replaces the
// other; with a million rows that happens in one process of some 40 million.
func (m *memoryRows) makeRoom(shard *memoryShard, hash uint64) {
	now := time.Now()
	var first uint64
	var firstUntil int64
	seen := 0
	for other, location := range shard.rows.index { // starts anywhere
		if seen++; seen > 8 {
			break
		}
		row := shard.rows.at(location)
		switch {
		case other == hash:
		case row.endsBy(now):
			m.drop(shard, other)
		case firstUntil == 0 || row.until() < firstUntil:
			first, firstUntil = other, row.until()
		}
	}
	if _, taken := shard.rows.index[hash]; !taken && m.count.Add(1) > m.limit && firstUntil != 0 {
		m.drop(shard, first)
	}
}

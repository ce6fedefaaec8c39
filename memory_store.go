package emporix

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// DefaultMemoryRows is how many sessions the default memory store holds.
const DefaultMemoryRows = 1_000_000

// NewMemoryStore returns a token store in this process's memory. It holds at
// most maxRows rows (0: DefaultMemoryRows); when it is full, a row that ends
// soon makes room. It needs no goroutine: expired rows go when others are
// written. Sessions end with the process.
func NewMemoryStore(maxRows int) ConditionalTokenStore {
	if maxRows <= 0 {
		maxRows = DefaultMemoryRows
	}
	s := &memoryRows{seed: maphash.MakeSeed(), perShard: max(1, (maxRows+memoryShards-1)/memoryShards)}
	for i := range s.shards {
		s.shards[i].rows = map[string]memoryRow{}
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
	seed     maphash.Seed
	perShard int
	shards   [memoryShards]memoryShard
}

type memoryShard struct {
	mu   sync.Mutex
	rows map[string]memoryRow
}

type memoryRow struct {
	data       string // immutable, one object
	generation uint64
	until      int64 // unix nanoseconds
}

func (r memoryRow) live(now time.Time) bool { return now.UnixNano() < r.until }

func (s *memoryStore) shard(key string) (*memoryRows, *memoryShard) {
	state := s.state()
	return state, &state.shards[maphash.String(state.seed, key)%memoryShards]
}

func (s *memoryStore) Load(_ context.Context, key string) ([]byte, bool, error) {
	_, shard := s.shard(key)
	shard.mu.Lock()
	row, found := shard.rows[key]
	shard.mu.Unlock()
	if !found || !row.live(time.Now()) {
		return nil, false, nil
	}
	return []byte(row.data), true, nil
}

func (s *memoryStore) Save(_ context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	state, shard := s.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.put(state.perShard, key, data, generation, ttl)
	return nil
}

func (s *memoryStore) SaveIf(_ context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	state, shard := s.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	var current uint64
	if row, found := shard.rows[key]; found && row.live(time.Now()) {
		current = row.generation
	}
	if current != expected {
		return false, nil
	}
	shard.put(state.perShard, key, data, generation, ttl)
	return true, nil
}

func (s *memoryStore) Delete(_ context.Context, key string) error {
	_, shard := s.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	delete(shard.rows, key)
	return nil
}

// put writes a row and looks at a few others on the way: expired ones go, and
// if the shard is full, so does the one of them that ends first.
func (s *memoryShard) put(limit int, key string, data []byte, generation uint64, ttl time.Duration) {
	now := time.Now()
	_, there := s.rows[key]
	seen, first, firstUntil := 0, "", int64(0)
	for other, row := range s.rows { // starts anywhere
		if seen++; seen > 8 {
			break
		}
		if other == key {
			continue
		}
		if !row.live(now) {
			delete(s.rows, other)
			continue
		}
		if first == "" || row.until < firstUntil {
			first, firstUntil = other, row.until
		}
	}
	if !there && len(s.rows) >= limit {
		delete(s.rows, first)
	}
	s.rows[key] = memoryRow{data: string(data), generation: generation, until: now.Add(ttl).UnixNano()}
}

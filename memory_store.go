package emporix

import (
	"context"
	"encoding/binary"
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
// most maxRows rows (0: DefaultMemoryRows); when it is full, a row that ends
// soon makes room. It needs no goroutine: expired rows go when others are
// written. Sessions end with the process.
func NewMemoryStore(maxRows int) LeaseTokenStore {
	if maxRows <= 0 {
		maxRows = DefaultMemoryRows
	}
	s := &memoryRows{seed: maphash.MakeSeed(), limit: int64(maxRows)}
	for i := range s.shards {
		s.shards[i].rows = map[uint64]memoryRow{}
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

// memoryShard keeps each row as one object without pointers, under a hash of
// its key: with a million sessions, what the garbage collector has to walk
// through is what a call costs.
type memoryShard struct {
	mu   sync.Mutex
	rows map[uint64]memoryRow
	odd  map[string]memoryRow // the rare rows whose hash is another's

	leases  map[string]memoryLease
	sweepAt int // how many leases are looked through for those that are over
}

// memoryRow is generation, end in unix nanoseconds, length of the key, key, data.
type memoryRow string

const memoryHeader = 8 + 8 + 2

func newMemoryRow(key string, data []byte, generation uint64, until time.Time) memoryRow {
	row := make([]byte, 0, memoryHeader+len(key)+len(data))
	row = binary.BigEndian.AppendUint64(row, generation)
	row = binary.BigEndian.AppendUint64(row, uint64(max(until.UnixNano(), 0))) // #nosec G115 -- not negative
	row = binary.BigEndian.AppendUint16(row, uint16(len(key)))                 // #nosec G115 -- checked by callers
	row = append(row, key...)
	return memoryRow(append(row, data...))
}

func (r memoryRow) number(at int) (n uint64) {
	for i := at; i < at+8; i++ {
		n = n<<8 | uint64(r[i])
	}
	return n
}

func (r memoryRow) keyEnd() int { return memoryHeader + int(r[16])<<8 + int(r[17]) }

func (r memoryRow) generation() uint64      { return r.number(0) }
func (r memoryRow) until() uint64           { return r.number(8) }
func (r memoryRow) is(key string) bool      { return string(r[memoryHeader:r.keyEnd()]) == key }
func (r memoryRow) data() []byte            { return []byte(r[r.keyEnd():]) }
func (r memoryRow) live(now time.Time) bool { return uint64(max(now.UnixNano(), 0)) < r.until() } // #nosec G115 -- not negative

var errLongKey = errors.New("emporix: memory store: the key is longer than 64 KiB")

// hold locks the shard of key, and names its place there.
func (s *memoryStore) hold(key string) (state *memoryRows, shard *memoryShard, place uint64) {
	state = s.state()
	place = state.place(key)
	shard = &state.shards[place%memoryShards]
	shard.mu.Lock()
	return state, shard, place
}

func (m *memoryRows) place(key string) uint64 { return maphash.String(m.seed, key) }

// get returns the live row of key.
func (s *memoryShard) get(place uint64, key string) (memoryRow, bool) {
	row, found := s.rows[place]
	if found && !row.is(key) {
		row, found = s.odd[key]
	}
	return row, found && row.live(time.Now())
}

func (s *memoryStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	_, shard, place := s.hold(key)
	row, found := shard.get(place, key)
	shard.mu.Unlock()
	if !found {
		return nil, false, nil
	}
	return row.data(), true, nil
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
	case len(key) > math.MaxUint16:
		return false, errLongKey
	}
	state, shard, place := s.hold(key)
	defer shard.mu.Unlock()
	if expected != nil {
		var current uint64
		if row, found := shard.get(place, key); found {
			current = row.generation()
		}
		if current != *expected {
			return false, nil
		}
	}
	state.put(shard, place, newMemoryRow(key, data, generation, time.Now().Add(ttl)), key)
	shard.wrote(key)
	return true, nil
}

func (s *memoryStore) Delete(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	state, shard, place := s.hold(key)
	defer shard.mu.Unlock()
	if row, found := shard.rows[place]; found && row.is(key) {
		state.drop(shard, place)
	} else if _, found := shard.odd[key]; found {
		delete(shard.odd, key)
		state.count.Add(-1)
	}
	shard.wrote(key)
	return nil
}

func (m *memoryRows) drop(shard *memoryShard, place uint64) {
	delete(shard.rows, place)
	m.count.Add(-1)
}

// put writes a row and looks at a few others on the way: expired ones go, and
// if the store is full, so does the one of them that ends first.
func (m *memoryRows) put(shard *memoryShard, place uint64, row memoryRow, key string) {
	now := time.Now()
	seen, first, firstUntil := 0, uint64(0), uint64(0)
	for other, r := range shard.rows { // starts anywhere
		if seen++; seen > 8 {
			break
		}
		switch {
		case other == place:
		case !r.live(now):
			m.drop(shard, other)
		case firstUntil == 0 || r.until() < firstUntil:
			first, firstUntil = other, r.until()
		}
	}
	if old, taken := shard.rows[place]; taken && !old.is(key) {
		if shard.odd == nil {
			shard.odd = map[string]memoryRow{}
		}
		if _, there := shard.odd[key]; !there {
			m.count.Add(1)
		}
		shard.odd[key] = row
		return
	} else if !taken && m.count.Add(1) > m.limit && firstUntil != 0 {
		m.drop(shard, first)
	}
	shard.rows[place] = row
}

package emporix

import (
	"context"
	"errors"
	"time"
)

// memoryLease lends one row. It stays behind when it has run out, to tell that
// it was abandoned.
type memoryLease struct {
	owner   string
	until   time.Time
	written bool // the row has been, since the lease was taken
	doubted bool // an earlier lease was abandoned
}

func (l memoryLease) live(now time.Time) bool { return now.Before(l.until) }

const fewLeases = 64 // in a shard: not worth looking through, and always allowed

var errManyLeases = errors.New("emporix: memory store: more rows are lent at once than the store may lock; make it larger")

func (s *memoryStore) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	if ctx.Err() != nil {
		return false, false, context.Cause(ctx)
	}
	state, shard, hash := s.lock(key)
	defer shard.mu.Unlock()
	now := time.Now()
	lease, found := shard.leases[key]
	switch {
	case found && lease.live(now):
		if lease.owner != owner {
			return false, false, nil
		}
	case found:
		lease.doubted = !lease.written
	default:
		if err := state.addLease(shard, now); err != nil {
			return false, false, err
		}
	}
	if lease.doubted {
		_, lease.doubted = shard.get(hash, key)
	}
	lease.written = lease.written && lease.live(now)
	lease.owner, lease.until = owner, now.Add(ttl)
	shard.leases[key] = lease
	return true, lease.doubted && !lease.written, nil
}

func (s *memoryStore) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	_, shard, _ := s.lock(key)
	defer shard.mu.Unlock()
	if l, found := shard.leases[key]; found && l.owner == owner {
		return max(time.Until(l.until), 0), nil
	}
	return 0, nil
}

func (s *memoryStore) Release(ctx context.Context, key, owner string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, shard, _ := s.lock(key)
	defer shard.mu.Unlock()
	l, found := shard.leases[key]
	switch {
	case !found || l.owner != owner || !l.live(time.Now()):
	case l.doubted && !l.written: // the next owner is to know
		l.until = time.Time{}
		shard.leases[key] = l
	default:
		delete(shard.leases, key)
	}
	return nil
}

// wrote is told that the row of key has been written or removed.
func (s *memoryShard) wrote(key string) {
	if l, found := s.leases[key]; found {
		l.written = true
		s.leases[key] = l
	}
}

// addLease makes room for one more. A shard may have as many leases as four
// shards may have rows: no row needs two, and keys are spread by a hash.
func (m *memoryRows) addLease(shard *memoryShard, now time.Time) error {
	if shard.leases == nil {
		shard.leases, shard.sweepAt = map[string]memoryLease{}, fewLeases
	}
	limit := max(fewLeases, int(m.limit/memoryShards)*4)
	if len(shard.leases) < min(shard.sweepAt, limit) {
		return nil
	}
	m.sweepLeases(shard, now)
	shard.sweepAt = max(fewLeases, 2*len(shard.leases))
	if len(shard.leases) >= limit {
		return errManyLeases
	}
	return nil
}

// sweepLeases drops the leases that are over and have nothing left to tell.
func (m *memoryRows) sweepLeases(shard *memoryShard, now time.Time) {
	for key, l := range shard.leases {
		if l.live(now) {
			continue
		}
		if !l.written {
			if _, found := shard.get(m.hash(key), key); found {
				continue
			}
		}
		delete(shard.leases, key)
	}
}

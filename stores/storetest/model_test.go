package storetest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"
)

// model is a store as simple as can be. With a bug it breaks one promise.
type model struct {
	mu     sync.Mutex
	bug    string
	ahead  time.Duration // of the system's clock
	late   time.Duration // is what runs out
	step   time.Duration // in which leases are counted, if not 0
	rows   map[string]modelRow
	leases map[string]modelLease
}

type modelRow struct {
	data       []byte
	generation uint64
	until      time.Time
}

type modelLease struct {
	owner   string
	until   time.Time
	written bool
	doubted bool // an earlier lease was abandoned
	named   time.Time
}

func newModel(bug string) *model {
	return &model{bug: bug, rows: map[string]modelRow{}, leases: map[string]modelLease{}}
}

func (m *model) now() time.Time { return time.Now().Add(m.ahead) }

func (m *model) is(bug string) bool { return m.bug == bug }

// begin takes the lock, unless the context has ended.
func (m *model) begin(ctx context.Context, operation string) (end func(), err error) {
	if ctx.Err() != nil && !m.is(operation+" ignores the context") {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	return m.mu.Unlock, nil
}

func (m *model) name(key string) string {
	if len(key) > 512 {
		panic("a key is longer than keys get")
	}
	switch m.bug {
	case "folds case":
		return strings.ToLower(key)
	case "trims spaces":
		return strings.TrimRight(key, " ")
	case "cuts keys at 511":
		return key[:min(511, len(key))]
	case "unescapes keys":
		return strings.ReplaceAll(key, "%00", "")
	case "joins slashes":
		return strings.ReplaceAll(key, "plain/../", "")
	case "hashes what is in braces":
		if _, rest, found := strings.Cut(key, "{"); found {
			if tag, _, found := strings.Cut(rest, "}"); found && tag != "" {
				return tag
			}
		}
	case "takes one word for another":
		return strings.ReplaceAll(key, "PLAIN", "plain")
	case "cuts keys at a quote":
		before, _, _ := strings.Cut(key, "'")
		return before
	}
	return key
}

func (m *model) owner(owner string) string {
	if len(owner) > 64 {
		panic("an owner is longer than owners get")
	}
	switch m.bug {
	case "cuts owners at 32":
		return owner[:min(32, len(owner))]
	case "folds owners":
		return strings.ToLower(owner)
	case "trims owners":
		return strings.TrimRight(owner, " ")
	}
	return owner
}

func (m *model) number(generation uint64) uint64 {
	switch m.bug {
	case "is a float":
		return uint64(float64(generation))
	case "keeps 63 bits":
		return generation & math.MaxInt64
	case "keeps 32 bits":
		return generation & math.MaxUint32
	case "keeps even numbers":
		return generation &^ 1
	}
	return generation
}

func (m *model) row(key string) (modelRow, bool) {
	r, found := m.rows[m.name(key)]
	return r, found && m.now().Before(r.until)
}

func (m *model) Load(ctx context.Context, key string) ([]byte, bool, error) {
	end, err := m.begin(ctx, "Load")
	if err != nil && m.is("says that it found, too late") {
		return nil, true, err
	}
	if err != nil && m.is("finds nothing, and says nothing") {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer end()
	r, found := m.row(key)
	if m.is("returns expired rows") {
		r, found = m.rows[m.name(key)]
	}
	if l, lent := m.leases[m.name(key)]; lent && (m.is("reading under a lease settles") && m.now().Before(l.until) || m.is("reading after a lease settles") && !m.now().Before(l.until)) {
		l.written = true
		m.leases[m.name(key)] = l
	}
	switch {
	case !found && m.is("absent is an error"):
		return nil, false, fmt.Errorf("no such row")
	case !found && m.is("absent is found"):
		return nil, true, nil
	case !found:
		return nil, false, nil
	case m.is("returns its own bytes"):
		return r.data, true, nil
	case m.is("hides what is no JSON") && r.data[0] != '{':
		return nil, false, nil
	}
	return bytes.Clone(r.data), true, nil
}

func (m *model) write(key string, data []byte, generation uint64, ttl time.Duration) {
	name := m.name(key)
	switch m.bug {
	case "is a C string":
		data, _, _ = bytes.Cut(data, []byte{0})
	case "trims rows":
		data = bytes.TrimSpace(data)
	case "is text":
		data = bytes.ToValidUTF8(data, []byte("?"))
	case "cuts rows at 16 KiB":
		data = data[:min(len(data), 16<<10)]
	default:
		data = bytes.Clone(data)
	}
	generation = m.number(generation)
	until := m.now().Add(ttl + m.late)
	old, found := m.row(key)
	switch {
	case m.is("rows never end"):
		until = until.Add(1000 * time.Hour)
	case m.is("counts milliseconds in 32 bits"):
		until = m.now().Add(time.Duration(int32(ttl.Milliseconds())) * time.Millisecond) // #nosec G115 -- that is the bug
	case m.is("takes months for a date") && ttl > 30*24*time.Hour:
		until = time.Unix(int64(ttl/time.Second), 0)
	case m.is("rows end early"):
		until = m.now().Add(ttl / 2)
	case found && m.is("keeps the first end"):
		until = old.until
	case found && m.is("keeps the later end") && old.until.After(until):
		until = old.until
	case found && m.is("never goes back") && generation < old.generation:
		return
	}
	m.rows[name] = modelRow{data, generation, until}
	l, found := m.leases[name]
	if !found {
		return
	}
	switch m.bug {
	case "writing shortens a lease":
		l.until = l.until.Add(-40 * time.Minute)
		m.leases[name] = l
	case "writing leaves the mark":
	default:
		l.written = true
		m.leases[name] = l
	}
}

func (m *model) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	if ctx.Err() != nil && m.is("saves too late") {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.write(key, data, generation, ttl)
		return ctx.Err()
	}
	end, err := m.begin(ctx, "Save")
	if err != nil {
		return err
	}
	defer end()
	if _, found := m.row(key); found && m.is("does not overwrite") {
		return nil
	}
	if l := m.leases[m.name(key)]; m.is("a lease locks") && m.now().Before(l.until) {
		return fmt.Errorf("locked")
	}
	m.write(key, data, generation, ttl)
	switch {
	case m.is("writes in two halves"):
		for _, part := range [][]byte{data[:len(data)/2], data} {
			m.write(key, part, generation, ttl)
			m.mu.Unlock()
			time.Sleep(rand.N(time.Millisecond)) // #nosec G404 -- not all at the same pace
			m.mu.Lock()
		}
	case m.is("saving ends a lease"):
		delete(m.leases, m.name(key))
	case m.is("Save keeps the caller's bytes"):
		m.rows[m.name(key)] = modelRow{data, generation, m.rows[m.name(key)].until}
	case m.is("keeps 64 rows") && len(m.rows) > 64:
		delete(m.rows, m.name(key))
	}
	return nil
}

func (m *model) Delete(ctx context.Context, key string) error {
	end, err := m.begin(ctx, "Delete")
	if err != nil {
		return err
	}
	defer end()
	_, found := m.row(key)
	switch {
	case m.is("does not delete"):
		return nil
	case !found && m.is("deleting nothing is an error"):
		return fmt.Errorf("no such row")
	case m.is("deletes all"):
		clear(m.rows)
	case m.is("deleting ends a lease"):
		delete(m.leases, m.name(key))
	}
	delete(m.rows, m.name(key))
	if m.is("deletes what begins alike") {
		for other := range m.rows {
			if strings.HasPrefix(other, m.name(key)) {
				delete(m.rows, other)
			}
		}
	}
	if l, found := m.leases[m.name(key)]; found {
		l.written = true
		m.leases[m.name(key)] = l
	}
	return nil
}

func (m *model) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	end, err := m.begin(ctx, "SaveIf")
	if err != nil && m.is("says that it saved, too late") {
		return true, err
	}
	if err != nil && m.is("saves nothing, and says nothing") {
		return false, nil
	}
	if err != nil && m.is("saves if, too late") {
		_, _ = m.SaveIf(context.WithoutCancel(ctx), key, data, expected, generation, ttl)
	}
	if err != nil {
		return false, err
	}
	defer func() { end() }()
	var now uint64
	r, found := m.row(key)
	if m.is("expired rows have generations") {
		r, found = m.rows[m.name(key)]
	}
	if found {
		now = r.generation
	}
	expected = m.number(expected)
	same := now == expected
	switch m.bug {
	case "does not compare":
		same = true
	case "orders":
		same = same && generation > now
	case "takes older ones":
		same = now <= expected
	case "takes newer ones":
		same = found && now >= expected || same
	case "0 is anything":
		same = same || expected == 0
	case "negative numbers are none":
		same = same || expected == 0 && int64(now) < 0 // #nosec G115 -- that is the bug
	case "never begins":
		same = same && found
	case "takes its generation for its own write":
		same = same || found && now == generation
	case "saving if, is text":
		data = bytes.ToValidUTF8(data, []byte("?"))
	case "beginning, is text":
		if !found {
			data = bytes.ToValidUTF8(data, []byte("?"))
		}
	case "begins outside of its lock":
		if _, stale := m.rows[m.name(key)]; stale && !found {
			end()
			time.Sleep(time.Microsecond)
			m.mu.Lock()
		}
	case "compares outside of its lock":
		end()
		runtime.Gosched()
		time.Sleep(time.Microsecond)
		m.mu.Lock()
	case "forgets who saved":
		if same {
			m.write(key, data, generation, ttl)
		}
		return false, nil
	}
	if l := m.leases[m.name(key)]; m.is("saving if, ends a lease") && same && found || m.is("beginning ends a lease") && same && !found || m.is("refusing ends a lease") && !same {
		l.until = time.Time{}
		m.leases[m.name(key)] = l
	}
	if !same {
		if m.is("clears the mark anyway") {
			if l, found := m.leases[m.name(key)]; found {
				l.written = true
				m.leases[m.name(key)] = l
			}
		}
		return false, nil
	}
	before, lent := m.leases[m.name(key)]
	m.write(key, data, generation, ttl)
	if lent && !found && m.is("beginning leaves the mark") {
		m.leases[m.name(key)] = before
	}
	if m.is("SaveIf keeps the caller's bytes") {
		m.rows[m.name(key)] = modelRow{data, generation, m.rows[m.name(key)].until}
	}
	return true, nil
}

func (m *model) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	end, err := m.begin(ctx, "Acquire")
	if err != nil && m.is("says that it acquired, too late") {
		return true, false, err
	}
	if err != nil && m.is("acquires nothing, and says nothing") {
		return false, false, nil
	}
	if m.is("lends no odd keys") && strings.ContainsAny(key, "'%") {
		end()
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer func() { end() }()
	now, name, owner := m.now(), m.name(key), m.owner(owner)
	if m.is("one lease for all") {
		name = ""
	}
	r, there := m.row(key)
	l, found := m.leases[name]
	live := found && now.Before(l.until)
	switch {
	case m.is("lends no absent row") && !there:
		return false, false, nil
	case m.is("lending makes a row") && !there:
		m.rows[name] = modelRow{data: []byte("{}"), until: now.Add(ttl)}
	case m.is("lending changes the row's end") && there:
		r.until = now.Add(ttl)
		m.rows[name] = r
	case m.is("lending changes the generation") && there:
		r.generation++
		m.rows[name] = r
	case m.is("lends twice"):
		live = false
	case m.is("leases never end"):
		live = found
	case m.is("takes over outside of its lock") && found && !live:
		end()
		time.Sleep(time.Microsecond)
		m.mu.Lock()
	case m.is("looks outside of its lock"):
		end()
		time.Sleep(time.Microsecond)
		m.mu.Lock()
	}
	if live && l.owner != owner {
		if m.is("tells too early") {
			return false, !l.written, nil
		}
		return false, false, nil
	}
	if live && l.owner == owner {
		switch m.bug {
		case "does not extend":
			return true, false, nil
		case "refuses to extend":
			return false, false, nil
		case "extending is abandoned":
			abandoned = true
		case "extends in name only":
			l.named = now.Add(ttl)
			m.leases[name] = l
			return true, false, nil
		case "never shortens":
			ttl = max(ttl, l.until.Sub(now))
		}
		l.until = now.Add(ttl + m.late)
		m.leases[name] = l
		if m.is("tells once") {
			return true, false, nil
		}
		return true, abandoned || l.doubted && !l.written && there, nil
	}
	abandoned = found && !live && there && !l.written
	if m.is("its own is not abandoned") && l.owner == owner {
		abandoned = false
	}
	switch m.bug {
	case "never tells":
		abandoned = false
	case "always tells":
		abandoned = true
	case "lends for half the time":
		ttl /= 2
	}
	m.leases[name] = modelLease{owner: owner, until: now.Add(ttl + m.late), doubted: abandoned}
	return true, abandoned, nil
}

func (m *model) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	end, err := m.begin(ctx, "Remaining")
	if err != nil {
		return 0, err
	}
	defer end()
	l, owner := m.leases[m.name(key)], m.owner(owner)
	if l.owner != owner && !m.is("remains for all") {
		return 0, nil
	}
	if m.is("remaining is negative") && l.owner != "" {
		return l.until.Sub(m.now()), nil
	}
	if !l.named.IsZero() {
		return max(l.named.Sub(m.now()), 0), nil
	}
	return max(l.until.Sub(m.now()), 0).Truncate(m.step), nil
}

func (m *model) Release(ctx context.Context, key, owner string) error {
	end, err := m.begin(ctx, "Release")
	if err != nil {
		return err
	}
	defer end()
	owner = m.owner(owner)
	l, found := m.leases[m.name(key)]
	switch {
	case !found && m.is("releasing nothing is an error"):
		return fmt.Errorf("no lease")
	case m.is("does not release"):
	case m.is("releases for all"), l.owner == owner && m.is("releases late"):
		delete(m.leases, m.name(key))
	case l.owner == owner && l.doubted && !l.written && !m.is("releasing settles"):
		l.until = time.Time{}
		m.leases[m.name(key)] = l
	case l.owner == owner && m.now().Before(l.until):
		delete(m.leases, m.name(key))
		if m.is("releasing removes the row") {
			delete(m.rows, m.name(key))
		}
	}
	return nil
}

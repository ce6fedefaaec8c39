package storetest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// model is a store as simple as can be. With a bug it breaks one promise.
type model struct {
	mu     sync.Mutex
	bug    string
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
}

func newModel(bug string) *model {
	return &model{bug: bug, rows: map[string]modelRow{}, leases: map[string]modelLease{}}
}

func (m *model) is(bug string) bool { return m.bug == bug }

// begin takes the lock, unless the context has ended.
func (m *model) begin(ctx context.Context) (end func(), err error) {
	if ctx.Err() != nil && !m.is("ignores the context") {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	return m.mu.Unlock, nil
}

func (m *model) name(key string) string {
	switch m.bug {
	case "folds case":
		return strings.ToLower(key)
	case "trims spaces":
		return strings.TrimRight(key, " ")
	case "cuts keys at 255":
		return key[:min(255, len(key))]
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
	case "cuts keys at a quote":
		before, _, _ := strings.Cut(key, "'")
		return before
	}
	return key
}

func (m *model) row(key string) (modelRow, bool) {
	r, found := m.rows[m.name(key)]
	return r, found && time.Now().Before(r.until)
}

func (m *model) Load(ctx context.Context, key string) ([]byte, bool, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, false, err
	}
	defer end()
	r, found := m.row(key)
	if m.is("returns expired rows") {
		r, found = m.rows[m.name(key)]
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
	case "keeps the caller's bytes":
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
	if m.is("is a float") {
		generation = uint64(float64(generation))
	}
	if m.is("keeps 63 bits") {
		generation &= 1<<63 - 1
	}
	until := time.Now().Add(ttl)
	old, found := m.row(key)
	switch {
	case m.is("rows never end"):
		until = until.Add(1000 * time.Hour)
	case m.is("rows end early"):
		until = time.Now().Add(ttl / 2)
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
	case "writing ends a lease":
		delete(m.leases, name)
	case "writing leaves the mark":
	default:
		l.written = true
		m.leases[name] = l
	}
}

func (m *model) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, found := m.row(key); found && m.is("does not overwrite") {
		return nil
	}
	if l := m.leases[m.name(key)]; m.is("a lease locks") && time.Now().Before(l.until) {
		return fmt.Errorf("locked")
	}
	m.write(key, data, generation, ttl)
	return nil
}

func (m *model) Delete(ctx context.Context, key string) error {
	end, err := m.begin(ctx)
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
	if l, found := m.leases[m.name(key)]; found {
		l.written = true
		m.leases[m.name(key)] = l
	}
	return nil
}

func (m *model) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	end, err := m.begin(ctx)
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
	if m.is("is a float") {
		expected = uint64(float64(expected))
	}
	if m.is("keeps 63 bits") {
		expected &= 1<<63 - 1
	}
	same := now == expected
	switch m.bug {
	case "does not compare":
		same = true
	case "orders":
		same = same && generation > now
	case "takes older ones":
		same = now <= expected
	case "0 is anything":
		same = same || expected == 0
	case "never begins":
		same = same && found
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
	if !same {
		if m.is("clears the mark anyway") {
			if l, found := m.leases[m.name(key)]; found {
				l.written = true
				m.leases[m.name(key)] = l
			}
		}
		return false, nil
	}
	m.write(key, data, generation, ttl)
	return true, nil
}

func (m *model) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	end, err := m.begin(ctx)
	if err != nil {
		return false, false, err
	}
	defer func() { end() }()
	now, name := time.Now(), m.name(key)
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
		}
		l.until = now.Add(ttl)
		m.leases[name] = l
		return true, abandoned, nil
	}
	abandoned = found && !live && there && !l.written
	switch m.bug {
	case "never tells":
		abandoned = false
	case "always tells":
		abandoned = true
	case "lends for half the time":
		ttl /= 2
	}
	m.leases[name] = modelLease{owner: owner, until: now.Add(ttl)}
	return true, abandoned, nil
}

func (m *model) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	l := m.leases[m.name(key)]
	if l.owner != owner && !m.is("remains for all") {
		return 0, nil
	}
	if m.is("remaining is negative") && l.owner != "" {
		return time.Until(l.until), nil
	}
	return max(time.Until(l.until), 0), nil
}

func (m *model) Release(ctx context.Context, key, owner string) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	l, found := m.leases[m.name(key)]
	switch {
	case !found && m.is("releasing nothing is an error"):
		return fmt.Errorf("no lease")
	case m.is("does not release"):
	case m.is("releases for all"), l.owner == owner && m.is("releases late"):
		delete(m.leases, m.name(key))
	case l.owner == owner && time.Now().Before(l.until):
		delete(m.leases, m.name(key))
		if m.is("releasing removes the row") {
			delete(m.rows, m.name(key))
		}
	}
	return nil
}

// The stores that break a promise, and the test that has to see it (others may
// too).
var broken = map[string]string{
	"ignores the context":            "a context that has ended",
	"folds case":                     "hostile keys",
	"trims spaces":                   "hostile keys",
	"cuts keys at 255":               "hostile keys",
	"unescapes keys":                 "hostile keys",
	"joins slashes":                  "hostile keys",
	"hashes what is in braces":       "hostile keys",
	"cuts keys at a quote":           "hostile keys",
	"returns expired rows":           "rows run out",
	"absent is an error":             "absent",
	"absent is found":                "absent",
	"returns its own bytes":          "bytes belong to nobody else",
	"keeps the caller's bytes":       "bytes belong to nobody else",
	"hides what is no JSON":          "bytes stay as they are",
	"is a C string":                  "bytes stay as they are",
	"trims rows":                     "bytes stay as they are",
	"is text":                        "bytes stay as they are",
	"cuts rows at 16 KiB":            "bytes stay as they are",
	"is a float":                     "generations are equal or not",
	"keeps 63 bits":                  "generations are equal or not",
	"rows never end":                 "rows run out",
	"rows end early":                 "rows run out",
	"keeps the first end":            "a new row has its own time",
	"keeps the later end":            "a new row has its own time",
	"never goes back":                "save, overwrite, delete",
	"does not overwrite":             "save, overwrite, delete",
	"does not delete":                "save, overwrite, delete",
	"deletes all":                    "save, overwrite, delete",
	"deleting nothing is an error":   "absent",
	"does not compare":               "save if",
	"expired rows have generations":  "a row that has run out is none",
	"orders":                         "generations are equal or not",
	"takes older ones":               "save if",
	"0 is anything":                  "save if",
	"never begins":                   "save if",
	"forgets who saved":              "save if",
	"compares outside of its lock":   "one of many saves",
	"writing ends a lease":           "writing ends no lease",
	"writing leaves the mark":        "abandoned leases",
	"clears the mark anyway":         "abandoned leases",
	"a lease locks":                  "writing ends no lease",
	"deleting ends a lease":          "writing ends no lease",
	"one lease for all":              "a lease is one owner's",
	"lends no absent row":            "a row that is absent can be lent",
	"lending makes a row":            "a row that is absent can be lent",
	"lending changes the row's end":  "a lease and its row have their own times",
	"lending changes the generation": "writing ends no lease",
	"lends twice":                    "a lease is one owner's",
	"leases never end":               "leases run out",
	"looks outside of its lock":      "one of many acquires",
	"tells too early":                "a lease is one owner's",
	"does not extend":                "its owner extends it",
	"refuses to extend":              "its owner extends it",
	"extending is abandoned":         "its owner extends it",
	"never tells":                    "abandoned leases",
	"always tells":                   "a lease is one owner's",
	"lends for half the time":        "leases run out",
	"remains for all":                "a lease is one owner's",
	"remaining is negative":          "a lease and its row have their own times",
	"releasing nothing is an error":  "a row that is absent can be lent",
	"does not release":               "a lease is one owner's",
	"releases for all":               "a lease is one owner's",
	"releases late":                  "abandoned leases",
	"releasing removes the row":      "writing ends no lease",
}

// recorder is a test that may fail.
type recorder struct {
	ctx  context.Context //nolint:containedctx // as in testing.T
	mu   sync.Mutex
	said []string
}

func (*recorder) Helper()                    {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// complaints runs one case against a store, and returns what it says.
func complaints(t *testing.T, c testCase, s Store, advance func(time.Duration)) []string {
	r := &recorder{ctx: t.Context()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(newTrial(r, s, advance))
	}()
	<-done
	return r.said
}

func TestTheModelPasses(t *testing.T) {
	Run(t, func(*testing.T) Store { return newModel("") }, Virtual())
	t.Run("with a clock of its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, c := range casesFor(newModel("")) {
				assert.Empty(t, complaints(t, c, newModel(""), time.Sleep), c.name)
			}
		})
	})
	t.Run("polled", func(t *testing.T) { // time is virtual, but the suite does not know
		synctest.Test(t, func(t *testing.T) {
			for _, c := range casesFor(newModel("")) {
				assert.Empty(t, complaints(t, c, newModel(""), nil), c.name)
			}
		})
	})
	t.Run("over shared data", func(t *testing.T) {
		shared := newModel("")
		Run(t, func(*testing.T) Store { return shared }, Virtual())
	})
}

// Every broken store is found, whether the clock is the store's own or real, and
// is told so by a line that shows the promise.
func TestBrokenStoresAreFound(t *testing.T) {
	for bug, where := range broken {
		t.Run(bug, func(t *testing.T) {
			cases := casesFor(newModel(""))
			at := slices.IndexFunc(cases, func(c testCase) bool { return c.name == where })
			require.GreaterOrEqual(t, at, 0, where)
			for way, advance := range map[string]func(time.Duration){"advanced": time.Sleep, "polled": nil} {
				synctest.Test(t, func(t *testing.T) {
					said := complaints(t, cases[at], newModel(bug), advance)
					require.NotEmpty(t, said, way)
					t.Log(said[0])
				})
			}
		})
	}
}

type (
	noLease  struct{ conditionalStore }
	noSaveIf struct{ Store }
)

// mistyped has upgrades that the SDK would not see.
type mistyped struct{ Store }

func (mistyped) SaveIf(context.Context, string, []byte, int64, int64, time.Duration) (bool, error) {
	return false, nil
}

type onlyAcquire struct{ conditionalStore }

func (onlyAcquire) Acquire(context.Context, string, string, time.Duration) (bool, bool, error) {
	return false, false, nil
}

func TestUpgradesAreFound(t *testing.T) {
	m := newModel("")
	for name, tt := range map[string]struct {
		store Store
		cases int
		says  string
	}{
		"all":          {store: m, cases: len(rowCases) + len(conditionalCases) + len(leaseCases)},
		"no lease":     {store: noLease{m}, cases: len(rowCases) + len(conditionalCases)},
		"no save if":   {store: noSaveIf{m}, cases: len(rowCases)},
		"mistyped":     {store: mistyped{m}, says: "the store has SaveIf, but"},
		"only acquire": {store: onlyAcquire{m}, says: "the store has SaveIf, Acquire, but"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{ctx: t.Context()}
			done := make(chan struct{})
			go func() {
				defer close(done)
				checkMethods(r, tt.store)
			}()
			<-done
			if tt.says != "" {
				require.Len(t, r.said, 1)
				assert.Contains(t, r.said[0], tt.says)
				return
			}
			assert.Empty(t, r.said)
			assert.Len(t, casesFor(tt.store), tt.cases)
		})
	}
}

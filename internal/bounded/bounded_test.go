package bounded

import (
	"bufio"
	"context"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ways are the two ways to call: Do, and a Pool that has been used before.
var ways = map[string]func(ctx context.Context, calls *Calls, do func() int, late func(int)) (int, error){
	"Do": func(ctx context.Context, calls *Calls, do func() int, late func(int)) (int, error) {
		return Do(ctx, calls, "the store", do, late)
	},
	"Pool": func(ctx context.Context, calls *Calls, do func() int, late func(int)) (int, error) {
		p := &Pool[func() int, int]{Calls: calls, What: "the store", Do: func(do func() int) int { return do() }, Late: late}
		for i := range 3 {
			if n, err := p.Call(ctx, func() int { return i }); n != i || err != nil {
				return n, err
			}
		}
		return p.Call(ctx, do)
	},
}

func TestDo(t *testing.T) {
	for way := range ways {
		t.Run(way, func(t *testing.T) { testDo(t, way) })
	}
}

func testDo(t *testing.T, way string) {
	t.Helper()
	for name, tt := range map[string]struct {
		hears   bool          // the call ends with its context
		takes   time.Duration // else
		back    time.Duration // when Do returns
		want    int
		late    int
		left    string
		wantErr error
	}{
		"in time":                 {takes: time.Second, back: time.Second, want: 7},
		"a moment after the end":  {takes: 5*time.Second + time.Millisecond, back: 5*time.Second + time.Millisecond, want: 7},
		"hears its context":       {hears: true, back: 5 * time.Second, want: 8},
		"too late":                {takes: time.Minute, back: 5*time.Second + linger, late: 7, left: "1 call of the store", wantErr: context.DeadlineExceeded},
		"while nothing else runs": {takes: 5*time.Second + linger + 1, back: 5*time.Second + linger, late: 7, left: "1 call of the store", wantErr: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls Calls
				var late atomic.Int64
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				began := time.Now()
				got, err := ways[way](ctx, &calls, func() int {
					if tt.hears {
						<-ctx.Done()
						return 8
					}
					time.Sleep(tt.takes)
					return 7
				}, func(n int) { late.Store(int64(n)) })
				assert.Equal(t, tt.back, time.Since(began))
				assert.Equal(t, tt.want, got)
				require.ErrorIs(t, err, tt.wantErr)
				assert.Equal(t, tt.left, calls.String())
				assert.Equal(t, len(tt.left) > 0, calls.Left("the store") == 1)
				calls.Wait(context.Background())
				assert.Empty(t, calls.String())
				assert.EqualValues(t, tt.late, late.Load())
			})
		})
	}
}

func TestDoBeginsNothingAfterTheEnd(t *testing.T) {
	cause := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for _, call := range ways {
		_, err := call(ctx, new(Calls), func() int { t.Error("called"); return 0 }, nil)
		require.ErrorIs(t, err, cause)
	}
}

// A context without an end needs no goroutine.
func TestDoWithoutAnEnd(t *testing.T) {
	for way, call := range ways {
		stack := ""
		got, err := call(context.Background(), nil, func() int { stack = string(debug.Stack()); return 7 }, nil)
		require.NoError(t, err)
		assert.Equal(t, 7, got)
		assert.Contains(t, stack, "TestDoWithoutAnEnd(", way)
	}
}

// The calls of a pool use the memory of those before.
func TestPoolAllocatesNothing(t *testing.T) {
	p := &Pool[int, int]{Calls: new(Calls), Do: func(n int) int { return n }}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	assert.Less(t, testing.AllocsPerRun(1000, func() { _, _ = p.Call(ctx, 7) }), 3.0, "a new one has four; the race detector forgets some")
}

// What is left is named, and waited for: all of it, or until a context ends.
func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls Calls
		calls.Wait(t.Context())
		for i, what := range []string{"the store", "a hook", "the store"} {
			Go(&calls, what, func() { time.Sleep(time.Duration(i+1) * time.Minute) })
		}
		assert.Equal(t, "1 call of a hook, 2 calls of the store", calls.String())
		assert.Equal(t, 2, calls.Left("the store"))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		calls.Wait(ctx)
		assert.Equal(t, 90*time.Second, time.Since(began))
		assert.Equal(t, "1 call of a hook, 1 call of the store", calls.String())
		go calls.Wait(t.Context())
		calls.Wait(t.Context())
		assert.Equal(t, 3*time.Minute, time.Since(began))
		assert.Empty(t, calls.String())
	})
}

// A call that is waited for again gives what it returned, and then it is left no more.
func TestACallThatIsWaitedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls Calls
		call := Start(&calls, "the store", func() int { time.Sleep(time.Minute); return 7 })
		ended, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := call.Wait(ended)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		late := 0
		call.Leave(func(n int) { late = n })
		got, err := call.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 7, got)
		synctest.Wait()
		assert.Equal(t, 7, late)
		assert.Empty(t, calls.String())

		call = Start(&calls, "the store", func() int { return 8 })
		synctest.Wait()
		got, err = call.Wait(ended) // it has returned: that its context has ended is no matter
		require.NoError(t, err)
		assert.Equal(t, 8, got)
		call = Start(&calls, "the store", func() int { return 9 })
		synctest.Wait()
		call.Leave(func(n int) { late = n })
		assert.Equal(t, 9, late, "at once")
		assert.Empty(t, calls.String())
	})
}

// A panic goes on where it is waited for, and ends nothing where it is not.
func TestDoAndPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls Calls
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.PanicsWithValue(t, "the store's", func() {
			_, _ = Do(ctx, &calls, "", func() int { panic("the store's") }, nil)
		})
		assert.PanicsWithValue(t, "the store's", func() {
			_, _ = ways["Pool"](ctx, &calls, func() int { panic("the store's") }, nil)
		})
		ended := make(chan bool, 1)
		go func() {
			defer func() { ended <- recover() == nil }()
			_, _ = Do(ctx, &calls, "", func() int { runtime.Goexit(); return 0 }, nil)
			t.Error("it went on")
		}()
		assert.True(t, <-ended)
		for _, end := range []func(){func() { panic("late") }, runtime.Goexit} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := Do(ctx, &calls, "", func() int { time.Sleep(time.Hour); end(); return 0 }, func(int) { t.Error("there is no result") })
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		time.Sleep(2 * time.Hour)
		assert.Empty(t, calls.String())
	})
}

// A read that was left is what the next Read gets.
func TestBodyLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer func() { _ = r.Close() }()
		go func() {
			_, _ = io.WriteString(w, "one ")
			time.Sleep(time.Minute)
			_, _ = io.WriteString(w, "two ")
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
			_ = w.Close()
		}()
		var calls Calls
		looking, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		body := NewBody(looking, &calls, "the body", r)
		all := func() (string, error) { return bufio.NewReader(io.LimitReader(body, 200_000)).ReadString(0) }
		head, err := all()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, "one ", head)
		assert.Equal(t, "1 call of the body", calls.String())
		body.Within(t.Context())
		rest, err := all()
		require.ErrorIs(t, err, io.EOF)
		assert.Equal(t, "two "+strings.Repeat("x", 100_000), rest)
		require.NoError(t, body.Close())
		synctest.Wait()
		assert.Empty(t, calls.String())
	})
}

// body is one that does what it is told.
type body struct {
	read  func(p []byte) (int, error)
	close func() error
}

func (b body) Read(p []byte) (int, error) { return b.read(p) }
func (b body) Close() error               { return b.close() }

// A body's reads may return anything.
func TestBodyThatLies(t *testing.T) {
	for n, want := range map[int]int{-1: 0, 0: 0, 3: 3, 8: 8, 1 << 20: 8} {
		inner := body{read: func([]byte) (int, error) { return n, io.ErrUnexpectedEOF }}
		b := NewBody(t.Context(), new(Calls), "", inner)
		got, err := b.Read(nil)
		require.NoError(t, err)
		assert.Zero(t, got, "nothing was asked for")
		got, err = b.Read(make([]byte, 8))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Equal(t, want, got)
		got, err = b.Read(make([]byte, 8))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "for good")
		assert.Zero(t, got)
	}
}

// One Read asks for no more than its caller does, and never for much.
func TestBodyAsksForAsMuchAsItsReader(t *testing.T) {
	var asked []int
	b := NewBody(t.Context(), new(Calls), "", body{read: func(p []byte) (int, error) {
		asked = append(asked, len(p))
		return len(p), nil
	}})
	for _, size := range []int{4, 9, 5, 1 << 20} {
		_, err := b.Read(make([]byte, size))
		require.NoError(t, err)
	}
	assert.Equal(t, []int{4, 9, 5, 32 << 10}, asked)
}

// A read that is left is counted once, and nothing is begun after the end.
func TestBodyThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls Calls
		reads, wrong := 0, errors.New("wrong")
		closing := time.Minute
		inner := body{
			read: func(p []byte) (int, error) { reads++; time.Sleep(time.Minute); return copy(p, "abcd"), io.EOF },
			close: func() error {
				time.Sleep(closing)
				return wrong
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := NewBody(ctx, &calls, "the body", inner)
		for range 3 {
			_, err := b.Read(make([]byte, 3))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		assert.Equal(t, "1 call of the body", calls.String())
		began := time.Now()
		require.NoError(t, b.Close(), "it is left, too")
		assert.Equal(t, linger, time.Since(began))
		assert.Equal(t, "2 calls of the body", calls.String())
		calls.Wait(t.Context())
		b.Within(t.Context())
		head := make([]byte, 2)
		n, err := b.Read(head)
		require.NoError(t, err, "there is more")
		assert.Equal(t, "ab", string(head[:n]))
		n, err = b.Read(head)
		require.ErrorIs(t, err, io.EOF)
		assert.Equal(t, "c", string(head[:n]))
		assert.Equal(t, 1, reads)
		closing = 0
		require.ErrorIs(t, b.Close(), wrong)

		late := NewBody(ctx, &calls, "the body", inner)
		_, err = late.Read(head)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 1, reads)
		assert.Empty(t, calls.String())
	})
}

func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		later, end := Linger(ctx)
		defer end()
		began := time.Now()
		<-later.Done()
		assert.Equal(t, time.Second+20*time.Millisecond, time.Since(began))
		require.ErrorIs(t, context.Cause(later), context.DeadlineExceeded)
		early, end := Linger(t.Context())
		require.NoError(t, early.Err())
		end()
		require.Error(t, early.Err(), "what is not needed any more has ended")
		forever, end := Linger(context.Background())
		require.NoError(t, forever.Err())
		end()
		require.Error(t, forever.Err())
	})
}

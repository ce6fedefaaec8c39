package bounded

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDo(t *testing.T) {
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
				got, err := Do(ctx, &calls, "the store", func() int {
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
	_, err := Do(ctx, new(Calls), "", func() int { t.Error("called"); return 0 }, nil)
	require.ErrorIs(t, err, cause)
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
		head, err := io.ReadAll(body)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, "one ", string(head))
		assert.Equal(t, "1 call of the body", calls.String())
		body.Within(t.Context())
		rest, err := io.ReadAll(body)
		require.NoError(t, err)
		assert.Equal(t, "two "+strings.Repeat("x", 100_000), string(rest))
		require.NoError(t, body.Close())
		synctest.Wait()
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
		assert.Equal(t, time.Second+linger, time.Since(began))
		require.ErrorIs(t, context.Cause(later), context.DeadlineExceeded)
		forever, end := Linger(context.Background())
		require.NoError(t, forever.Err())
		end()
		require.Error(t, forever.Err())
	})
}

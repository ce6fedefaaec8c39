package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// The benchmarks below are the table's own functions, one by one. Those that compare
// are named by=…, which benchstat -col /by puts side by side. The command measures
// in pairs.

func benchmarkCalls(b *testing.B, open func() (callSides, error)) {
	c, err := open()
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	for i, s := range c.sides {
		b.Run("by="+c.names[i], s)
	}
}

func BenchmarkCustomersGet(b *testing.B)         { benchmarkCalls(b, profileCanned) }
func BenchmarkCustomersGetLoopback(b *testing.B) { benchmarkCalls(b, profileLoopback) }
func BenchmarkAddressesList(b *testing.B)        { benchmarkCalls(b, addressesCanned) }

func BenchmarkValidToken(b *testing.B) {
	v, err := validToken()
	if err != nil {
		b.Fatal(err)
	}
	defer v.close()
	b.Run("callers=1/by=time.Since", v.clock)
	b.Run("callers=1/by=emporix", v.ours)
	b.Run("callers=1/by=oauth2", v.oauth)
	b.Run("callers=2/by=emporix", v.oursTwo)
	b.Run("callers=2/by=oauth2", v.oauthTwo)
	b.Run("callers=128/by=emporix", v.oursMany)
	b.Run("callers=128/by=oauth2", v.oauthMany)
}

func BenchmarkSession(b *testing.B) {
	handle, done, err := visitorHandle()
	if err != nil {
		b.Fatal(err)
	}
	defer done()
	handle(b)
}

func benchmarkCrossing(b *testing.B, latency time.Duration, fail int) {
	for b.Loop() {
		c, err := cross(latency, fail)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(c.refreshes), "refreshes")
		b.ReportMetric(float64(c.ours.slow), "slow-calls")
		b.ReportMetric(float64(c.ours.p99()), "p99-ns")
		b.ReportMetric(float64(c.unending.p99()), "calm-p99-ns")
	}
}

func BenchmarkExpiry(b *testing.B)        { benchmarkCrossing(b, refresh, 0) }
func BenchmarkFailedRefresh(b *testing.B) { benchmarkCrossing(b, 20*time.Millisecond, 2) }

func BenchmarkRevival(b *testing.B) {
	for b.Loop() {
		r, err := revive()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(r.refreshes), "refreshes")
		b.ReportMetric(float64(r.late), "late-ns")
		b.ReportMetric(float64(r.deadline), "late-deadline-ns")
	}
}

func BenchmarkConnections(b *testing.B) {
	for _, name := range networks {
		b.Run("network="+name, func(b *testing.B) {
			n := listen(name)
			defer n.server.Close()
			t := n.trusting(tuned())
			defer t.CloseIdleConnections()
			client, err := loggedIn(emporix.WithBaseURL(n.server.URL), emporix.WithTransport(t))
			if err != nil {
				b.Fatal(err)
			}
			defer closeClient(client)
			get := sdkProfile(client)
			b.SetParallelism(manyCallers / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := get(); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(n.fresh.Load()), "connections")
		})
	}
}

func BenchmarkIdleSessions(b *testing.B) {
	client, perSession, objects, err := crowdedStore(full.sessions, asCustomer)
	if err != nil {
		b.Fatal(err)
	}
	defer closeClient(client)
	for b.Loop() {
		gc, _, err := gcCost(gcRounds, sdkProfile(client))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(gc, "gc-ns/call")
		b.ReportMetric(perSession, "B/session")
		b.ReportMetric(objects, "objects/session")
	}
}

// Every part of the table runs, once and small; no time is judged here.
func TestEveryRowIsMeasured(t *testing.T) {
	small := config{rounds: 1, each: time.Millisecond, sessions: 100}
	for _, s := range sections {
		t.Run(strings.Join(s.goals, " "), func(t *testing.T) {
			switch s.goals[0] {
			case "6", "7", "8", "11": // they wait more than they work
				t.Parallel()
			}
			rows, err := s.measure(small)
			if err != nil {
				t.Fatal(err)
			}
			for _, goal := range s.goals {
				found := false
				for _, r := range rows {
					found = found || r.goal == goal && r.what != "" && r.limit != ""
				}
				if !found {
					t.Errorf("no row for goal %s", goal)
				}
			}
		})
	}
}

func TestTheGateHoldsRequiredRowsOnly(t *testing.T) {
	rows := []row{
		compared("1", "a", 96, 100, 0.96, 0.96, count),
		compared("1", "b", 125, 100, 1.25, 0.96, count),
		compared("1", "c", 126, 100, 1.26, 0.96, count),
		informative(compared("", "d", 300, 100, 3, 0, count)),
	}
	want := []verdict{met, nearly, notMet, noLimit}
	for i, r := range rows {
		if r.verdict != want[i] {
			t.Errorf("%s: %q, want %q", r.what, r.verdict, want[i])
		}
	}
	if n := len(missed(rows)); n != 1 {
		t.Errorf("%d rows are missed, want 1", n)
	}
	var out bytes.Buffer
	write(&out, rows)
	if lines := strings.Count(out.String(), "\n"); lines != len(rows)+2 {
		t.Errorf("the table has %d lines:\n%s", lines, &out)
	}
}

// A gate that measured nothing must not let anything pass.
func TestUnknownGoalsAreRefused(t *testing.T) {
	quick := []string{"-gate", "-rounds", "1", "-each", "1ms", "-goals"}
	for _, goals := range []string{"99", "15,99", ",", " ", "rows"} {
		if err := run(append(quick, goals), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "there is no goal") {
			t.Errorf("goals %q: %v", goals, err)
		}
	}
	all := sections
	defer func() { sections = all }()
	sections = []section{{[]string{"1"}, func(config) ([]row, error) { return nil, nil }}}
	for _, args := range [][]string{{"-gate"}, {"-goals", "1"}} {
		if err := run(args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "nothing was measured") {
			t.Errorf("%v: %v", args, err)
		}
	}
	sections = append(sections, section{[]string{"2"}, func(config) ([]row, error) { return []row{{goal: "2", verdict: met}}, nil }})
	var out bytes.Buffer
	if err := run([]string{"-gate", "-goals", "1, 2"}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "\n| 2 ") {
		t.Errorf("%v\n%s", err, &out)
	}
}

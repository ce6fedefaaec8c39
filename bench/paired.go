package main

import (
	"errors"
	"flag"
	"slices"
	"testing"
	"time"
)

// config says how long to measure.
type config struct {
	rounds   int           // each compares all sides once
	each     time.Duration // one side in one round
	sessions int           // idle sessions in rows 13 and 14
}

var full = config{rounds: 9, each: 100 * time.Millisecond, sessions: 1_000_000}

// side is one of several ways to do the same, as a benchmark.
type side func(b *testing.B)

// calls makes a benchmark of a function.
func calls(do func() error) side {
	return func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuTime()
		for b.Loop() {
			if err := do(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	}
}

// results holds one benchmark result per round.
type results []testing.BenchmarkResult

// paired runs all sides in each round, each time beginning with another one, so
// that whatever else the machine does meets all of them alike.
func paired(cfg config, sides ...side) ([]results, error) {
	testing.Init()
	before := flag.Lookup("test.benchtime").Value.String()
	defer func() { _ = flag.Set("test.benchtime", before) }()
	if err := flag.Set("test.benchtime", cfg.each.String()); err != nil {
		return nil, err
	}
	out := make([]results, len(sides))
	for round := range cfg.rounds {
		for i := range sides {
			n := (round + i) % len(sides)
			r := testing.Benchmark(sides[n])
			if r.N == 0 {
				return nil, errors.New("a benchmark failed; `go test -bench .` in bench/ says why")
			}
			out[n] = append(out[n], r)
		}
	}
	return out, nil
}

// metric is one number of a result.
type metric func(testing.BenchmarkResult) float64

func wallTime(r testing.BenchmarkResult) float64 { return float64(r.T.Nanoseconds()) / float64(r.N) }
func usedCPU(r testing.BenchmarkResult) float64  { return r.Extra["cpu-ns/op"] }
func allocs(r testing.BenchmarkResult) float64   { return float64(r.AllocsPerOp()) }
func byteCount(r testing.BenchmarkResult) float64 {
	return float64(r.AllocedBytesPerOp())
}

func (r results) median(m metric) float64 {
	values := make([]float64, len(r))
	for i := range r {
		values[i] = m(r[i])
	}
	return median(values)
}

// least is for counts: what others in the process add is no part of them.
func (r results) least(m metric) float64 {
	values := make([]float64, len(r))
	for i := range r {
		values[i] = m(r[i])
	}
	return slices.Min(values)
}

// ratio is the median of the rounds' ratios.
func (r results) ratio(base results, m metric) float64 {
	values := make([]float64, len(r))
	for i := range r {
		values[i] = m(r[i]) / m(base[i])
	}
	return median(values)
}

// withCores returns the rounds, of r and of base, in which r really had that
// many cores to itself, or all where that can't be told.
func (r results) withCores(n float64, base results) (own, pairs results) {
	for i := range r {
		if usedCPU(r[i]) == 0 || usedCPU(r[i]) >= 0.9*n*wallTime(r[i]) {
			own, pairs = append(own, r[i]), append(pairs, base[i])
		}
	}
	return own, pairs
}

func median[T float64 | int | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	goal     string // its number
	what     string
	ours     string
	baseline string
	ratio    string
	limit    string
	verdict  verdict
}

type verdict string

const (
	met     verdict = "met"
	nearly  verdict = "not yet, within 1.25" // what rows 1 to 3 must be for now
	notMet  verdict = "NOT MET"
	noLimit verdict = "" // for information
)

func judge(ok bool) verdict {
	if ok {
		return met
	}
	return notMet
}

// forNow is what rows 1 to 3 have to keep until their goals are reached.
const forNow = 1.25

// compared is a row whose goal is a ratio, with leave to reach it later.
func compared(goal, what string, ours, baseline, ratio, limit float64, unit func(float64) string) row {
	v := judge(ratio <= limit)
	if v == notMet && ratio <= forNow {
		v = nearly
	}
	return row{goal, what, unit(ours), unit(baseline), times(ratio), "≤ " + times(limit), v}
}

func times(v float64) string { return fmt.Sprintf("%.2f", v) }
func count(v float64) string { return fmt.Sprintf("%.0f", v) }
func size(v float64) string  { return fmt.Sprintf("%.0f B", v) }

// lasting prints nanoseconds with three digits.
func lasting(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.3g ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	default:
		return fmt.Sprintf("%.4g ms", ns/1e6)
	}
}

func took(d time.Duration) string { return lasting(float64(d)) }

var header = row{"#", "what", "ours", "baseline", "ratio", "goal", "met"}

func (r row) cells() []string {
	cells := []string{r.goal, r.what, r.ours, r.baseline, r.ratio, r.limit, string(r.verdict)}
	for i, c := range cells {
		if c == "" {
			cells[i] = "–"
		}
	}
	return cells
}

// write prints the table as Markdown, aligned.
func write(w io.Writer, rows []row) {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	line := func(cells []string) { fmt.Fprintf(table, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	line(header.cells())
	line(slices.Repeat([]string{"---"}, len(header.cells())))
	for _, r := range rows {
		line(r.cells())
	}
	_ = table.Flush()
}

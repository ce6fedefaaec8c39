package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/emporix-community/emporix-go/emporixfake"
)

const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// printer writes for people. It never gets a secret to write.
type printer struct {
	w       io.Writer
	colour  bool
	pending string // a chapter of which no step was printed yet
}

func newPrinter(w io.Writer) *printer {
	return &printer{w: w, colour: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func isTerminal(w io.Writer) bool {
	file, isFile := w.(*os.File)
	if !isFile {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *printer) title(text string) { fmt.Fprintln(p.w, p.painted(bold, text)) }

// chapter starts a group of steps.
func (p *printer) chapter(title string) { p.pending = title }

func (p *printer) beginLine() {
	if p.pending != "" {
		fmt.Fprintf(p.w, "\n%s\n", p.painted(bold, p.pending))
		p.pending = ""
	}
}

var outcomes = map[outcome]struct{ word, colour string }{
	ok: {"ok", green}, skipped: {"skipped", yellow}, failed: {"FAILED", red},
}

// line prints the operation, its outcome, the time it took and what came back.
func (p *printer) line(s line) {
	p.beginLine()
	took := ""
	if s.called {
		took = readable(s.took)
	}
	o := outcomes[s.outcome]
	fmt.Fprintf(p.w, "  %-32s  %s  %s  %s\n",
		s.operation, p.painted(o.colour, fmt.Sprintf("%-7s", o.word)), p.painted(dim, fmt.Sprintf("%8s", took)), printable(s.note))
}

func (p *printer) remark(text string) {
	p.beginLine()
	fmt.Fprintf(p.w, "  %s\n", printable(text))
}

// summary ends with the line that other programs look for.
func (p *printer) summary(r result, remarks []string) {
	p.chapter("Summary")
	for _, s := range r.notes {
		s.called = false // the time is that of one call of perhaps many
		p.line(s)
	}
	p.remark(fmt.Sprintf("%d calls in %s", r.calls, readable(r.took)))
	for _, text := range remarks {
		p.remark(text)
	}
	line := fmt.Sprintf("journey: %d of %d operations, %d failed", r.done, len(emporixfake.Operations()), r.failed)
	if r.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", r.skipped)
	}
	colour := green
	switch {
	case r.failed > 0:
		colour = red
	case r.skipped > 0:
		colour = yellow
	}
	fmt.Fprintf(p.w, "\n%s\n", p.painted(colour, line))
}

func (p *printer) painted(colour, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func readable(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// printable keeps what a server said on its line, and off the terminal's
// controls.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

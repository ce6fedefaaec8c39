package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestColours(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	require.NoError(t, err)
	defer device.Close()
	file, err := os.CreateTemp(t.TempDir(), "out")
	require.NoError(t, err)
	defer file.Close()

	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	assert.True(t, newPrinter(device).colour)
	assert.False(t, newPrinter(file).colour)
	assert.False(t, newPrinter(&bytes.Buffer{}).colour)
	t.Setenv("NO_COLOR", "1")
	assert.False(t, newPrinter(device).colour)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	assert.False(t, newPrinter(device).colour)
}

func TestStepLines(t *testing.T) {
	var plain, painted bytes.Buffer
	for _, p := range []*printer{{w: &plain}, {w: &painted, colour: true}} {
		p.chapter("nobody came")
		p.chapter("A chapter")
		p.line(line{"Auth.Login", ok, true, 1500 * time.Microsecond, "welcome"})
		p.line(line{"Credentials.RequestPasswordReset", failed, true, 12 * time.Second, "no\nanswer"})
		p.line(line{"Auth.SocialLogin", skipped, false, 3, "needs a code"})
	}
	assert.Equal(t, `
A chapter
  Auth.Login                        ok         1.5 ms  welcome
  Credentials.RequestPasswordReset  FAILED    12.00 s  no answer
  Auth.SocialLogin                  skipped            needs a code
`, plain.String())
	assert.Contains(t, painted.String(), "\x1b[31mFAILED \x1b[0m")
}

func TestResultCountsEachOperationOnce(t *testing.T) {
	b := &report{lines: []line{
		{operation: "Auth.Login", outcome: ok, called: true},
		{operation: "Auth.Login", outcome: failed, note: "the second time", called: true},
		{operation: "Auth.Login", outcome: ok, called: true},
		{operation: "Auth.Refresh", outcome: skipped, note: "needs a company"},
		{operation: "Auth.Refresh", outcome: ok, called: true},
		{operation: "Customers.Get", outcome: ok, called: true},
		{operation: "Customers.Get", outcome: skipped},
		{operation: "Addresses.Get", outcome: skipped, note: "needs an address"},
	}}
	r := b.result()
	assert.Equal(t, 2, r.done)
	assert.Equal(t, 1, r.failed)
	assert.Equal(t, len(emporixfake.Operations())-3, r.skipped)
	assert.Equal(t, 5, r.calls)
	require.Len(t, r.notes, len(emporixfake.Operations())-2)
	assert.Contains(t, r.notes, line{operation: "Auth.Login", outcome: failed, note: "the second time", called: true})
	assert.Contains(t, r.notes, line{operation: "Addresses.Get", outcome: skipped, note: "needs an address"})
	assert.False(t, b.succeeded("Auth.Login"))
	assert.True(t, b.succeeded("Auth.Refresh"))
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		3599 * time.Second: "60 minutes", 86399 * time.Second: "24 hours", 2591999 * time.Second: "30 days",
		14399 * time.Second: "4 hours", 0: "0 minutes",
	} {
		assert.Equal(t, want, span(d))
	}
}

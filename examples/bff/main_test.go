package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsWrongOnTheCommandLineIsSaid(t *testing.T) {
	for args, want := range map[string]string{
		"-addr 0.0.0.0:8080":             "-addr must be a loopback address",
		"-addr :8080":                    "-addr must be a loopback address",
		"-addr 8080":                     "-addr must be a loopback address",
		"-url shop.example":              "-url must be",
		"-url https://shop.example":      "-url must be",
		"-url http://localhost:8080/bff": "-url must be",
		"-anonymous-life -5s":            "must be positive",
		"-customer-life 0":               "must be positive",
		"-replica 1":                     "-replica needs -redis",
		"-activation fax":                `-activation must be "mail" or "employee"`,
		"serve":                          `an argument too many: "serve"`,
		"-no-such-flag":                  "not defined: -no-such-flag",
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), strings.Fields(args), &stdout, &stderr), args)
		assert.Contains(t, stderr.String(), want, args)
		assert.Empty(t, stdout.String(), args)
	}
	for _, url := range []string{"http://localhost:8080", "https://127.0.0.1", "http://[::1]:80"} {
		_, err := parse([]string{"-url", url, "-addr", "[::1]:0"}, io.Discard)
		assert.NoError(t, err, url)
	}
}

func TestAPortThatIsTakenAndAStoreThatIsNotThereAreSaidAtOnce(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for _, row := range []struct{ args, want string }{
		{"-addr " + taken.Addr().String(), "listen tcp "},
		{"-addr 127.0.0.1:0 -redis " + closed.Addr().String(), "there is no Redis at "},
		{"-addr 127.0.0.1:0 -replica 1 -redis " + closed.Addr().String(), "there is no Redis at "},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), strings.Fields(row.args), &stdout, &stderr), row.args)
		assert.Contains(t, stderr.String(), row.want, row.args)
		assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "one line says it: %s", &stderr)
	}
}

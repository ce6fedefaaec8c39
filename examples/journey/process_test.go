package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// The two programs, built and run as a person would.
func TestProcesses(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), ".", "../../cmd/emporix-fake")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	environment{}.apply(t)
	addrFile := filepath.Join(dir, "addr")
	fake := exec.Command(filepath.Join(dir, "emporix-fake"), "-addr", "127.0.0.1:0", "-addr-file", addrFile, "-tenant", "demo")
	require.NoError(t, fake.Start())
	t.Cleanup(func() {
		_ = fake.Process.Kill()
		_ = fake.Wait()
	})
	var host string
	require.Eventually(t, func() bool {
		raw, err := os.ReadFile(addrFile)
		host = strings.TrimSpace(string(raw))
		return err == nil
	}, 20*time.Second, 5*time.Millisecond)

	for name, env := range map[string][]string{"own fake": nil, "running fake": {emporix.EnvHost + "=" + host}} {
		t.Run(name, func(t *testing.T) {
			journey := exec.Command(filepath.Join(dir, "journey"))
			journey.Env = append(os.Environ(), env...)
			var stdout, stderr bytes.Buffer
			journey.Stdout, journey.Stderr = &stdout, &stderr
			require.NoError(t, journey.Run(), stdout.String()+stderr.String())
			assert.Equal(t, whole, lastLine(stdout.String()))
			assert.Empty(t, stderr.String())
			assertDiscreet(t, nil, stdout.String())
			assert.Equal(t, env != nil, strings.Contains(stdout.String(), "tenant demo"))
		})
	}

	journey := exec.Command(filepath.Join(dir, "journey"))
	journey.Env = append(os.Environ(), emporix.EnvHost+"=http://127.0.0.1:1")
	out, err = journey.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	assert.Equal(t, exitUsage, exit.ExitCode())

	t.Run("interrupted", func(t *testing.T) { interrupt(t, filepath.Join(dir, "journey"), host) })
}

// interrupt sends a signal while a request hangs.
func interrupt(t *testing.T, program, host string) {
	t.Helper()
	resp, err := http.Post(host+"/__fake/reset", "", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	resp, err = http.Post(host+"/__fake/faults", "", strings.NewReader(`{"operation":"Addresses.List","delay":"1h"}`))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	journey := exec.Command(program)
	journey.Env = append(os.Environ(), emporix.EnvHost+"="+host)
	var stdout bytes.Buffer
	journey.Stdout = &stdout
	require.NoError(t, journey.Start())
	t.Cleanup(func() { _ = journey.Process.Kill() })
	require.Eventually(t, func() bool {
		resp, err := http.Get(host + "/__fake/faults")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		pending, err := io.ReadAll(resp.Body)
		return err == nil && strings.TrimSpace(string(pending)) == "[]" // the request hangs
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, journey.Process.Signal(os.Interrupt))
	var exit *exec.ExitError
	require.ErrorAs(t, journey.Wait(), &exit)
	assert.Equal(t, exitInterrupted, exit.ExitCode())
	assert.Contains(t, stdout.String(), "interrupted; the rest of the journey was left out")
	assert.Contains(t, stdout.String(), "2 addresses left")
}

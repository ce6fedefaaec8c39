package replicas_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func itoa(n int) string { return strconv.Itoa(n) }

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

// printed keeps what a program prints.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// A customer stays logged in whichever process answers, also when one is killed,
// and the script ends all that it started.
func TestTheScript(t *testing.T) {
	need(t, "haproxy", "redis-server", "redis-cli")
	addrs, port := addresses(t, 6)
	output := new(printed)
	script := exec.Command(filepath.Join(example, "replicas.sh"))
	script.Env = append(os.Environ(), "PORT="+port)
	script.Stdout, script.Stderr = output, output
	script.WaitDelay = 10 * time.Second
	require.NoError(t, script.Start())
	t.Cleanup(func() {
		_ = script.Process.Signal(syscall.SIGTERM)
		_ = script.Wait()
		if t.Failed() {
			t.Log(output)
		}
	})
	url := "http://" + addrs[0]
	require.Eventually(t, func() bool { return strings.Contains(output.String(), "The shop is open: "+url) }, 2*time.Minute, 50*time.Millisecond, output)

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/login", strings.NewReader(`{"email":"jo@example.com","password":"correct horse"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", url)
	resp, err := browser.Do(req)
	require.NoError(t, err)
	require.Less(t, resp.StatusCode, 300, read(t, resp))
	walk := func() map[string]bool {
		answered := map[string]bool{}
		for range 9 {
			resp, err := browser.Get(url + "/api/account")
			require.NoError(t, err)
			body := read(t, resp)
			require.Equal(t, http.StatusOK, resp.StatusCode, body)
			var customer struct{ FirstName string }
			require.NoError(t, json.Unmarshal([]byte(body), &customer), body)
			assert.Equal(t, "Jo", customer.FirstName)
			answered[resp.Header.Get("X-Replica")] = true
		}
		return answered
	}
	all := map[string]bool{"1": true, "2": true, "3": true}
	require.Equal(t, all, walk())

	started := regexp.MustCompile(`Replica 2: process (\d+) `)
	pid, err := strconv.Atoi(started.FindStringSubmatch(output.String())[1])
	require.NoError(t, err)
	doomed, err := os.FindProcess(pid)
	require.NoError(t, err)
	require.NoError(t, doomed.Kill())
	walk()
	require.Eventually(t, func() bool { return len(started.FindAllString(output.String(), -1)) == 2 }, 20*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return len(walk()) == 3 }, 20*time.Second, 100*time.Millisecond, "the new process answers too")

	require.NoError(t, script.Process.Signal(syscall.SIGTERM))
	require.Error(t, script.Wait())
	for _, addr := range addrs {
		_, err := net.Dial("tcp", addr)
		assert.Error(t, err, "something still listens on %s", addr)
	}
}

func TestTheScriptSaysWhatIsMissing(t *testing.T) {
	empty := t.TempDir()
	for _, program := range []string{"sh", "dirname"} {
		path, err := exec.LookPath(program)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(empty, program)))
	}
	script := exec.Command(filepath.Join(example, "replicas.sh"))
	script.Env = []string{"PATH=" + empty}
	out, err := script.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 2, exit.ExitCode())
	assert.Contains(t, string(out), "apt-get install haproxy redis-server")
}

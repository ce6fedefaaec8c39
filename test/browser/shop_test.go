package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var shopBinary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shopBinary = filepath.Join(dir, "bff")
	if chromium() != "" || enginesRequired() {
		build := exec.Command("go", "build", "-o", shopBinary, ".")
		build.Dir = filepath.Join("..", "..", "examples", "bff")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "the example can't be built: %v\n%s", err, out)
			return 1
		}
	}
	code := m.Run()
	closeBrowser()
	return code
}

func enginesRequired() bool { return os.Getenv("EMPORIX_REQUIRE_ENGINES") == "1" }

// shop is the example as a process.
type shop struct {
	url     string
	process *exec.Cmd
	output  *output
}

// output keeps what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// openShop starts the example on a free port and ends it with the test.
func openShop(t *testing.T, flags ...string) *shop {
	t.Helper()
	needChromium(t) // without one the example is not built
	process := exec.Command(shopBinary, append([]string{"-addr", "127.0.0.1:0"}, flags...)...)
	process.Env = append(os.Environ(), "EMPORIX_TENANT=") // a fake of its own
	return start(t, process)
}

// openReplicas starts three processes of the example behind HAProxy.
func openReplicas(t *testing.T) *shop {
	t.Helper()
	needChromium(t)
	needPrograms(t, "haproxy", "redis-server")
	process := exec.Command(filepath.Join("..", "..", "examples", "bff", "replicas.sh"))
	process.Env = append(os.Environ(), "PORT="+freePorts(t, 6))
	return start(t, process)
}

// freePorts returns the first of n ports in a row on which nothing listens.
func freePorts(t *testing.T, n int) string {
	t.Helper()
	for first := 41000 + os.Getpid()%10000; first < 60000; first += n {
		free := true
		for port := first; port < first+n && free; port++ {
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = err == nil; free {
				require.NoError(t, listener.Close())
			}
		}
		if free {
			return fmt.Sprint(first)
		}
	}
	require.Fail(t, "there are no free ports")
	return ""
}

// start runs a program that opens the shop, and ends it with the test.
func start(t *testing.T, process *exec.Cmd) *shop {
	t.Helper()
	s := &shop{output: &output{}, process: process}
	s.process.Stderr = s.output
	s.process.WaitDelay = 2 * time.Second // what it started may hold its output open
	stdout, err := s.process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.process.Start())
	t.Cleanup(func() {
		_ = s.process.Process.Signal(syscall.SIGTERM)
		ended := make(chan struct{})
		go func() { _ = s.process.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = s.process.Process.Kill()
			<-ended
			t.Error("the shop did not end within 10 s")
		}
		if t.Failed() {
			t.Logf("the shop printed:\n%s", s.output)
		}
	})
	found := make(chan string, 1)
	go func() {
		opened := regexp.MustCompile(`The shop is open: (\S+)`)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(s.output, lines.Text())
			if match := opened.FindStringSubmatch(lines.Text()); match != nil {
				found <- match[1]
			}
		}
	}()
	select {
	case s.url = <-found:
	case <-time.After(time.Minute): // the script builds the shop first
		t.Fatalf("the shop did not open within a minute; it printed:\n%s", s.output)
	}
	return s
}

// get asks for a page without a browser.
func (s *shop) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// needPrograms skips the test where one of them is missing, unless all are required.
func needPrograms(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if enginesRequired() {
				t.Fatalf("there is no %s on this machine, and EMPORIX_REQUIRE_ENGINES=1 wants one: install Debian's package of that name", program)
			}
			t.Skipf("nothing was tested: there is no %s on this machine (Debian's package has that name)", program)
		}
	}
}

// needChromium skips the test on a machine without a browser, unless the
// browser is required.
func needChromium(t *testing.T) {
	t.Helper()
	switch {
	case chromium() != "":
	case enginesRequired():
		t.Fatal("there is no Chromium on this machine, and EMPORIX_REQUIRE_ENGINES=1 wants one: install Debian's package chromium")
	default:
		t.Skip("nothing was tested: there is no Chromium on this machine (Debian's package is chromium)")
	}
}

func fileName(name string) string { return strings.ReplaceAll(name, " ", "-") }

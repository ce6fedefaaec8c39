package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "github.com/lib/pq"              // the driver postgres
	"github.com/stretchr/testify/require"
)

var drivers = []string{"pgx", "postgres"}

// program finds a program of PostgreSQL's server.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(installed) == 0 {
		return "", errors.New("there is no " + name + " on this machine")
	}
	return installed[len(installed)-1], nil
}

// start runs a server for the test and returns where it is.
func start(t testing.TB) (dsn string) {
	t.Helper()
	initdb, err := program("initdb")
	postgres, err2 := program("postgres")
	if err := errors.Join(err, err2); err != nil {
		require.Empty(t, os.Getenv("EMPORIX_REQUIRE_ENGINES"), "%v, and EMPORIX_REQUIRE_ENGINES is set", err)
		t.Skipf("NOT TESTED, without an engine: %v; install PostgreSQL to test its store", err)
	}

	dir, err := os.MkdirTemp("", "emporix-postgres-") //nolint:usetesting // t.TempDir is closed to the user of the server
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := unprivileged(t, dir)

	run := exec.CommandContext(t.Context(), initdb, "--pgdata", filepath.Join(dir, "data"), "--username", "shop", "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync")
	as(run)
	run.Dir = dir
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)

	for range 5 { // another process may take the port first
		if dsn, ok := launch(t, postgres, dir, as); ok {
			return dsn
		}
	}
	require.FailNow(t, "postgres does not start")
	return ""
}

func launch(t testing.TB, postgres, dir string, as func(*exec.Cmd)) (dsn string, ok bool) {
	t.Helper()
	port := freePort(t)
	var log bytes.Buffer
	// It must outlive t.Context, which ends before the clean-up.
	server := exec.CommandContext(context.Background(), postgres, "-D", filepath.Join(dir, "data"), // #nosec G204 -- a test's own
		"-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")
	as(server)
	server.Dir, server.Stdout, server.Stderr = dir, &log, &log
	require.NoError(t, server.Start())
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	t.Cleanup(func() { _ = server.Process.Signal(os.Interrupt); <-ended }) // a fast shutdown

	dsn = fmt.Sprintf("postgres://shop@127.0.0.1:%d/postgres?sslmode=disable", port)
	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	for range 500 {
		if db.PingContext(t.Context()) == nil {
			return dsn, true
		}
		select {
		case <-ended:
			t.Logf("postgres ended:\n%s", &log)
			return "", false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return "", false
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// unprivileged gives dir to the user that the server runs as, and returns what
// makes a command run so. PostgreSQL refuses to run as root.
func unprivileged(t testing.TB, dir string) func(*exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return func(*exec.Cmd) {}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		require.NoError(t, err)
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		require.NoError(t, err)
		require.NoError(t, os.Chown(dir, int(uid), int(gid)))
		return func(c *exec.Cmd) { become(c, uint32(uid), uint32(gid)) }
	}
	require.FailNow(t, "there is no unprivileged user that PostgreSQL could run as")
	return nil
}

func connect(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	db.SetMaxOpenConns(20)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

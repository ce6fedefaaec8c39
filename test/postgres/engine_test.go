package postgres_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// server is the one that all tests share, each in a database of its own.
var server struct {
	once sync.Once
	dsn  string // of its first database
	err  error
	stop func()
}

func TestMain(m *testing.M) {
	m.Run()
	if server.stop != nil {
		server.stop()
	}
}

var databases atomic.Int64

// start makes a database for the test and returns where it is.
func start(t testing.TB) (dsn string) {
	t.Helper()
	initdb, err := program("initdb")
	postgres, err2 := program("postgres")
	if err := errors.Join(err, err2); err != nil {
		require.Empty(t, os.Getenv("EMPORIX_REQUIRE_ENGINES"), "%v, and EMPORIX_REQUIRE_ENGINES is set", err)
		t.Skipf("NOT TESTED, without an engine: %v; install PostgreSQL to test its store", err)
	}
	server.once.Do(func() { server.dsn, server.stop, server.err = run(initdb, postgres) })
	require.NoError(t, server.err)
	name := fmt.Sprintf("shop%d", databases.Add(1))
	_, err = connect(t, "pgx", server.dsn).ExecContext(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return strings.Replace(server.dsn, "/postgres?", "/"+name+"?", 1)
}

// run runs a server in a folder of its own until it is stopped.
func run(initdb, postgres string) (dsn string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "emporix-postgres-")
	if err != nil {
		return "", nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	as, err := unprivileged(dir)
	if err != nil {
		return "", remove, err
	}
	create := exec.Command(initdb, "--pgdata", filepath.Join(dir, "data"), "--username", "shop", "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync")
	as(create)
	create.Dir = dir
	if out, err := create.CombinedOutput(); err != nil {
		return "", remove, fmt.Errorf("%w: %s", err, out)
	}
	for range 5 { // another process may take the port first
		var end func()
		if dsn, end, err = launch(postgres, dir, as); err == nil {
			return dsn, func() { end(); remove() }, nil
		}
	}
	return "", remove, err
}

func launch(postgres, dir string, as func(*exec.Cmd)) (dsn string, stop func(), err error) {
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	var log bytes.Buffer
	server := exec.Command(postgres, "-D", filepath.Join(dir, "data"), // #nosec G204 -- a test's own
		"-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=300")
	as(server)
	server.Dir, server.Stdout, server.Stderr = dir, &log, &log
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	stop = func() { _ = server.Process.Signal(os.Interrupt); <-ended } // a fast shutdown

	dsn = fmt.Sprintf("postgres://shop@127.0.0.1:%d/postgres?sslmode=disable", port)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = db.Close() }()
	for range 500 {
		if db.Ping() == nil {
			return dsn, stop, nil
		}
		select {
		case <-ended:
			return "", nil, fmt.Errorf("postgres ended:\n%s", &log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop()
	return "", nil, fmt.Errorf("postgres does not start:\n%s", &log)
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// unprivileged gives dir to the user that the server runs as, and returns what
// makes a command run so. PostgreSQL refuses to run as root.
func unprivileged(dir string) (as func(*exec.Cmd), err error) {
	if os.Geteuid() != 0 {
		return func(*exec.Cmd) {}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return func(c *exec.Cmd) { become(c, uint32(uid), uint32(gid)) }, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("there is no unprivileged user that PostgreSQL could run as")
}

func connect(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	db.SetMaxOpenConns(20)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

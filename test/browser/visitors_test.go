package browser_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTwoVisitorsAtOnceNeverSeeEachOther(t *testing.T) {
	s := openShop(t)
	jo, bea := newPerson(t, s), newPerson(t, s)
	jo.logIn("jo@example.com", password)
	bea.logIn("bea@example.com", password)
	var both sync.WaitGroup
	for _, one := range []struct {
		p      *person
		own    string
		others []string
	}{
		{jo, "jo@example.com", []string{"bea@example.com", "Okafor"}},
		{bea, "bea@example.com", []string{"jo@example.com", "Lindenallee", "Hafenweg"}},
	} {
		both.Go(func() {
			for range 10 {
				for _, path := range []string{"/account", "/account/security", "/account/addresses", "/account/company", "/api/account"} {
					if !assert.NoError(t, one.p.glance(path)) {
						return
					}
					shown := one.p.shown
					if path == "/account" || path == "/account/security" {
						assert.Contains(t, shown, one.own)
					}
					for _, other := range one.others {
						assert.NotContains(t, shown, other, path)
					}
				}
			}
		})
	}
	both.Wait()

	jo.pressAt("/account/security", "Log out everywhere")
	jo.sees("You are logged out here and on all your other devices.")
	bea.open("/account")
	bea.sees("Hello, Bea")
}

func TestSomebodyLogsOutEverywhere(t *testing.T) {
	s := openShop(t)
	phone, desk := newPerson(t, s), newPerson(t, s)
	phone.logIn("jo@example.com", password)
	desk.logIn("jo@example.com", password)
	desk.pressAt("/account/security", "Log out everywhere")
	desk.sees("You are logged out here and on all your other devices.")
	phone.open("/account/addresses")
	phone.seesNot("Lindenallee")
	require.Contains(t, phone.path(), "/login?next=")
}

func TestPagesAboutAPersonAreKeptNowhere(t *testing.T) {
	s := openShop(t)
	for _, path := range []string{"/", "/login", "/account", "/mailbox", "/api/session"} {
		res, _ := s.get(t, path)
		assert.Equal(t, "no-store", res.Header.Get("Cache-Control"), path)
		assert.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'", path)
		assert.NotContains(t, res.Header.Get("Content-Security-Policy"), "unsafe", path)
	}
}

// TestASessionSurvivesTheRestartOfAReplica kills one of three processes while a
// customer walks through the pages.
func TestASessionSurvivesTheRestartOfAReplica(t *testing.T) {
	s := openReplicas(t)
	p := newPerson(t, s)
	p.open("/")
	p.sees("You are here as a guest")
	p.logIn("jo@example.com", password)
	p.sees("Hello, Jo")

	answered := map[string]bool{}
	replica := regexp.MustCompile(`Replica (\d) answered`)
	walk := func(pages int) {
		for i := range pages {
			p.open([]string{"/account", "/account/addresses", "/account/security"}[i%3])
			p.seesNot("Please log in")
			match := replica.FindStringSubmatch(p.text())
			require.NotNil(t, match, "no replica answered: %s", p.text())
			answered[match[1]] = true
		}
	}
	for range 10 { // what a browser asks for beside the pages takes turns too
		if walk(3); len(answered) == 3 {
			break
		}
	}
	p.look("account of a replica")
	require.Len(t, answered, 3, "the pages come from all three replicas")

	started := regexp.MustCompile(`Replica 2: process (\d+) `)
	victim := started.FindStringSubmatch(s.output.String())
	pid, err := strconv.Atoi(victim[1])
	require.NoError(t, err)
	doomed, err := os.FindProcess(pid)
	require.NoError(t, err)
	require.NoError(t, doomed.Kill())
	walk(9)
	require.Eventually(t, func() bool { return len(started.FindAllString(s.output.String(), -1)) == 2 }, 15*time.Second, 50*time.Millisecond)
	clear(answered)
	for range 10 {
		if walk(3); len(answered) == 3 {
			break
		}
	}
	require.Len(t, answered, 3, "the new process answers too")
	p.press("Log out")
	p.open("/account")
	p.sees("Please log in to go on.")
}

func TestAStoreThatIsDownIsAPageAndEndsNothing(t *testing.T) {
	redis := startRedis(t)
	p := newPerson(t, openShop(t, "-redis", redis.addr))
	p.logIn("jo@example.com", password)
	redis.pause(t)
	p.open("/account")
	p.sees("We can't look up your visit just now", "if you were logged in, you still are")
	p.seesNot("Sign up", "Log out")
	p.look("store down")
	redis.resume(t)
	p.open("/account")
	p.sees("Hello, Jo")
}

// redisServer is a Redis of the test's own.
type redisServer struct {
	addr    string
	process *os.Process
}

// pause makes it hang, connections and all, as a machine that is gone does.
func (r *redisServer) pause(t *testing.T) {
	t.Helper()
	require.NoError(t, r.process.Signal(pauseSignal))
}
func (r *redisServer) resume(t *testing.T) {
	t.Helper()
	require.NoError(t, r.process.Signal(resumeSignal))
}

// startRedis runs a server on a free loopback port until the test ends.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	needPrograms(t, "redis-server")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	server := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", addr[strings.LastIndex(addr, ":")+1:],
		"--save", "", "--appendonly", "no", "--dir", t.TempDir())
	printed := &output{}
	server.Stdout, server.Stderr = printed, printed
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond, fmt.Sprint(printed))
	return &redisServer{addr, server.Process}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// environment is what a person exports before the journey.
type environment map[string]string

func backend() environment {
	return environment{emporix.EnvEmployeeID: "backend", emporix.EnvEmployeeSecret: "backend-secret-for-tests"}
}

// tenantAt names the fake's tenant as if it were a real one.
func tenantAt(host string, more ...environment) environment {
	env := environment{emporix.EnvHost: host, emporix.EnvTenant: "acme", emporix.EnvClientID: "storefront"}
	for _, m := range more {
		for name, value := range m {
			env[name] = value
		}
	}
	return env
}

func (env environment) apply(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		emporix.EnvHost, emporix.EnvTenant, emporix.EnvClientID, emporix.EnvEmployeeID, emporix.EnvEmployeeSecret, envEmail,
	} {
		t.Setenv(name, env[name])
	}
}

// travel runs the journey in the process.
func travel(ctx context.Context, t *testing.T, env environment) (status int, stdout, stderr string) {
	t.Helper()
	env.apply(t)
	var out, errs bytes.Buffer
	status = run(ctx, &out, &errs)
	return status, out.String(), errs.String()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[len(lines)-1]
}

// all is how many operations there are.
var all = len(emporixfake.Operations())

var whole = summary(all, "0 failed")

// summary is the journey's last line.
func summary(succeeded int, rest string) string {
	return fmt.Sprintf("journey: %d of %d operations, %s", succeeded, all, rest)
}

// serve starts a fake on a socket.
func serve(t *testing.T, fake http.Handler) string {
	t.Helper()
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return server.URL
}

// hidden is a fake that can't be told from a real tenant.
func hidden(fake http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/__fake") {
			http.NotFound(w, r)
			return
		}
		fake.ServeHTTP(w, r)
	})
}

var longRandom = regexp.MustCompile(`[A-Za-z0-9]{26,}`)

// assertDiscreet looks for the fake's secrets, and for anything like a token.
func assertDiscreet(t *testing.T, fake *emporixfake.Server, texts ...string) {
	t.Helper()
	printed := strings.Join(texts, "\n")
	assert.Empty(t, longRandom.FindAllString(printed, -1))
	assert.NotContains(t, printed, "\x1b")
	if fake == nil {
		return
	}
	secrets := fake.Secrets()
	require.NotEmpty(t, secrets)
	for _, secret := range secrets {
		assert.NotContains(t, printed, secret)
		if len(secret) > 12 {
			assert.NotContains(t, printed, secret[:12])
		}
	}
}

// lineOf is the first printed line about an operation.
func lineOf(t *testing.T, printed, operation string) string {
	t.Helper()
	for line := range strings.Lines(printed) {
		if strings.HasPrefix(line, "  "+operation+" ") {
			return line
		}
	}
	require.Fail(t, "no line about "+operation, printed)
	return ""
}

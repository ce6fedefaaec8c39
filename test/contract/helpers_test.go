package contract_test

import (
	"context"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/test/contract"
)

// openAPI names the file with the vendor's description, which is not part of
// this repository.
const openAPI = "EMPORIX_OPENAPI"

func document(t *testing.T) *contract.Document {
	t.Helper()
	path := os.Getenv(openAPI)
	if path == "" {
		t.Skip(openAPI + " is not set: give it the path of the API's OpenAPI description to hold the SDK and the fake against it")
	}
	d, err := contract.Load(path)
	require.NoError(t, err)
	return d
}

// court is a fake behind a judge, on a socket.
type court struct {
	*contract.Judge
	fake *emporixfake.Server
	url  string
}

func newCourt(t *testing.T, assume ...func(*emporixfake.Assumptions)) *court {
	t.Helper()
	assumptions := emporixfake.DefaultAssumptions()
	for _, change := range assume {
		change(&assumptions)
	}
	d := document(t)
	fake := emporixfake.New(emporixfake.Config{Assumptions: &assumptions})
	judge := contract.NewJudge(d, fake)
	server := httptest.NewServer(judge)
	t.Cleanup(server.Close)
	return &court{Judge: judge, fake: fake, url: server.URL}
}

func (c *court) client(t *testing.T, opts ...emporix.Option) *emporix.Client {
	t.Helper()
	cfg := c.fake.Config()
	client, err := emporix.NewClient(cfg.Tenant, cfg.ClientID, append([]emporix.Option{
		emporix.WithBaseURL(c.url), emporix.WithEmployeeCredentials(cfg.BackendClientID, cfg.BackendSecret),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
	return client
}

func (c *court) mail(t *testing.T, kind, email string) string {
	t.Helper()
	mails := c.fake.Outbox(emporixfake.MailFilter{Kind: kind, Email: email})
	require.NotEmpty(t, mails, "no %s mail for %s", kind, email)
	return mails[0].Token
}

// acquitted demands every operation, and no violation.
func acquitted(t *testing.T, v contract.Verdict) {
	t.Helper()
	assert.Empty(t, v.Violations)
	assert.Empty(t, v.Missing)
	assert.Len(t, v.Covered, len(operation.All()))
	t.Log(v)
}

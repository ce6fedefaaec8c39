package emporix_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// Close leaves no connection of the client's own behind.
func TestCloseClosesIdleConnections(t *testing.T) {
	idle, closed := make(chan struct{}, 1), make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(anonymousTokens))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateIdle:
			idle <- struct{}{}
		case http.StateClosed:
			closed <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(server.URL))
	require.NoError(t, err)
	_, err = client.Auth.StartAnonymous(t.Context(), emporix.SessionContext{})
	require.NoError(t, err)
	<-idle
	require.NoError(t, client.Close(t.Context()))
	select {
	case <-closed:
	case <-t.Context().Done():
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
}

// An error tells both: what failed, and that the caller's context ended.
func TestTheEndOfTheContextIsJoinedToTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken wire")
		client := loggedIn(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, broken // and not the context's own error
		})
		for name, call := range map[string]func(context.Context, *emporix.Client) error{"get": get, "update": update} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := call(ctx, client)
			cancel()
			assert.ErrorIs(t, err, context.DeadlineExceeded, name)
			assert.ErrorIs(t, err, broken, name)
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			err = call(ctx, client)
			assert.ErrorIs(t, err, context.Canceled, name)
			assert.ErrorIs(t, err, broken, name)
			assert.ErrorContains(t, err, "broken wire")
		}
	})
}

// Who forgot to look at NewClient's error is told so.
func TestAClientThatNobodyMade(t *testing.T) {
	for name, client := range map[string]*emporix.Client{"nil": nil, "zero": {}} {
		for call, do := range map[string]func(){
			"Session": func() { client.Session("v") }, "DefaultSession": func() { client.DefaultSession() },
			"HTTPClient": func() { client.HTTPClient() }, "Settings": func() { client.Settings() },
			"Close": func() { _ = client.Close(t.Context()) },
		} {
			assert.PanicsWithValue(t, "emporix: this Client was not made by NewClient; check the error that NewClient returned", do, name+" "+call)
		}
	}
}

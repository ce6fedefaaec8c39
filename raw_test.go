package emporix_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func TestARenewalInTheBackgroundFillsNoRawResponse(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, *emporix.Client){
		"Auth.RefreshAnonymous": func(t *testing.T, c *emporix.Client) {
			t.Helper()
			require.NoError(t, fixture.AnonymousCall(t.Context(), c.DefaultSession()))
			time.Sleep(58 * time.Minute)
		},
		"Auth.Refresh": func(t *testing.T, c *emporix.Client) {
			t.Helper()
			fixture.LogIn(t, c.DefaultSession())
			time.Sleep(20 * time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				begin(t, client)
				fake.AssertCalls(t, name, 0)
				fake.Fail(t, emporixtest.Fault{Operation: name, Delay: time.Second}) // its response comes last
				var raw emporix.RawResponse
				_, err := client.Customers.Get(emporix.WithRawResponse(t.Context(), &raw))
				require.NoError(t, err)
				time.Sleep(time.Minute)
				synctest.Wait()
				fake.AssertCalls(t, name, 1)
				assert.Equal(t, "Customers.Get", raw.Operation())
			})
		})
	}
}

func TestEveryCallFillsItsRawResponse(t *testing.T) {
	for _, calls := range []map[string]func(context.Context, *emporix.Client) error{fixture.Writes, fixture.Reads} {
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := fixture.LoggedIn(t, fixture.Always(409, `{"status":409,"message":"a conflict"}`))
					var raw emporix.RawResponse
					assert.Error(t, call(emporix.WithRawResponse(t.Context(), &raw), client))
					assert.Equal(t, name, raw.Operation())
					assert.Equal(t, 409, raw.StatusCode())
					assert.JSONEq(t, `{"status":409,"message":"a conflict"}`, string(raw.Body()))
				})
			})
		}
	}
}

// Errors keep what can be read, and the rest can be read raw.
func TestErrorAnswersCanBeReadRaw(t *testing.T) {
	t.Parallel()
	tenant, client := fixture.NewServer(t, "/me")
	tenant.Status = 409
	build := func() any {
		return []member{{"status", 409}, {"type", "conflict_resource"}, {"message", "m"}, {"moreInfo", "i"}, {"details", []any{[]member{{"field", "f"}, {"type", "t"}, {"message", "d"}, {"moreInfo", "j"}}}}, {"unknown", 1}}
	}
	eachMemberOf(build, func(path []string, _ any, edit func(change) any) {
		for _, c := range memberChanges {
			tenant.Body = encodeDocument(edit(c))
			var raw emporix.RawResponse
			err := fixture.Update(emporix.WithRawResponse(t.Context(), &raw), client)
			require.ErrorIs(t, err, emporix.ErrConflict, tenant.Body)
			assert.Equal(t, tenant.Body, string(raw.Body()))
			assert.Equal(t, 409, raw.StatusCode())
			var apiErr *emporix.APIError
			require.ErrorAs(t, err, &apiErr)
			if path[0] != "message" {
				assert.Equal(t, "m", apiErr.Message, tenant.Body)
			}
			if path[0] != "type" {
				assert.Equal(t, "conflict_resource", apiErr.Code, tenant.Body)
			}
		}
	})
}

// A raw answer masks the secrets of its request and of its tokens.
func TestRawResponsesHoldNoSecret(t *testing.T) {
	t.Parallel()
	var raw emporix.RawResponse
	assert.Empty(t, raw.Operation())
	assert.Zero(t, raw.StatusCode())
	assert.Nil(t, raw.Body())
	tenant, client := fixture.NewServer(t, "/acme/login")
	ctx := emporix.WithRawResponse(t.Context(), &raw)
	tenant.Body = `{"access_token":"CANARY-1","accessToken":"CANARY-2","Refresh_Token":"CANARY-3","data":{"saasToken":"CANARY-4","list":["eyJCANARY.5","x",{"client_secret":"CANARY-6"}]},"expires_in":3600,"refresh_token_expires_in":60,"token_type":"Bearer","initialPassword":true,"unknown":"kept","unknown":2}`
	require.NoError(t, fixture.Login(ctx, client))
	masked := strings.TrimSpace(`{"access_token":"[redacted]","accessToken":"[redacted]","Refresh_Token":"[redacted]","data":{"saasToken":"[redacted]","list":["[redacted]","x",{"client_secret":"[redacted]"}]},"expires_in":3600,"refresh_token_expires_in":60,"token_type":"Bearer","initialPassword":true,"unknown":"kept","unknown":2}`)
	assert.Equal(t, masked, string(raw.Body()), "doubled members as well")
	raw.Body()[0] = 'x'
	assert.Equal(t, byte('{'), raw.Body()[0], "it is a copy")
	for _, body := range []string{"CANARY", `["CANARY"]`, `"CANARY"`, `{"access_token":"CANARY`, strings.Repeat(`{"a":`, 100) + `"CANARY"` + strings.Repeat("}", 100)} {
		tenant.Body = body
		assert.Error(t, fixture.Login(ctx, client))
		assert.NotContains(t, string(raw.Body()), "CANARY", body)
		assert.Equal(t, "Auth.Login", raw.Operation())
	}
	tenant.Path, tenant.Status, tenant.Body = "/password/change", 400, `{"message":"CANARY-old is wrong","unknown":1}`
	require.Error(t, client.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "CANARY-old", NewPassword: "new password"}))
	assert.JSONEq(t, `{"message":"[redacted] is wrong","unknown":1}`, string(raw.Body()))
	assert.NotContains(t, fmt.Sprintf("%+v", ctx), "CANARY")
}

package emporix_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

func TestLife_L16_ExpiresInOfAllKinds(t *testing.T) {
	const good, bad = true, false
	for value, usable := range map[string]bool{
		`3599`: good, `"3599"`: good, `3599.0`: good, `3.6e3`: good, `"absent"`: good, `9223372036854775807`: good, `1e400`: good,
		`0`: bad, `-1`: bad, `"abc"`: bad, `"NaN"`: bad, `true`: bad, `{}`: bad, `[]`: bad,
	} {
		t.Run(value, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
				own := client.DefaultSession()
				require.NoError(t, anonymousCall(t.Context(), own))
				session := info(t, own).SessionID
				time.Sleep(90 * time.Minute)
				fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", ExpiresIn: json.RawMessage(value), Times: 2})
				err := anonymousCall(t.Context(), own)
				if usable {
					require.NoError(t, err)
					left := time.Until(info(t, own).AccessExpires)
					assert.Greater(t, left, 4*time.Minute)
					assert.LessOrEqual(t, left, 365*24*time.Hour)
				} else {
					require.ErrorIs(t, err, emporix.ErrBadResponse)
					require.NoError(t, anonymousCall(t.Context(), own))
				}
				assert.Equal(t, session, info(t, own).SessionID)
				fake.AssertCalls(t, "Auth.StartAnonymous", 1)
			})
		})
	}
}

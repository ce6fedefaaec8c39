package redis_test

import (
	"testing"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/stores/storetest"

	"github.com/emporix-community/emporix-go/stores/redis"
)

var _ emporix.LeaseTokenStore = (*redis.Store)(nil)

// conforms runs the suite that every store here must pass.
func conforms(t *testing.T, e engine, s *redis.Store) {
	t.Helper()
	var opts []storetest.Option
	if e.virtual {
		opts = append(opts, storetest.WithClock(e.advance))
	}
	storetest.Run(t, func(*testing.T) storetest.Store { return s }, opts...)
}

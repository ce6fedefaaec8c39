package bff_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

func TestStatuses(t *testing.T) {
	for err, want := range map[error]int{
		bff.ErrCrossOrigin: 403, bff.ErrNoProvider: 404, bff.ErrState: 400, bff.ErrSocialRefused: 401, bff.ErrReadOnly: 503,
		emporix.ErrUnauthorized: 401, emporix.ErrInvalidCredentials: 401, emporix.ErrSessionExpired: 401, emporix.ErrNotRefreshable: 401,
		emporix.ErrForbidden: 403, emporix.ErrNotFound: 404, emporix.ErrConflict: 409, emporix.ErrStoreUnavailable: 503,
		emporix.ErrRateLimited: 503, emporix.ErrOutcomeUnknown: 502, emporix.ErrInvalidRequest: 400, emporix.ErrEmptyPatch: 400, emporix.ErrLoggedIn: 409, context.DeadlineExceeded: 503, context.Canceled: 503, bff.ErrTooLate: 500,
		&http.MaxBytesError{Limit: 1}: 413, http.ErrNoCookie: 500,
		&emporix.AuthError{Operation: "anonymous", Err: &emporix.APIError{StatusCode: 401}}: 503, &emporix.AuthError{Operation: "refresh", Err: &emporix.APIError{StatusCode: 401}}: 401,
	} {
		assert.Equal(t, want, bff.Status(fmt.Errorf("x: %w", err)), err.Error())
		s := newShop(t, setup{})
		w := s.browser().serve(func(w http.ResponseWriter, r *http.Request) { s.b.Error(w, r, err) })
		assert.Equal(t, want, w.Code)
		assert.NotEmpty(t, strings.TrimSpace(w.Body.String()), "a person reads something")
		assert.Equal(t, err == bff.ErrCrossOrigin, strings.Contains(w.Body.String(), "own pages"), err.Error()) //nolint:errorlint // it is this very error
	}
}

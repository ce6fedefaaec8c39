package flowtest

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// carts is a small cart service beside the fake: a cart belongs to a session.
type carts struct {
	fake  *emporixtest.Fake
	mu    sync.Mutex
	items map[string][]string // by session ID
}

func newCarts(fake *emporixtest.Fake) *carts {
	c := &carts{fake: fake, items: map[string][]string{}}
	fake.Handle("GET /cart/{tenant}/items", c.forVisitor(func(session string, _ *http.Request) []string { return c.items[session] }))
	fake.Handle("POST /cart/{tenant}/items", c.forVisitor(func(session string, r *http.Request) []string {
		c.items[session] = append(c.items[session], r.URL.Query().Get("product"))
		return c.items[session]
	}))
	return c
}

// forVisitor lets the visitors of the fake in, and tells whose session it is.
func (c *carts) forVisitor(serve func(session string, r *http.Request) []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		visitor, known := c.fake.Identify(r.Header.Get("Authorization"))
		if !known || visitor.State != emporixfake.TokenLive {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = json.NewEncoder(w).Encode(serve(visitor.SessionID, r))
	}
}

// call sends a request to the cart service as a visitor.
func call(t *testing.T, fake *emporixtest.Fake, visitor *emporix.Session, method, path string) (items []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, fake.URL()+path, strings.NewReader(""))
	require.NoError(t, err)
	resp, err := visitor.HTTPClient().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&items))
	return items
}

// What a guest has put into the cart is there after the login, in the cart service's
// own view.
func TestTheCartSurvivesTheLogin(t *testing.T) {
	fake := emporixtest.New(t)
	jo(t, fake)
	newCarts(fake)
	visitor := fake.Client(t).Session("a visitor's cookie")

	call(t, fake, visitor, http.MethodPost, "/cart/acme/items?product=lamp")
	login(t, visitor)
	call(t, fake, visitor, http.MethodPost, "/cart/acme/items?product=bowl")
	assert.Equal(t, []string{"lamp", "bowl"}, call(t, fake, visitor, http.MethodGet, "/cart/acme/items"))

	stranger := fake.Client(t).Session("another visitor's cookie")
	assert.Empty(t, call(t, fake, stranger, http.MethodGet, "/cart/acme/items"))
}

// What the shop sent can be looked at.
func TestWhatTheShopSends(t *testing.T) {
	fake := emporixtest.New(t)
	jo(t, fake)
	client := fake.Client(t)
	login(t, client.DefaultSession())
	require.NoError(t, client.Customers.Update(t.Context(), emporix.CustomerPatch{FirstName: emporix.Set("Joanna"), MiddleName: emporix.Null[string]()}))
	fake.AssertRequest(t, "Customers.Update", emporixtest.Request{
		Header: map[string]string{"Content-Type": "application/merge-patch+json"},
		Body:   map[string]any{"firstName": "Joanna", "middleName": nil},
	})
}

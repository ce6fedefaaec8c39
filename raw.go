package emporix

import (
	"bytes"
	"context"
	"sync"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/transport"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// RawResponse receives a response as the server sent it: for members that the
// SDK has no field for, and for values that it could not read. Its zero value is
// ready to use, for one call at a time:
//
//	var raw emporix.RawResponse
//	me, err := client.Customers.Get(emporix.WithRawResponse(ctx, &raw))
//	var more struct{ LoyaltyLevel int }
//	err = json.Unmarshal(raw.Body(), &more)
//
// It works with every call of a service, and with responses that become an
// *APIError. Tokens are masked. Calls without WithRawResponse keep nothing.
type RawResponse struct {
	mu        sync.Mutex
	operation string
	status    int
	body      []byte
}

type rawKey struct{}

// WithRawResponse returns a context whose calls put their responses into raw. Of
// several responses, such as of a call that needed a new token first, raw holds
// the last; a renewal in the background never fills it. Where raw has no
// Operation, no response came.
func WithRawResponse(ctx context.Context, raw *RawResponse) context.Context {
	return context.WithValue(ctx, rawKey{}, raw)
}

// Operation names the call that was answered, such as "Customers.Get". It is
// empty while there is no response.
func (r *RawResponse) Operation() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.operation
}

// StatusCode is the status of HTTP, or 0 while there is no response.
func (r *RawResponse) StatusCode() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Body returns a copy of the body. Of a response that holds tokens they are
// masked, and such a response is nil if it is not a JSON object. A secret of the
// request that the server repeats is masked as well.
func (r *RawResponse) Body() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.body)
}

// keepRaw copies a response for a caller who asked for it.
func keepRaw(ctx context.Context, op *operation.Operation, resp *transport.Response) {
	raw, _ := ctx.Value(rawKey{}).(*RawResponse)
	if raw == nil {
		return
	}
	body := bytes.Clone(resp.Body)
	if op.Tokens != operation.NoTokens {
		body = wire.MaskTokens(body)
	}
	if text := string(body); resp.Scrub(text) != text {
		body = []byte(resp.Scrub(text))
	}
	raw.mu.Lock()
	defer raw.mu.Unlock()
	raw.operation, raw.status, raw.body = op.Name, resp.Status, body
}

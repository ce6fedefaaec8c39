package transport

import "sync"

// A retry costs this much of the budget, and an answered call pays back a
// little, so that in an outage retries stop instead of doubling the load.
const (
	fullBudget    = 500
	retryCost     = 5
	timeoutCost   = 10
	successRefund = 1
)

type budget struct {
	mu   sync.Mutex
	left int
}

func newBudget() *budget { return &budget{left: fullBudget} }

func (b *budget) spend(err error) bool {
	cost := retryCost
	if err != nil && isTimeout(err) {
		cost = timeoutCost
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < cost {
		return false
	}
	b.left -= cost
	return true
}

func (b *budget) succeed(status int) {
	if status >= 500 || status == 429 || status == 408 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.left+successRefund, fullBudget)
}

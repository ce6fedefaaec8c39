package main

import (
	"fmt"
	"testing"

	emporix "github.com/emporix-community/emporix-go"
)

// kept lets a session escape, as a handler does.
var kept [1]*emporix.Session

// visitorHandle makes a visitor's session, as a storefront does per request.
func visitorHandle() (side, func(), error) {
	client, err := emporix.NewClient(tenant, clientID, emporix.WithTransport(canned{}))
	if err != nil {
		return nil, nil, err
	}
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = visitorKey(i)
	}
	return func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			kept[0] = client.Session(keys[i%len(keys)])
		}
	}, func() { closeClient(client) }, nil
}

// visitorKey has the length of 128 random bits in Base64.
func visitorKey(n int) string { return fmt.Sprintf("v%021d", n) }

// sessionRows measures row 15.
func sessionRows(cfg config) ([]row, error) {
	handle, done, err := visitorHandle()
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := paired(cfg, handle)
	if err != nil {
		return nil, err
	}
	// An absolute time: whatever else the machine does can only add to it.
	time, bytes, objects := r[0].least(wallTime), r[0].least(byteCount), r[0].least(allocs)
	return []row{
		{"15", "client.Session(key): time", lasting(time), "", "", "≤ 150 ns", judge(time <= 150)},
		{"15", "client.Session(key): bytes", size(bytes), "", "", "≤ 256 B", judge(bytes <= 256)},
		{"15", "client.Session(key): allocations", count(objects), "", "", "≤ 4", judge(objects <= 4)},
	}, nil
}

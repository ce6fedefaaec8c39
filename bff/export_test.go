package bff

import (
	"context"
	"encoding/base64"
	"time"
)

// Reseal changes what is in a sealed cookie of b's.
func Reseal(b *BFF, value string, change func(plain []byte) []byte) string {
	k, sealed := b.keep.(*sealedVisitors)
	data, err := base64.RawURLEncoding.DecodeString(value)
	if !sealed || err != nil {
		return ""
	}
	keys := k.store.inner().keys
	plain, _ := keys.Open(data, k.purpose())
	data, _ = keys.Seal(change(plain), k.purpose())
	return base64.RawURLEncoding.EncodeToString(data)
}

// Bound makes a CookieStore keep at most this many sessions in memory.
func Bound(store *CookieStore, sessions int) { store.inner().limit = sessions }

// Kept is how many sessions and notes a CookieStore has in memory.
func Kept(store *CookieStore) (sessions, ended int) {
	rows := store.inner()
	rows.mu.Lock()
	defer rows.mu.Unlock()
	return len(rows.rows), len(rows.ended)
}

// Visitors is what keeps visitors in the cookies of a store.
type Visitors struct{ k *sealedVisitors }

// VisitorsOf returns it.
func VisitorsOf(store *CookieStore, idle time.Duration) Visitors {
	return Visitors{&sealedVisitors{b: &BFF{opts: Options{Idle: idle}}, store: store}}
}

// End ends an ID.
func (v Visitors) End(key string) { v.k.end(&visitorRecord{record: record{Key: key}}, "") }

// HasEnded reports whether the store remembers that.
func (v Visitors) HasEnded(key string) bool {
	_, found := v.k.store.inner().get(supersededNote(key))
	return found
}

// Claim begins a change of an ID, if none is under way.
func (v Visitors) Claim(key string) bool {
	claimed, err := v.k.claim(context.Background(), &visitorRecord{record: record{Key: key}}, nil, "")
	return err == nil && claimed != nil
}

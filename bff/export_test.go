package bff

import "encoding/base64"

// Reseal changes what is in a sealed cookie of b's.
func Reseal(b *BFF, value string, change func(plain []byte) []byte) string {
	k, sealed := b.keep.(*sealedVisitors)
	data, err := base64.RawURLEncoding.DecodeString(value)
	if !sealed || err != nil {
		return ""
	}
	keys := k.store.inner().keys
	plain, _ := keys.open(data, k.purpose())
	data, _ = keys.seal(change(plain), k.purpose())
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

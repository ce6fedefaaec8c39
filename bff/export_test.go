package bff

import "encoding/base64"

// Reseal changes what is in a sealed cookie of b's.
func Reseal(b *BFF, value string, change func(plain []byte) []byte) string {
	k, sealed := b.keep.(*sealedKeeper)
	data, err := base64.RawURLEncoding.DecodeString(value)
	if !sealed || err != nil {
		return ""
	}
	keys := k.store.inner().keys
	plain, _ := keys.open(data, k.purpose())
	data, _ = keys.seal(change(plain), k.purpose())
	return base64.RawURLEncoding.EncodeToString(data)
}

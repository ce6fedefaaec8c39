// Package webhook checks that an event was sent by Emporix: its signature is an
// HMAC-SHA256 of the body, in Base64, under a secret that the webhook was
// configured with.
//
//	verifier, err := webhook.NewVerifier(secret)
//
//	func events(w http.ResponseWriter, r *http.Request) {
//		body, err := verifier.Read(r)
//		if err != nil {
//			http.Error(w, "unknown sender", http.StatusUnauthorized)
//			return
//		}
//		…
//	}
//
// # What is accepted
//
// Nothing here was tried on a delivery of a live tenant. The vendor's text says
// that the body is signed without space and with its keys sorted, and its sample
// shows one with keys that are not: both are accepted, since both need the secret.
// Keys are sorted as JavaScript sorts them, by UTF-16 code units. Numbers may be
// signed as they are or as JavaScript writes them (1.0 as 1); of the latter, the
// signature covers only what a double holds.
//
// # What is not
//
// Only the strategy "http" is signed like this. With "svix_shared", which is the
// vendor's default, and "svix", deliveries are signed by Svix, with the headers
// svix-id, svix-timestamp and svix-signature. This package can't verify those: use
// Svix's own library, or switch the tenant to "http".
//
// The signature does not tell deliveries apart: keep the IDs of events that must
// not be processed twice, and don't trust an event that is older than you expect.
//
// Events hold tokens (password reset, opt-in, change of e-mail address): keep
// bodies out of logs.
package webhook

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/emporix-community/emporix-go/internal/bounded"
)

// Header is the request header with the signature.
const Header = "Emporix-Event-Signature"

// MaxBody is how many bytes of an event are read.
const MaxBody = 1 << 20

var (
	// ErrSignature: the body was not signed with a secret of the Verifier, or not
	// signed like this at all.
	ErrSignature = errors.New("webhook: the signature does not match; check the secret that the webhook was configured with")
	// ErrTooLarge: the body is longer than MaxBody.
	ErrTooLarge = fmt.Errorf("webhook: the event is longer than %d bytes", MaxBody)
)

// otherSignatureError is an ErrSignature of an event whose secret is not the matter.
type otherSignatureError string

func (e otherSignatureError) Error() string { return "webhook: " + string(e) }

// Is matches ErrSignature.
func (e otherSignatureError) Is(target error) bool { return target == ErrSignature }

const (
	errSvix     otherSignatureError = "the event is signed by Svix; use Svix's library, or switch the tenant's webhooks to the strategy \"http\""
	errUnsigned otherSignatureError = "the event has no header " + Header + "; a tenant whose webhooks have no secret signs none"
)

// minFIPSSecret is the length in bytes of the shortest key that crypto/hmac takes
// where FIPS 140-3 is enforced: with a shorter one it panics.
const minFIPSSecret = 14

// Verifier checks signatures. It is safe for many goroutines, and prints nothing of
// its secrets.
type Verifier struct {
	macs func(body []byte) [][]byte
}

// NewVerifier returns a verifier for events that were signed with one of the
// secrets: to change the secret, give both until the last event under the old one
// has come. An empty secret, or none, is an error, and with GODEBUG=fips140=only one
// of less than 14 bytes.
func NewVerifier(secrets ...string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("webhook: there is no secret; anybody could send events")
	}
	for i, secret := range secrets {
		if secret == "" {
			return nil, fmt.Errorf("webhook: secret %d is empty; anybody could send events", i+1)
		}
		if fips140.Enforced() && len(secret) < minFIPSSecret {
			return nil, fmt.Errorf("webhook: secret %d has %d bytes; with GODEBUG=fips140=only at least %d are needed", i+1, len(secret), minFIPSSecret)
		}
	}
	secrets = append([]string(nil), secrets...)
	return &Verifier{macs: func(body []byte) (macs [][]byte) {
		for _, secret := range secrets {
			h := hmac.New(sha256.New, []byte(secret))
			h.Write(body)
			macs = append(macs, h.Sum(nil))
		}
		return macs
	}}, nil
}

// Read returns the body of an event whose signature is good. It returns when the
// request's context ends, whether the body has ended or not: give requests a deadline.
// Errors: ErrSignature, ErrTooLarge, those of reading the body, and the context's.
func (v *Verifier) Read(r *http.Request) ([]byte, error) {
	signatures := r.Header.Values(Header)
	switch {
	case len(signatures) == 0 && (r.Header.Get("Svix-Signature") != "" || r.Header.Get("Webhook-Signature") != ""):
		return nil, errSvix
	case len(signatures) == 0:
		return nil, errUnsigned
	case len(signatures) > 1 || r.Body == nil: // no server makes a request without a body
		return nil, ErrSignature
	}
	ctx := r.Context()
	body, err := io.ReadAll(io.LimitReader(bounded.NewBody(ctx, new(bounded.Calls), "the request's body", r.Body), MaxBody+1))
	switch {
	case err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return nil, fmt.Errorf("webhook: reading the event: %w: %w", ctx.Err(), err)
	case err != nil:
		return nil, fmt.Errorf("webhook: reading the event: %w", err)
	case len(body) > MaxBody:
		return nil, ErrTooLarge
	}
	return v.verify(body, signatures[0])
}

// Verify checks the signature of a body, as it is or with its keys sorted. Where a
// key is there twice in one object, the signature covers the last one only: use
// Read, which returns the body without the others. The error is ErrSignature.
func (v *Verifier) Verify(body []byte, signature string) error {
	_, err := v.verify(body, signature)
	return err
}

// verify returns what the signature covers.
func (v *Verifier) verify(body []byte, signature string) ([]byte, error) {
	given, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return nil, ErrSignature
	}
	if v.signed(body, given) {
		return body, nil
	}
	sorted, repeated := forms(body)
	for _, form := range sorted {
		if !v.signed(form, given) {
			continue
		}
		if repeated {
			return form, nil
		}
		return body, nil
	}
	return nil, ErrSignature
}

func (v *Verifier) signed(body, given []byte) bool {
	good := false
	for _, mac := range v.macs(body) {
		good = hmac.Equal(mac, given) || good
	}
	return good
}

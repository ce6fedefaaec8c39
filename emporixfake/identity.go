package emporixfake

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

func (i Identity) providerID() string {
	if i.ProviderID != "" {
		return i.ProviderID
	}
	return "fake|" + i.Email
}

// verifies checks the code verifier of PKCE.
func (i Identity) verifies(verifier string) bool {
	if i.CodeVerifier != "" && i.CodeVerifier != verifier {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return i.CodeChallenge == "" || i.CodeChallenge == base64.RawURLEncoding.EncodeToString(sum[:])
}

// builtIn reads "fake-code:jo@example.com" and "fake-code:jo@example.com:2".
func builtIn(prefix, value string) (Identity, bool) {
	rest, fits := strings.CutPrefix(value, prefix)
	email, _, _ := strings.Cut(rest, ":")
	return Identity{Email: email}, fits && strings.Contains(email, "@")
}

func (t *tenant) socialIdentity(code string) (Identity, bool) {
	if identity, known := t.identities[code]; known {
		return identity, !identity.Inactive
	}
	return builtIn("fake-code:", code)
}

func (t *tenant) subjectOf(token, config string) (subject, bool) {
	if s, known := t.subjects[token]; known {
		return s, true
	}
	identity, fits := builtIn("fake-subject:", token)
	return subject{identity, config}, fits
}

// customerOf finds the customer of an identity, or makes an active one without
// a password.
func (t *tenant) customerOf(identity Identity, provision bool) (*customer, *answer) {
	var refusal answer
	cu := t.byLogin(identity.Email)
	if cu == nil {
		switch {
		case !provision:
			refusal = notFound("The customer does not exist.")
			return nil, &refusal
		case len(t.customers) >= maxCustomers:
			refusal = problem(http.StatusInsufficientStorage, "The fake takes no more customers; reset it.")
			return nil, &refusal
		}
		cu = t.newCustomer("", identity.Email)
		cu.active = true
		cu.profile["contactEmail"] = identity.Email
		for name, value := range map[string]string{"firstName": identity.FirstName, "lastName": identity.LastName} {
			if value != "" {
				cu.profile[name] = value
			}
		}
	}
	if refusal := t.refusedLogin(cu); refusal != nil {
		return nil, refusal
	}
	cu.providerID = identity.providerID()
	return cu, nil
}

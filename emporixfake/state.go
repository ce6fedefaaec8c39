package emporixfake

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// CustomerState is a customer as the fake has it now.
type CustomerState struct {
	CustomerNumber string           `json:"customerNumber"`
	Email          string           `json:"email"` // to log in with
	Active         bool             `json:"active"`
	OnHold         bool             `json:"onHold,omitempty"`
	HasPassword    bool             `json:"hasPassword"`
	Version        int64            `json:"version"` // of the profile
	Profile        map[string]any   `json:"profile"`
	Addresses      []map[string]any `json:"addresses"`
	LegalEntities  []string         `json:"legalEntities,omitempty"` // IDs
	LastLogin      time.Time        `json:"lastLogin,omitzero"`
}

// Customers returns the customers by number. The values are copies.
func (s *Server) Customers() []CustomerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []CustomerState{}
	for _, cu := range s.tenant.customers {
		state := CustomerState{
			CustomerNumber: cu.number, Email: cu.login, Active: cu.active, OnHold: cu.onHold, HasPassword: cu.password != "",
			Version: cu.version, Profile: cloneObject(cu.profile), Addresses: []map[string]any{}, LastLogin: cu.lastLogin,
		}
		for _, a := range cu.addresses {
			state.Addresses = append(state.Addresses, cloneObject(a.object()))
		}
		for _, e := range cu.entities {
			state.LegalEntities = append(state.LegalEntities, e.company.id)
		}
		all = append(all, state)
	}
	slices.SortFunc(all, func(a, b CustomerState) int { return cmp.Compare(a.CustomerNumber, b.CustomerNumber) })
	return all
}

// What became of a token.
const (
	TokenLive    = "live"
	TokenExpired = "expired"
	TokenRevoked = "revoked" // also by a logout
	TokenRotated = "rotated" // a refresh token in whose place another one was issued
)

// SessionState is a session as the fake has it now. It holds no token.
type SessionState struct {
	SessionID      string    `json:"sessionId"`
	Kind           string    `json:"kind"` // "anonymous" or "customer"
	CustomerNumber string    `json:"customerNumber,omitempty"`
	LegalEntityID  string    `json:"legalEntityId,omitempty"`
	Access         string    `json:"access"`  // TokenLive, TokenExpired or TokenRevoked, of the newest access token
	Refresh        string    `json:"refresh"` // the same of the newest refresh token
	AccessExpires  time.Time `json:"accessExpires"`
	RefreshExpires time.Time `json:"refreshExpires"`
}

// Sessions returns what each anonymous login and each customer's login has begun, the
// newest last, as far as its tokens are remembered. A login goes on with the
// visitor's session ID, so the guest and the customer are two entries with one ID.
func (s *Server) Sessions() []SessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, seen := s.now(), map[*family]bool{}
	all := []SessionState{}
	for _, value := range s.tenant.refreshAge.keys {
		token := s.tenant.refresh[value]
		if token == nil || token.family == nil || seen[token.family] {
			continue
		}
		f := token.family
		seen[f] = true
		newest := f.newest
		state := SessionState{
			SessionID: f.session, Kind: string(newest.kind), Refresh: s.tenant.refreshState(newest, now), RefreshExpires: newest.expires,
		}
		if f.customer != nil {
			state.CustomerNumber = f.customer.number
		}
		if access := newest.access; access != nil {
			state.Access, state.AccessExpires, state.LegalEntityID = s.tenant.accessState(access, now), access.expires, access.entity
		}
		all = append(all, state)
	}
	return all
}

func (t *tenant) accessState(token *accessToken, now time.Time) string {
	switch {
	case token.revoked || token.family != nil && token.family.revoked:
		return TokenRevoked
	case !now.Before(token.expires):
		return TokenExpired
	}
	return TokenLive
}

func (t *tenant) refreshState(token *refreshToken, now time.Time) string {
	switch {
	case token.revoked || token.family.revoked || token.family.loggedOut:
		return TokenRevoked
	case !token.rotated.IsZero():
		return TokenRotated
	case !now.Before(token.expires):
		return TokenExpired
	}
	return TokenLive
}

// BearerState says what an access token is, and whose.
type BearerState struct {
	Kind           string    `json:"kind"`  // "anonymous", "customer" or "employee"
	State          string    `json:"state"` // TokenLive, TokenExpired or TokenRevoked
	SessionID      string    `json:"sessionId,omitempty"`
	CustomerNumber string    `json:"customerNumber,omitempty"`
	LegalEntityID  string    `json:"legalEntityId,omitempty"`
	Scopes         []string  `json:"scopes"`
	Expires        time.Time `json:"expires"`
}

// Identify says whose access token bearer is: for a service of your own that the
// fake serves beside the API (see [Server.Handle]). It takes the value of an
// Authorization header too. It reports false for a token that the fake has not
// issued; State tells whether one that it has issued is still good.
func (s *Server) Identify(bearer string) (BearerState, bool) {
	if scheme, value, given := strings.Cut(bearer, " "); given && strings.EqualFold(scheme, "Bearer") {
		bearer = strings.TrimSpace(value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := s.tenant.access[bearer]
	if token == nil {
		return BearerState{}, false
	}
	state := BearerState{
		Kind: string(token.kind), State: s.tenant.accessState(token, s.now()), LegalEntityID: token.entity,
		Scopes: strings.Fields(token.scope), Expires: token.expires,
	}
	if token.family != nil {
		state.SessionID = token.family.session
	}
	if token.customer != nil {
		state.CustomerNumber = token.customer.number
	}
	return state, true
}

package bff

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// Provider is an identity provider for social logins.
type Provider struct {
	// AuthURL is its authorization endpoint: https, or http on loopback.
	AuthURL string
	// ClientID is the shop's ID there.
	ClientID string
	// RedirectURI is where it sends the browser back to. It is never taken from a
	// request.
	RedirectURI string
	// Scopes default to openid, email and profile.
	Scopes []string
	// Configuration is the name of the provider's configuration at Emporix. Where a
	// tenant has several, the state has to begin with it: with a name here, it is
	// "{configuration}--{random}"; see StateConfiguration. Up to 100 letters, digits,
	// dots, underscores and single hyphens inside.
	Configuration string
}

const stateMark = "--"

var configurationName = regexp.MustCompile(`^[A-Za-z0-9._]+(-[A-Za-z0-9._]+)*$`)

const maxConfiguration = 100

// newState returns a state that can't be guessed.
func (p Provider) newState() string {
	if p.Configuration == "" {
		return rand.Text()
	}
	return p.Configuration + stateMark + rand.Text()
}

// StateConfiguration returns the name that a state of a social login begins with,
// "" if it begins with none. It does not tell whether the state is a good one:
// FinishSocialLogin does.
func StateConfiguration(state string) string {
	name, _, found := strings.Cut(state, stateMark)
	if !found || len(name) > maxConfiguration || !configurationName.MatchString(name) {
		return ""
	}
	return name
}

func (p Provider) check() string {
	for name, raw := range map[string]string{"AuthURL": p.AuthURL, "RedirectURI": p.RedirectURI} {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Host)) {
			return name + " must be an https URL (http on loopback only)"
		}
	}
	if p.ClientID == "" {
		return "has no ClientID"
	}
	if p.Configuration != "" && (len(p.Configuration) > maxConfiguration || !configurationName.MatchString(p.Configuration)) {
		return "has a Configuration that a state can't begin with: up to 100 letters, digits, dots, underscores and single hyphens inside"
	}
	return ""
}

// pending is a social login that has begun.
type pending struct {
	State    string `json:"s"` // its hash
	Verifier string `json:"v"`
	Provider string `json:"p"`
	ReturnTo string `json:"r,omitempty"`
	Until    int64  `json:"u"` // unix seconds
}

const (
	pendingLife = 10 * time.Minute
	maxPending  = 3
	maxReturnTo = 512
)

// BeginSocialLogin returns the URL at the identity provider to redirect the
// browser to. State and PKCE are made here and kept with the visitor for ten
// minutes; up to three can be under way, fewer where a cookie has no room for
// them. returnTo is where the browser should go afterwards: a path of this site, ""
// for none. Errors: ErrNoProvider, emporix.ErrInvalidRequest (returnTo), and those
// of Session.
func (v *Visit) BeginSocialLogin(ctx context.Context, provider, returnTo string) (string, error) {
	in := v.inner()
	p, ok := in.b.opts.Providers[provider]
	if !ok {
		return "", ErrNoProvider
	}
	if returnTo != "" && !localPath(returnTo) {
		return "", &emporix.ArgumentError{Field: "returnTo", Reason: "is no path of this site"}
	}
	if in.readOnly {
		return "", ErrReadOnly
	}
	if err := in.hold(ctx); err != nil {
		return "", err
	}
	defer in.release()
	if _, err := in.use(ctx); err != nil {
		return "", err
	}
	who := in.now()
	if in.isTransient() {
		return "", ErrReadOnly
	}
	if who.Superseded {
		return "", errChanged
	}
	state, verifier := p.newState(), randomValue()
	now := time.Now()
	keep := func(others int) (*visitorRecord, error) {
		kept, err := in.b.keep.update(ctx, who, func(r *record) {
			r.Social = slices.DeleteFunc(slices.Clone(r.Social), func(o pending) bool { return o.Until <= now.Unix() })
			r.Social = append(slices.Delete(r.Social, 0, max(len(r.Social)-others, 0)), pending{
				State: digest("state", state), Verifier: verifier, Provider: provider, ReturnTo: returnTo, Until: now.Add(pendingLife).Unix(),
			})
		})
		if err == nil {
			_, _, err = in.b.keep.cookie(kept)
		}
		return kept, err
	}
	kept, err := keep(maxPending - 1)
	if errors.Is(err, ErrCookieTooLarge) {
		kept, err = keep(0)
	}
	if err != nil {
		return "", err
	}
	in.replace(kept)
	if in.b.index == nil && in.late() { // the cookie that holds the state was not written
		return "", ErrTooLate
	}
	scopes := p.Scopes
	if len(scopes) == 0 {
		scopes = []string{"openid", "email", "profile"}
	}
	challenge := sha256.Sum256([]byte(verifier))
	u, err := url.Parse(p.AuthURL)
	if err != nil { // New has checked it
		return "", ErrNoProvider
	}
	query := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": p.ClientID, "redirect_uri": p.RedirectURI, "scope": strings.Join(scopes, " "), "state": state,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		query.Set(name, value)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// FinishSocialLogin logs the visitor in with what the identity provider sent the
// browser back with: the query of the redirect, such as r.URL.Query(). The state
// must be one of this visitor's own, and works once; nothing is asked of the API
// before. It returns where the browser should go. Otherwise it is like Login.
// Errors: ErrState, ErrSocialRefused, and those of Login and of
// emporix.AuthService.SocialLogin.
func (v *Visit) FinishSocialLogin(ctx context.Context, callback url.Values) (login *Login, returnTo string, err error) {
	begun, err := v.inner().take(ctx, callback)
	if err != nil {
		return nil, "", err
	}
	code := callback["code"]
	if strings.Join(callback["error"], "") != "" || len(code) != 1 || code[0] == "" || len(code[0]) > 4096 {
		return nil, begun.ReturnTo, ErrSocialRefused
	}
	redirect := v.inner().b.opts.Providers[begun.Provider].RedirectURI
	login, err = v.login(ctx, func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
		result, err := s.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: code[0], RedirectURI: redirect, CodeVerifier: begun.Verifier})
		if err != nil {
			return emporix.LoginResult{}, err
		}
		return result.LoginResult, nil
	})
	return login, begun.ReturnTo, err
}

// take finds the login that a state belongs to, and uses it up.
func (v *requestState) take(ctx context.Context, callback url.Values) (pending, error) {
	state := callback["state"]
	if len(state) != 1 || state[0] == "" {
		return pending{}, ErrState
	}
	switch {
	case v.readOnly:
		return pending{}, ErrReadOnly
	case v.late():
		return pending{}, ErrTooLate
	}
	if err := v.hold(ctx); err != nil {
		return pending{}, err
	}
	defer v.release()
	who, err := v.known(ctx)
	if err != nil {
		return pending{}, err
	}
	if who == nil || who.Superseded {
		return pending{}, ErrState
	}
	hash, now := digest("state", state[0]), time.Now().Unix()
	var found pending
	mine := func(o pending) bool { return subtle.ConstantTimeCompare([]byte(o.State), []byte(hash)) == 1 }
	kept, err := v.b.keep.update(ctx, who, func(r *record) {
		found = pending{}
		if at := slices.IndexFunc(r.Social, mine); at >= 0 {
			found = r.Social[at]
			r.Social = slices.DeleteFunc(slices.Clone(r.Social), mine) // also where a lost response made it two
		}
	})
	if err == nil {
		v.replace(kept)
	}
	provider, configured := v.b.opts.Providers[found.Provider]
	switch {
	case err != nil:
		return pending{}, err
	case found.State == "" || found.Until <= now:
		return pending{}, ErrState
	case !configured:
		return pending{}, fmt.Errorf("%w: %w", ErrState, ErrNoProvider)
	case StateConfiguration(state[0]) != provider.Configuration: // begun before the options changed
		return pending{}, fmt.Errorf("%w: it was begun with another configuration of the provider", ErrState)
	}
	return found, nil
}

// localPath accepts what a browser can only take for a path of this site.
func localPath(path string) bool {
	_, err := url.Parse(path) // does not look for control characters in a fragment
	return err == nil && len(path) <= maxReturnTo && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.Contains(path, "\\") &&
		!strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

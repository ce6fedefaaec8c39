package wire

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// Token is any of the token answers: anonymous, customer, refresh, social
// login, exchange, opt-in, client credentials. What an answer omits is zero.
type Token struct {
	Access  secret.Secret
	Refresh secret.Secret
	SaaS    secret.Secret
	// SocialAccess and SocialID are the identity provider's own tokens, and
	// Subject the token that was exchanged.
	SocialAccess secret.Secret
	SocialID     secret.Secret
	Subject      secret.Secret

	Type             string
	ExpiresIn        Lifetime
	RefreshExpiresIn Lifetime
	SessionID        string
	SessionIdle      Lifetime
	// InitialPassword says that an employee chose the customer's password.
	InitialPassword bool
}

// Lifetime is a duration that the server may have left out. A missing lifetime
// is not a lifetime of zero.
type Lifetime struct {
	Duration time.Duration
	Known    bool
}

const (
	maxTokenLen     = 16 << 10
	maxSessionIDLen = 256
	maxLifetime     = 365 * 24 * time.Hour
)

// DecodeToken reads a token answer. It accepts the deprecated camelCase names
// where the snake_case ones are missing, and numbers as strings. It refuses
// everything that cannot be a usable token, so that a caller keeps the token
// that it has.
func DecodeToken(body []byte) (Token, error) {
	members, err := readObject(body,
		"access_token", "accessToken", "refresh_token", "refreshToken", "saas_token", "saasToken",
		"social_access_token", "social_id_token", "subject_access_token",
		"token_type", "expires_in", "expiresIn", "refresh_token_expires_in", "refreshTokenExpiresIn",
		"session_id", "sessionId", "session_idle_time", "initialPassword", "fault", "error")
	if err != nil {
		return Token{}, err
	}
	if members.has("fault") || members.has("error") {
		return Token{}, errors.New("the answer holds an error in place of a token")
	}
	d := tokenDecoder{members: members}
	t := Token{
		Access:           d.token("access_token", "accessToken"),
		Refresh:          d.token("refresh_token", "refreshToken"),
		SaaS:             d.token("saas_token", "saasToken"),
		SocialAccess:     d.foreign("social_access_token"),
		SocialID:         d.foreign("social_id_token"),
		Subject:          d.foreign("subject_access_token"),
		Type:             d.tokenType(),
		ExpiresIn:        d.lifetime("expires_in", "expiresIn"),
		RefreshExpiresIn: d.refreshLifetime(),
		SessionID:        d.sessionID(),
		SessionIdle:      d.idle(),
		InitialPassword:  d.flag("initialPassword"),
	}
	if d.err == nil && t.Access.IsZero() {
		d.err = errors.New("the answer holds no access token")
	}
	if d.err != nil {
		return Token{}, d.err
	}
	return t, nil
}

// tokenDecoder keeps the first error, so that the fields above read as a list.
type tokenDecoder struct {
	members object
	err     error
}

func (d *tokenDecoder) fail(name, reason string) {
	if d.err == nil {
		d.err = errors.New(name + " in the answer " + reason)
	}
}

// twins decodes a member by its current name, or by its deprecated one. If both
// are there they must say the same.
func twins[T comparable](d *tokenDecoder, current, deprecated string, decode func(name string) T) T {
	switch {
	case !d.members.has(current):
		return decode(deprecated)
	case !d.members.has(deprecated):
		return decode(current)
	}
	value := decode(current)
	if decode(deprecated) != value && d.err == nil {
		d.err = errConflict
	}
	return value
}

func (d *tokenDecoder) token(current, deprecated string) secret.Secret {
	return secret.New(twins(d, current, deprecated, func(name string) string {
		return d.text(name, isB64Token, "is not a bearer token")
	}))
}

// foreign decodes a token of an identity provider, who may use any printable
// character. It never becomes a bearer here.
func (d *tokenDecoder) foreign(name string) secret.Secret {
	return secret.New(d.text(name, isVisible, "is not printable"))
}

// text returns a string member that passes the check, or "" if it is absent,
// null or empty.
func (d *tokenDecoder) text(name string, valid func(string) bool, reason string) string {
	if !d.members.has(name) {
		return ""
	}
	s, ok := stringOf(d.members[name])
	switch {
	case !ok:
		d.fail(name, "is not a string")
	case s != "" && !valid(s):
		d.fail(name, reason)
	default:
		return s
	}
	return ""
}

func (d *tokenDecoder) tokenType() string {
	isBearer := func(s string) bool { return strings.EqualFold(s, "bearer") }
	return d.text("token_type", isBearer, "is not bearer")
}

func (d *tokenDecoder) sessionID() string {
	usable := func(s string) bool {
		return len(s) <= maxSessionIDLen && !hasControl(s) && strings.TrimSpace(s) == s
	}
	return twins(d, "session_id", "sessionId", func(name string) string {
		return d.text(name, usable, "is too long or unprintable")
	})
}

func (d *tokenDecoder) lifetime(current, deprecated string) Lifetime {
	return twins(d, current, deprecated, func(name string) Lifetime {
		if !d.members.has(name) {
			return Lifetime{}
		}
		life, ok := lifetimeOf(d.members[name])
		if !ok {
			d.fail(name, "is not a positive number of seconds")
		}
		return life
	})
}

// refreshLifetime forgives a zero where there is no refresh token: that is how
// the server says that there is none.
func (d *tokenDecoder) refreshLifetime() Lifetime {
	const current, deprecated = "refresh_token_expires_in", "refreshTokenExpiresIn"
	if d.members.text("refresh_token") == "" && d.members.text("refreshToken") == "" {
		for _, name := range []string{current, deprecated} {
			if n, ok := numberOf(d.members[name]); ok {
				if f, err := strconv.ParseFloat(n, 64); err == nil && f == 0 {
					delete(d.members, name)
				}
			}
		}
	}
	return d.lifetime(current, deprecated)
}

// idle is only told to the user, so an odd value loses no session.
func (d *tokenDecoder) idle() Lifetime {
	life, _ := lifetimeOf(d.members["session_idle_time"])
	return life
}

// flag accepts true, "true", 1 and "1"; all else is false.
func (d *tokenDecoder) flag(name string) bool {
	text := string(d.members[name])
	if s, ok := stringOf(d.members[name]); ok {
		text = strings.TrimSpace(s)
	}
	return strings.EqualFold(text, "true") || text == "1"
}

// lifetimeOf reads seconds, and saturates where a huge number would overflow.
func lifetimeOf(raw json.RawMessage) (Lifetime, bool) {
	text, ok := numberOf(raw)
	if !ok {
		return Lifetime{}, false
	}
	// Beyond the range of a float, ParseFloat returns an infinity, which is huge
	// or negative like any other.
	seconds, _ := strconv.ParseFloat(text, 64)
	if seconds >= maxLifetime.Seconds() {
		return Lifetime{Duration: maxLifetime, Known: true}, true
	}
	whole, fraction := math.Modf(seconds)
	if whole < 0 || fraction < 0 {
		return Lifetime{}, false
	}
	life := time.Duration(whole)*time.Second + time.Duration(fraction*float64(time.Second))
	if life <= 0 {
		return Lifetime{}, false
	}
	return Lifetime{Duration: life, Known: true}, true
}

// isB64Token reports whether s may follow "Bearer " (RFC 6750, section 2.1).
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" || len(s) > maxTokenLen {
		return false
	}
	for i := range len(body) {
		c := body[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-._~+/", rune(c)) {
			return false
		}
	}
	return true
}

// isVisible reports whether s is ASCII without spaces and control characters.
func isVisible(s string) bool {
	if len(s) > maxTokenLen {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

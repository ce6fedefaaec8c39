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

// Token is any of the token responses: anonymous, customer, refresh, social
// login, exchange, opt-in, client credentials. What a response omits is zero.
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
	// Scopes are what the token may be used for, without the tenant: nil where the
	// answer does not say, empty where it grants none.
	Scopes []string
	// Odd says what about the response was not as documented, for a log. It holds
	// names and no values.
	Odd []string
}

// Lifetime is a duration that the server may have left out. A missing lifetime
// is not a lifetime of zero.
type Lifetime struct {
	Duration time.Duration
	Known    bool
}

const (
	maxTokenLen = 16 << 10
	maxLifetime = 365 * 24 * time.Hour
)

// DecodeToken reads a customer's or an employee's token response. It accepts the deprecated camelCase names
// where the snake_case ones are missing or unreadable, and numbers as strings.
// What it can't read is absent and noted in Odd, but for what a session can't do
// without: it refuses a response without a usable access token, one that says it
// is an error, and tokens that no request can carry, so that a caller keeps the
// token that it has.
func DecodeToken(body []byte) (Token, error) { return decodeToken(body, "session_id", "sessionId") }

// DecodeAnonymousToken is DecodeToken for a guest's, whose session ID has
// another name.
func DecodeAnonymousToken(body []byte) (Token, error) {
	return decodeToken(body, "sessionId", "session_id")
}

func decodeToken(body []byte, sessionID, otherSessionID string) (Token, error) {
	members, differ, err := readMembers(body, []string{
		"access_token", "accessToken", "refresh_token", "refreshToken", "saas_token", "saasToken",
		"social_access_token", "social_id_token", "subject_access_token",
		"token_type", "expires_in", "expiresIn", "refresh_token_expires_in", "refreshTokenExpiresIn",
		"session_id", "sessionId", "session_idle_time", "initialPassword", "scope", "fault", "error",
	})
	if err != nil {
		return Token{}, err
	}
	if says(members.orNull("fault")) || says(members.orNull("error")) {
		return Token{}, errors.New("the response holds an error in place of a token")
	}
	d := tokenDecoder{members: members}
	t := Token{
		Access:           d.token(unusableBearer, "access_token", "accessToken"),
		Refresh:          d.token(uncarried, "refresh_token", "refreshToken"),
		SaaS:             d.saas(),
		SocialAccess:     d.foreign("social_access_token"),
		SocialID:         d.foreign("social_id_token"),
		Subject:          d.foreign("subject_access_token"),
		Type:             d.tokenType(),
		ExpiresIn:        d.lifetime(),
		RefreshExpiresIn: d.refreshLifetime(),
		SessionID:        d.sessionID(sessionID, otherSessionID),
		SessionIdle:      d.idle(),
	}
	t.InitialPassword, _ = boolOf(members.orNull("initialPassword"))
	t.Scopes = scopesOf(members.get("scope"))
	if d.err == nil && t.Access.IsZero() {
		d.err = errors.New("the response holds no access token")
	}
	if d.err != nil {
		return Token{}, d.err
	}
	for _, name := range differ {
		d.note(name + " came twice and differently; the last one is used")
	}
	t.Odd = d.odd
	return t, nil
}

// orNull returns a member, or null if it is absent.
func (o object) orNull(name string) json.RawMessage {
	if value := o.get(name); value != nil {
		return value
	}
	return json.RawMessage("null")
}

// tokenDecoder keeps the first error, so that the fields above read as a list.
type tokenDecoder struct {
	members object
	odd     []string
	err     error
}

func (d *tokenDecoder) fail(name, reason string) {
	if d.err == nil {
		d.err = errors.New(name + " in the response " + reason)
	}
}

func (d *tokenDecoder) note(text string) { d.odd = append(d.odd, text) }

// twins decodes a member by its documented name, and by its deprecated one if
// that gives nothing. If they contradict each other the documented one counts.
func twins[T comparable](d *tokenDecoder, documented, deprecated string, decode func(name string) T) T {
	var none T
	before := d.err
	value := decode(documented)
	failed, odd := d.err, d.odd
	d.err = before
	other := decode(deprecated)
	switch {
	case value == none && other == none && failed != nil:
		d.err = failed
	case value == none:
		return other
	case other != none && other != value:
		d.err, d.odd = before, odd
		d.note(documented + " and " + deprecated + " differ; " + documented + " is used")
	default:
		d.err, d.odd = before, odd
	}
	return value
}

func (d *tokenDecoder) token(refuse func(string) string, documented, deprecated string) secret.Secret {
	return secret.New(twins(d, documented, deprecated, func(name string) string {
		text := d.text(name)
		if reason := refuse(text); text != "" && reason != "" {
			d.fail(name, reason)
			return ""
		}
		return text
	}))
}

// foreign decodes a token of an identity provider. It never becomes a bearer
// here, so one that nothing could carry is absent.
func (d *tokenDecoder) foreign(name string) secret.Secret {
	text := d.text(name)
	if reason := uncarried(text); reason != "" {
		d.note(name + " " + reason)
		return secret.Secret{}
	}
	return secret.New(text)
}

// saas decodes the token for the checkout. A session can do without it.
func (d *tokenDecoder) saas() secret.Secret {
	return secret.New(twins(d, "saas_token", "saasToken", func(name string) string { return d.foreign(name).Reveal() }))
}

// text returns a string member, or "" if it is absent, null, blank or no string.
func (d *tokenDecoder) text(name string) string {
	value := d.members.get(name)
	if value == nil {
		return ""
	}
	text, ok := stringOf(value)
	if !ok {
		d.note(name + " is not a string")
	}
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return text
}

// tokenType takes every spelling of bearer, such as "BearerToken". Another type
// needs another kind of request.
func (d *tokenDecoder) tokenType() string {
	text := d.text("token_type")
	letters := strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(text))
	if letters != "" && letters != "bearer" && letters != "bearertoken" {
		d.fail("token_type", "is not bearer")
	}
	return text
}

// sessionID leaves out what no header can carry: a login without a session ID
// keeps the one that the visitor has.
func (d *tokenDecoder) sessionID(documented, other string) string {
	return twins(d, documented, other, func(name string) string {
		value := d.members.get(name)
		if value == nil || string(value) == `""` {
			return ""
		}
		id, ok := idOf(value)
		if !ok || len(id) > maxIDLen || hasControl(id) || strings.TrimSpace(id) != id {
			d.note(name + " is no usable ID")
			return ""
		}
		return id
	})
}

// lifetime refuses a token that is over already, and one whose lifetime can't be
// read: a session would be renewed too late.
func (d *tokenDecoder) lifetime() Lifetime {
	return twins(d, "expires_in", "expiresIn", func(name string) Lifetime {
		life, _ := lifetimeOf(d.members.get(name))
		if !life.Known && d.members.has(name) {
			d.fail(name, "is not a positive number of seconds")
		}
		return life
	})
}

// refreshLifetime takes everything but a positive number for unknown: servers
// say 0 where there is no refresh token, or where it never ends.
func (d *tokenDecoder) refreshLifetime() Lifetime {
	return twins(d, "refresh_token_expires_in", "refreshTokenExpiresIn", func(name string) Lifetime {
		life, isNumber := lifetimeOf(d.members.get(name))
		if !isNumber && d.members.has(name) {
			d.note(name + " is not a number of seconds")
		}
		return life
	})
}

// idle is only told to the user, so an odd value loses no session.
func (d *tokenDecoder) idle() Lifetime {
	life, _ := lifetimeOf(d.members.get("session_idle_time"))
	return life
}

// scopesOf reads scopes that are separated by spaces, or a list of them, whose
// elements of other types are passed over. The tenant stands among them and is none.
// All else is nil.
func scopesOf(raw json.RawMessage) []string {
	list := []json.RawMessage{raw}
	if strings.HasPrefix(string(raw), "[") {
		list = nil                     // or the first element would be written over raw
		_ = json.Unmarshal(raw, &list) // it is valid
	}
	scopes, readable := []string{}, len(list) == 0
	for _, element := range list {
		part, isText := stringOf(element)
		readable = readable || isText
		for scope := range strings.FieldsSeq(part) {
			if !strings.HasPrefix(scope, "tenant=") {
				scopes = append(scopes, scope)
			}
		}
	}
	if !readable {
		return nil
	}
	return scopes
}

// Scopes is a JSON string of scopes, or a list of them.
type Scopes []string

// UnmarshalJSON never fails: what it can't read changes nothing.
func (s *Scopes) UnmarshalJSON(data []byte) error {
	if scopes := scopesOf(data); scopes != nil {
		*s = scopes
	}
	return nil
}

// UnmarshalJSON never fails: what it can't read changes nothing.
func (l *Lifetime) UnmarshalJSON(data []byte) error {
	if life, ok := lifetimeOf(data); ok {
		*l = life
	}
	return nil
}

// lifetimeOf reads seconds, and saturates where a huge number would overflow. A
// number that is not positive is no known lifetime.
func lifetimeOf(raw json.RawMessage) (life Lifetime, isNumber bool) {
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
		return Lifetime{}, true
	}
	duration := time.Duration(whole)*time.Second + time.Duration(fraction*float64(time.Second))
	return Lifetime{Duration: duration, Known: duration > 0}, true
}

// uncarried says why no URL and no header can carry a token, or "". RFC 6749
// (appendix A) allows every printable ASCII character and the space.
func uncarried(s string) (reason string) {
	switch {
	case len(s) > maxTokenLen:
		return "is too long"
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }):
		return "holds a character that no token may have"
	}
	return ""
}

// unusableBearer is uncarried for what follows "Bearer " in a header. A space
// there would end the token.
func unusableBearer(s string) (reason string) {
	if reason := uncarried(s); reason != "" || !strings.Contains(s, " ") {
		return reason
	}
	return "holds a space, which an Authorization header can't carry"
}

package transport

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-querystring/query"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/secret"
)

// Placeholder stands where a secret goes until the request reaches the wire.
const Placeholder = "REDACTED"

// Limits of the API, and of what an identifier can sensibly be.
const (
	maxSegment = 256
	maxSecret  = 16 << 10
	maxURL     = 10 << 10
)

// sessionHeader carries the ID of the visitor's session to the operations whose table
// row says so.
const sessionHeader = "Session-Id"

// route is an operation's path, cut at its placeholders.
type route struct {
	parts       []string // parts[0] value parts[1] value …
	names       []string
	secretPath  bool
	secretQuery bool
}

func (p *Pipeline) route(op *operation.Operation) route {
	rest := strings.Replace(op.Path, "{tenant}", p.cfg.Tenant, 1)
	var r route
	for {
		before, after, found := strings.Cut(rest, "{")
		r.parts = append(r.parts, before)
		if !found {
			break
		}
		var name string
		name, rest, _ = strings.Cut(after, "}")
		r.names = append(r.names, name)
		r.secretPath = r.secretPath || isSecret(op, "path:", name)
	}
	r.parts[0] = p.cfg.BaseURL.EscapedPath() + r.parts[0]
	for _, s := range op.Secrets {
		r.secretQuery = r.secretQuery || strings.HasPrefix(s, "query:")
	}
	return r
}

func isSecret(op *operation.Operation, place, name string) bool {
	return slices.ContainsFunc(op.Secrets, func(s string) bool {
		return len(s) == len(place)+len(name) && strings.HasPrefix(s, place) && strings.HasSuffix(s, name)
	})
}

// Call is one use of an operation.
type Call struct {
	Op          *operation.Operation
	Path        []string // values of the placeholders after {tenant}, in order
	Query       any      // a struct for go-querystring, or nil
	Body        []byte
	ContentType string
	Hidden      []secret.Secret // values in the body that a server's message must not echo
}

// Prepared is a call that has been checked and encoded. It can be sent more than once.
type Prepared struct {
	Op        *operation.Operation
	Attempts  int  // how many requests an earlier use of the same call sent
	MaybeDone bool // one of them may have been processed

	encoded
	contentType string
	secrets     []secret.Secret // in the path and the query
	bodySecrets []secret.Secret
}

// After is the call when it is sent again after a failure.
func (c Prepared) After(f *failure.Failure) Prepared {
	c.Attempts, c.MaybeDone = f.Attempts, f.Effect() != failure.EffectNone
	return c
}

type encoded struct {
	shownPath, shownQuery string // as the outer layers see them
	path, query           string // as the server gets them
	body                  []byte
}

// Prepare checks and encodes a call. Its error is a *failure.Failure.
func (p *Pipeline) Prepare(call Call) (Prepared, error) {
	prepared, err := p.prepare(call)
	if err != nil {
		return Prepared{}, invalidCall(call.Op, err)
	}
	return prepared, nil
}

// invalidCall names the operation that an argument is for.
func invalidCall(op *operation.Operation, err error) error {
	f := failure.Of(err)
	f.Op = op
	return f.Judged()
}

func (p *Pipeline) prepare(call Call) (Prepared, error) {
	r := p.routes[call.Op]
	shown, real, err := r.fill(call.Op, call.Path)
	if err != nil {
		return Prepared{}, err
	}
	c := Prepared{Op: call.Op, encoded: encoded{shownPath: shown, path: real, body: call.Body}, contentType: call.ContentType, bodySecrets: call.Hidden}
	if r.secretPath {
		for _, v := range call.Path {
			c.secrets = append(c.secrets, secret.New(v))
		}
	}
	if call.Query != nil {
		if err := c.encodeQuery(call.Query, r.secretQuery); err != nil {
			return Prepared{}, err
		}
	}
	base := p.cfg.BaseURL
	length := len(base.Scheme) + len("://") + len(base.Host) + len(real) + len("?") + len(c.query)
	if length > maxURL {
		return Prepared{}, invalid("URL", fmt.Sprintf("would have %d bytes; the API takes at most %d", length, maxURL))
	}
	return c, nil
}

// request builds the request that the outer layers see: placeholders where
// secrets go, no Authorization, no body.
func (p *Pipeline) request(x *exchange, c Prepared, sessionID string) (*http.Request, error) {
	base := p.cfg.BaseURL
	req, err := http.NewRequestWithContext(x, c.Op.Method, "/", http.NoBody)
	if err != nil {
		return nil, &failure.Failure{Err: err}
	}
	req.Body = nil // and the constant headers come with bind
	*req.URL = url.URL{Scheme: base.Scheme, Host: base.Host, RawQuery: c.shownQuery}
	setPath(req.URL, c.shownPath)
	req.Host = base.Host
	if c.contentType != "" {
		req.Header["Content-Type"] = []string{c.contentType}
	}
	if sessionID != "" {
		if err := checkValue(sessionHeader, sessionID, maxSegment); err != nil {
			return nil, err
		}
		req.Header.Set(sessionHeader, Placeholder)
	}
	return req, nil
}

func setPath(u *url.URL, escaped string) {
	u.Path, u.RawPath = escaped, escaped // also where net/url would escape more, such as "!"
	if strings.IndexByte(escaped, '%') >= 0 {
		u.Path, _ = url.PathUnescape(escaped)
	}
}

// fill puts values into the path, each as exactly one segment.
func (r route) fill(op *operation.Operation, values []string) (shown, real string, err error) {
	if len(values) != len(r.names) {
		return "", "", &failure.Failure{Err: fmt.Errorf("%s takes %d path values, not %d", op.Name, len(r.names), len(values))}
	}
	if len(values) == 0 {
		return r.parts[0], r.parts[0], nil
	}
	shown, real = r.parts[0], r.parts[0]
	for i, value := range values {
		name, limit, hidden := r.names[i], maxSegment, isSecret(op, "path:", r.names[i])
		if hidden {
			limit = maxSecret / 4
		}
		if err := CheckIdentifier(name, value, limit); err != nil {
			return "", "", err
		}
		escaped := url.PathEscape(value)
		real += escaped + r.parts[i+1]
		if hidden {
			escaped = Placeholder
		}
		shown += escaped + r.parts[i+1]
	}
	return shown, real, nil
}

// CheckIdentifier refuses what would not stay one segment of a path, which no
// identifier or token of the API can be. The value is not repeated in the
// error: it may be a secret, or a megabyte.
func CheckIdentifier(name, value string, limit int) error {
	switch strings.TrimSpace(value) { // a server may trim, too
	case "":
		return invalid(name, "is empty")
	case ".", "..":
		return invalid(name, "is a relative path; give the identifier that the API returned")
	}
	if err := checkValue(name, value, limit); err != nil {
		return err
	}
	if at := strings.IndexFunc(value, isInvisible); at >= 0 {
		r, _ := utf8.DecodeRuneInString(value[at:])
		return invalid(name, fmt.Sprintf("holds the invisible character %U, perhaps from copying; remove it", r))
	}
	return nil
}

func checkValue(name, value string, limit int) error {
	switch {
	case value == "":
		return invalid(name, "is empty")
	case len(value) > limit:
		return invalid(name, fmt.Sprintf("has %d bytes; at most %d are allowed", len(value), limit))
	case !utf8.ValidString(value):
		return invalid(name, "is not valid UTF-8")
	case strings.ContainsFunc(value, isControl):
		return invalid(name, "holds a control character")
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

// isInvisible reports marks of direction, joiners, byte order marks and the like:
// two identifiers that differ by one look the same, or run backwards.
func isInvisible(r rune) bool {
	return r > unicode.MaxASCII && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

func invalid(field, reason string) *failure.Failure {
	return &failure.Failure{Field: field, Err: errors.New(reason)}
}

// encodeQuery encodes the query twice: as it is, and as the outer layers see it.
func (c *Prepared) encodeQuery(q any, hasSecret bool) error {
	values, err := query.Values(q)
	if err != nil {
		return &failure.Failure{Err: fmt.Errorf("the query does not encode: %T", q)}
	}
	for name, list := range values {
		for _, v := range list {
			if v == "" {
				continue
			}
			if err := checkValue(name, v, maxSecret); err != nil {
				return err
			}
		}
	}
	c.query = values.Encode()
	c.shownQuery = c.query
	if !hasSecret {
		return nil
	}
	for name, list := range values {
		if !isSecret(c.Op, "query:", name) {
			continue
		}
		for _, v := range list {
			if v != "" {
				c.secrets = append(c.secrets, secret.New(v))
			}
		}
		values.Set(name, Placeholder)
	}
	c.shownQuery = values.Encode()
	return nil
}

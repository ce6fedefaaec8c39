package transport

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-querystring/query"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// Placeholder stands where a secret goes until the request reaches the wire.
const Placeholder = "REDACTED"

// Limits of the API, and of what an identifier can sensibly be.
const (
	maxSegment = 256
	maxSecret  = 16 << 10
	maxURL     = 10 << 10
)

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

// binding is what replaces the placeholders on the wire.
type binding struct {
	shownPath, shownQuery string // as the outer layers see them
	path, query           string // as the server gets them
	headerName, header    string
	body                  []byte
}

// encode builds the request that the outer layers see: placeholders where
// secrets go, no Authorization, no body.
func (p *Pipeline) encode(x *exchange, own *hidden, call Call) (*http.Request, error) {
	r := p.routes[call.Op]
	shown, real, err := r.fill(call.Op, call.Path)
	if err != nil {
		return nil, err
	}
	own.binding = binding{shownPath: shown, path: real, body: call.Body}
	if r.secretPath {
		for _, v := range call.Path {
			x.scrub.addText(v)
		}
	}
	if call.Query != nil {
		if err := x.bindQuery(own, call.Op, call.Query); err != nil {
			return nil, err
		}
	}
	length := len(p.cfg.BaseURL.Scheme) + len("://") + len(p.cfg.BaseURL.Host) + len(real) + len("?") + len(own.query)
	if length > maxURL {
		return nil, &Failure{Kind: Invalid, Field: "URL", Err: fmt.Errorf("the request's URL would have %d bytes; the API takes at most %d", length, maxURL)}
	}
	req, err := http.NewRequestWithContext(x, call.Op.Method, "/", http.NoBody)
	if err != nil {
		return nil, &Failure{Kind: Invalid, Err: err}
	}
	req.Body = nil // and the constant headers come with the binding
	*req.URL = url.URL{Scheme: p.cfg.BaseURL.Scheme, Host: p.cfg.BaseURL.Host, RawQuery: own.shownQuery}
	setPath(req.URL, shown)
	req.Host = p.cfg.BaseURL.Host
	if call.ContentType != "" {
		req.Header["Content-Type"] = []string{call.ContentType}
	}
	if name, value := call.Header[0], call.Header[1]; value != "" {
		if err := checkValue(name, value, maxSegment); err != nil {
			return nil, err
		}
		if isSecret(call.Op, "header:", strings.ToLower(name)) {
			own.headerName, own.header = http.CanonicalHeaderKey(name), value
			x.scrub.addText(value)
			value = Placeholder
		}
		req.Header.Set(name, value)
	}
	return req, nil
}

// Check refuses what Send would refuse, before anything is done to get a bearer.
func (p *Pipeline) Check(call Call) error {
	if len(call.Path) == 0 && call.Query == nil {
		return nil
	}
	_, err := p.encode(&exchange{Context: context.Background(), op: call.Op}, &hidden{pipeline: p}, call)
	return err
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
		return "", "", &Failure{Kind: Invalid, Err: fmt.Errorf("%s takes %d path values, not %d", op.Name, len(r.names), len(values))}
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

func invalid(field, reason string) *Failure {
	return &Failure{Kind: Invalid, Field: field, Err: fmt.Errorf("%s %s", field, reason)}
}

// bindQuery encodes the query twice: as it is, and as the outer layers see it.
func (x *exchange) bindQuery(own *hidden, op *operation.Operation, q any) error {
	values, err := query.Values(q)
	if err != nil {
		return &Failure{Kind: Invalid, Err: fmt.Errorf("the query does not encode: %T", q)}
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
	own.query = values.Encode()
	own.shownQuery = own.query
	if !own.pipeline.routes[op].secretQuery {
		return nil
	}
	for name, list := range values {
		if !isSecret(op, "query:", name) {
			continue
		}
		for _, v := range list {
			x.scrub.addText(v)
		}
		values.Set(name, Placeholder)
	}
	own.shownQuery = values.Encode()
	return nil
}

package emporixfake

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// call is one request on its way through the tenant.
type call struct {
	op     *operation
	vars   map[string]string
	header http.Header
	query  url.Values
	raw    []byte
	now    time.Time

	queryBroken, tooLarge, urlTooLong bool
	cutShort                          bool // the body broke off; what arrived may look whole
	hasBody                           bool // where none is declared

	token      *accessToken // of the bearer, when it is good
	bearerKind string       // for the journal
	body       object
	mergePatch bool
}

// text is a string member of the body, empty if it is absent.
func (c *call) text(name string) string { return textIn(c.body, name) }

func textIn(o object, name string) string {
	s, _ := o[name].(string)
	return s
}

func invalidTenant() answer {
	return badRequest("The tenant information provided with the request is not valid.")
}

// serve checks a request in the order in which the gateway and the service
// would, and then does what it asks for.
func (t *tenant) serve(c *call) answer {
	if c.urlTooLong {
		return badRequest("The URL is too long.")
	}
	if name, inPath := c.vars["tenant"]; inPath && name != t.cfg.Tenant {
		return invalidTenant()
	}
	if given := c.header.Values("Emporix-Tenant"); len(given) > 0 && !slices.Equal(given, []string{t.cfg.Tenant}) && t.cfg.Assumptions.ForeignTenantHeaderIsRefused {
		return invalidTenant()
	}
	if refusal := t.authorize(c); refusal != nil {
		return *refusal
	}
	if _, given := bearerValue(c.header); given && c.op.takesNoBearer() && t.cfg.Assumptions.UndeclaredBearerIsRefused {
		return badField("Authorization", "invalid_value", "is not a header of this operation")
	}
	if details := c.checkQuery(t.cfg.Assumptions.UndeclaredQueryIsRefused); details != nil {
		return badRequest("The request is not valid.", firstOf(details)...)
	}
	if c.hasBody && t.cfg.Assumptions.UndeclaredBodyIsRefused {
		return badField("", "invalid_value", "This operation takes no request body.")
	}
	if c.op.body != nil {
		if refusal := c.readBody(t.cfg.Assumptions.UndeclaredMembersAreRefused); refusal != nil {
			return *refusal
		}
	}
	return c.op.handle(t, c)
}

// checkQuery lists what is wrong with the query; strict is about parameters that
// the operation does not declare.
func (c *call) checkQuery(strict bool) []errorDetail {
	var details []errorDetail
	if c.queryBroken {
		details = append(details, errorDetail{Type: "invalid_query", Message: "The query is not encoded as it must be."})
	}
	for _, name := range slices.Concat(c.op.query, c.op.tolerated) {
		required := !strings.HasSuffix(name, "?")
		name = strings.TrimSuffix(name, "?")
		values := c.query[name]
		switch {
		case len(values) > 1:
			details = append(details, errorDetail{name, "invalid_query", "must be given once"})
		case required && c.query.Get(name) == "" && c.query.Get(c.op.instead[name]) == "":
			details = append(details, errorDetail{name, "missing_value", "is required"})
		}
	}
	if strict && !c.op.form {
		for _, name := range slices.Sorted(maps.Keys(c.query)) {
			if !c.op.declares(name) {
				details = append(details, errorDetail{cutTo(name, 64), "invalid_query", "is not a parameter of this operation"})
			}
		}
	}
	return details
}

// firstOf keeps an error answer short.
func firstOf(details []errorDetail) []errorDetail { return details[:min(len(details), 50)] }

// readBody decodes and checks the body; strict is about members that the
// operation does not declare.
func (c *call) readBody(strict bool) *answer {
	refuse := func(a answer) *answer { return &a }
	if c.tooLarge {
		return refuse(badRequest("The request body is too large."))
	}
	if c.cutShort {
		return refuse(badField("", "invalid_json", "The request body broke off."))
	}
	if refusal := c.headerOnce("Content-Type"); refusal != nil {
		return refusal
	}
	mediaType, params, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	c.mergePatch = err == nil && mediaType == "application/merge-patch+json" && c.op.mergePatch
	if err != nil || mediaType != "application/json" && !c.mergePatch {
		return refuse(badField("Content-Type", "unsupported_media_type", "is not one that this operation takes"))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuse(badField("Content-Type", "unsupported_media_type", "must have the charset UTF-8"))
	}
	foreign := func(encoding string) bool { return encoding != "" && !strings.EqualFold(encoding, "identity") }
	if slices.ContainsFunc(c.header.Values("Content-Encoding"), foreign) {
		return refuse(badField("Content-Encoding", "unsupported_encoding", "is not supported"))
	}
	if len(bytes.TrimSpace(c.raw)) == 0 {
		return refuse(badField("", "missing_value", "A request body is required."))
	}
	if !utf8.Valid(c.raw) {
		return refuse(badField("", "invalid_json", "The request body is not UTF-8."))
	}
	decoder := json.NewDecoder(bytes.NewReader(c.raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return refuse(badField("", "invalid_json", "The request body is not JSON."))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return refuse(badField("", "invalid_json", "There is something after the JSON value of the request body."))
	}
	body, isObject := value.(object)
	if !isObject {
		return refuse(badField("", "invalid_type", "The request body must be an object."))
	}
	details := c.op.body.check("", body, c.mergePatch)
	if strict {
		details = append(details, c.op.body.undeclared("", body)...)
	}
	if details != nil {
		return refuse(badRequest("The request is not valid.", firstOf(details)...))
	}
	c.body = c.op.body.pick(body)
	return nil
}

// headerOnce refuses a header that is given twice, or without a value.
func (c *call) headerOnce(name string) *answer {
	var refusal answer
	switch given := c.header.Values(name); {
	case len(given) > 1:
		refusal = badField(name, "invalid_value", "must be given once")
	case len(given) == 1 && strings.TrimSpace(given[0]) == "":
		refusal = badField(name, "missing_value", "is empty")
	default:
		return nil
	}
	return &refusal
}

// secretQuery and secretMembers are the inputs that Secrets has to know.
var (
	secretQuery   = []string{"refresh_token", "anonymous_token", "refreshToken", "accessToken", "subjectAccessToken", "code", "code_verifier"}
	secretMembers = []string{"password", "currentPassword", "newPassword", "token"}
)

// noteSecrets writes down the secrets that a request gives, whatever becomes of
// it.
func (t *tenant) noteSecrets(c *call) {
	for _, name := range secretQuery {
		for _, value := range c.query[name] {
			t.secrets.given(value)
		}
	}
	t.secrets.given(c.vars["token"])
	if bearer, given := bearerValue(c.header); given {
		t.secrets.given(bearer)
	}
	if c.op.body == nil || c.tooLarge {
		return
	}
	var body object
	if json.Unmarshal(c.raw, &body) == nil {
		t.noteBodySecrets(body)
		if credentials, given := body["signup"].(object); given {
			t.noteBodySecrets(credentials)
		}
	}
}

func (t *tenant) noteBodySecrets(body object) {
	for _, name := range secretMembers {
		t.secrets.given(textIn(body, name))
	}
}

// form is the body of an OAuth request.
func (c *call) form() (url.Values, bool) {
	mediaType, _, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if err != nil || c.headerOnce("Content-Type") != nil || mediaType != "application/x-www-form-urlencoded" || c.tooLarge || c.cutShort {
		return nil, false
	}
	form, err := url.ParseQuery(string(c.raw))
	for _, values := range form {
		if len(values) > 1 { // RFC 6749, section 3.2
			return nil, false
		}
	}
	return form, err == nil
}

func basicAuth(header http.Header) (id, secret string, given bool) {
	return (&http.Request{Header: header}).BasicAuth()
}

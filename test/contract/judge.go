package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// tokenPath issues the employee's bearer. It belongs to another service of the
// vendor, which the description does not cover.
const tokenPath = "/oauth/token" // #nosec G101 -- a path

// controlPrefix is where the fake is steered; nothing of it is the API.
const controlPrefix = "/__fake/"

// Exchange is a request and its answer, with what is wrong about each.
type Exchange struct {
	Operation string
	Status    int
	Request   []string
	Answer    []string
}

// Judge stands before a server and holds every exchange against the
// description. It changes neither request nor answer.
type Judge struct {
	document *Document
	next     http.Handler

	mu        sync.Mutex
	exchanges []Exchange
	issued    map[string]string // access tokens by the security scheme they are for
}

// NewJudge puts a judge before a server.
func NewJudge(document *Document, next http.Handler) *Judge {
	return &Judge{document: document, next: next, issued: map[string]string{}}
}

// ServeHTTP judges a request, passes it on, and judges the answer.
func (j *Judge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		j.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the judge could not read the request", http.StatusBadRequest)
		return
	}
	c := j.judgeRequest(r, body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	recorder := httptest.NewRecorder()
	j.next.ServeHTTP(recorder, r)
	j.judgeAnswer(c, recorder)

	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
}

// hearing is an exchange while it is judged.
type hearing struct {
	Exchange
	input *openapi3filter.RequestValidationInput
}

func (j *Judge) judgeRequest(r *http.Request, body []byte) *hearing {
	c := &hearing{}
	if r.URL.Path == tokenPath {
		c.Operation = operation.OAuthToken.Name
		if r.Method != operation.OAuthToken.Method {
			c.Request = append(c.Request, "has method "+r.Method)
		}
		return c
	}
	route, vars, name, err := j.document.route(r)
	if err != nil {
		c.Operation = "unknown"
		c.Request = append(c.Request, fmt.Sprintf("%s %s: %v", r.Method, r.URL.EscapedPath(), err))
		return c
	}
	c.Operation = name
	request := r.Clone(r.Context())
	request.Body = io.NopCloser(bytes.NewReader(body))
	request.ContentLength = int64(len(body))
	options := &openapi3filter.Options{
		MultiError: true, IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true,
		AuthenticationFunc: j.authenticate,
	}
	options.WithCustomSchemaErrorFunc(describe)
	c.input = &openapi3filter.RequestValidationInput{Request: request, PathParams: vars, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(r.Context(), c.input); err != nil {
		c.Request = append(c.Request, err.Error())
	}
	c.Request = append(c.Request, j.strictRequest(c, r, body)...)
	return c
}

var tenantRule = regexp.MustCompile(`^[a-z][a-z0-9]{2,15}$`)

// strictRequest judges what the library or the description leaves open.
func (j *Judge) strictRequest(c *hearing, r *http.Request, body []byte) []string {
	var found []string
	route := c.input.Route
	if len(j.document.Security(route.Operation)) == 0 && r.Header.Get("Authorization") != "" {
		found = append(found, "has a bearer, and the operation takes none")
	}
	for name, values := range r.URL.Query() {
		if parameters(route).GetByInAndName("query", name) == nil {
			found = append(found, "has the query parameter "+name+", which is not described")
		}
		if len(values) > 1 {
			found = append(found, "has the query parameter "+name+" more than once")
		}
	}
	for _, tenant := range append(r.URL.Query()["tenant"], c.input.PathParams["tenant"]) {
		if tenant != "" && !tenantRule.MatchString(tenant) {
			found = append(found, "has a tenant that can't be one")
		}
	}
	if route.Operation.RequestBody == nil {
		if len(body) > 0 {
			found = append(found, "has a body, and the operation takes none")
		}
		return found
	}
	content := route.Operation.RequestBody.Value.Content
	if content.Get(r.Header.Get("Content-Type")) == nil {
		found = append(found, fmt.Sprintf("has the content type %q", r.Header.Get("Content-Type")))
	}
	value, err := decode(body)
	if err != nil {
		return append(found, "has a body that is not JSON: "+err.Error())
	}
	if names, isStrict := requiredOfRequests[c.Operation]; isStrict {
		if object, isObject := value.(map[string]any); !isObject || len(object) == 0 {
			found = append(found, "has an empty body")
		}
		found = append(found, lacking(value, strings.Fields(names))...)
	}
	return append(found, undeclared(value, "", contentSchemas(content)...)...)
}

// authenticate demands a bearer that was issued for the scheme.
func (j *Judge) authenticate(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	token, isBearer := strings.CutPrefix(input.RequestValidationInput.Request.Header.Get("Authorization"), "Bearer ")
	if !isBearer || token == "" {
		return errors.New("there is no bearer")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	scheme := j.issued[token]
	switch scheme {
	case input.SecuritySchemeName:
		return nil
	case "":
		return errors.New("the bearer was never issued")
	default:
		return fmt.Errorf("the bearer is for %s", scheme)
	}
}

func (j *Judge) judgeAnswer(c *hearing, recorder *httptest.ResponseRecorder) {
	c.Status = recorder.Code
	body := recorder.Body.Bytes()
	value, err := decode(body)
	switch {
	case c.Operation == operation.OAuthToken.Name:
		if c.Status == http.StatusOK {
			c.Answer = append(c.Answer, lacking(value, []string{"access_token", "token_type", "expires_in"})...)
		}
	case c.input == nil: // what is not described has no answer to judge
	case err != nil && len(body) > 0:
		c.Answer = append(c.Answer, "has a body that is not JSON: "+err.Error())
	default:
		c.Answer = append(c.Answer, answer(c, recorder, body, value)...)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.learn(c, value)
	j.exchanges = append(j.exchanges, c.Exchange)
}

func answer(c *hearing, recorder *httptest.ResponseRecorder, body []byte, value any) []string {
	var found []string
	route := c.input.Route
	described := route.Operation.Responses.Status(c.Status)
	switch {
	case described == nil:
		// Anonymous login and refresh declare nothing but their success.
		if c.Status < http.StatusBadRequest || !onlySuccess(route) {
			return []string{fmt.Sprintf("has status %d, which is not described", c.Status)}
		}
	case len(described.Value.Content) == 0:
		// The 401 of Auth.Validate is described without a body, but not as empty.
		if len(body) > 0 && c.Status < http.StatusBadRequest {
			found = append(found, "has a body, and none is described")
		}
	case len(body) == 0 && c.Operation == operation.CustomersConfirmSignUp.Name && c.Status == http.StatusOK:
		return nil // the vendor: it may log the customer in
	default:
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: c.input, Status: c.Status, Header: recorder.Header(), Options: c.input.Options,
		}
		input.SetBodyBytes(body)
		if err := openapi3filter.ValidateResponse(c.input.Request.Context(), input); err != nil {
			found = append(found, err.Error())
		}
		if schemas := contentSchemas(described.Value.Content); !ownUnauthorized(c.Status, value) {
			found = append(found, undeclared(value, "", schemas...)...)
		}
	}
	if c.Status >= http.StatusBadRequest {
		return append(found, strictRefusal(c.Status, value)...)
	}
	return append(found, strictAnswer(c.Operation, value)...)
}

func onlySuccess(route *routers.Route) bool {
	return route.Operation.Responses.Len() == 1
}

// ownUnauthorized says whether an answer is a 401 in the API's own shape. The
// description has the gateway's only, and the prose of the login has both.
func ownUnauthorized(status int, value any) bool {
	object, _ := value.(map[string]any)
	return status == http.StatusUnauthorized && object["fault"] == nil
}

// learn remembers what a token that was issued may be used for.
func (j *Judge) learn(c *hearing, value any) {
	object, _ := value.(map[string]any)
	token, _ := object["access_token"].(string)
	if token == "" || c.Status != http.StatusOK {
		return
	}
	switch c.Operation {
	case operation.AuthStartAnonymous.Name, operation.AuthRefreshAnonymous.Name:
		j.issued[token] = "AnonymousAccessToken"
	case operation.OAuthToken.Name:
		j.issued[token] = "TenantManagedOAuth2"
	default:
		j.issued[token] = "CustomerAccessToken"
	}
}

func decode(body []byte) (any, error) {
	var value any
	err := json.Unmarshal(body, &value)
	return value, err
}

// Exchanges lists what was judged, the oldest first.
func (j *Judge) Exchanges() []Exchange {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.exchanges)
}

// Verdict is what came of all exchanges.
type Verdict struct {
	Covered    []string // operations that succeeded without a violation
	Missing    []string // the others
	Exchanges  int
	Violations []string
}

// Verdict sums up.
func (j *Judge) Verdict() Verdict {
	v := Verdict{}
	good := map[string]bool{}
	for _, e := range j.Exchanges() {
		v.Exchanges++
		for _, reason := range e.Request {
			v.Violations = append(v.Violations, fmt.Sprintf("%s: the request %s", e.Operation, reason))
		}
		for _, reason := range e.Answer {
			v.Violations = append(v.Violations, fmt.Sprintf("%s: the answer %d %s", e.Operation, e.Status, reason))
		}
		if e.Status/100 == 2 && len(e.Request)+len(e.Answer) == 0 {
			good[e.Operation] = true
		}
	}
	for _, op := range operation.All() {
		if good[op.Name] {
			v.Covered = append(v.Covered, op.Name)
		} else {
			v.Missing = append(v.Missing, op.Name)
		}
	}
	return v
}

// String is a summary, such as "26 of 26 operations, 61 exchanges, 0 violations".
func (v Verdict) String() string {
	return fmt.Sprintf("%d of %d operations, %d exchanges, %d violations",
		len(v.Covered), len(v.Covered)+len(v.Missing), v.Exchanges, len(v.Violations))
}

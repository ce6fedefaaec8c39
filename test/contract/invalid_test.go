package contract_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/test/contract"
)

// fixture is a fresh tenant behind a judge, with a customer who is logged in, and
// with what a valid request of each operation needs.
type fixture struct {
	t        *testing.T
	document *contract.Document
	fake     *emporixfake.Server
	judge    *contract.Judge
	number   string
	addr     string

	anonymous, customer, employee string            // bearers
	tokens                        map[string]string // others
}

func newFixture(t *testing.T, d *contract.Document, assumptions emporixfake.Assumptions) *fixture {
	t.Helper()
	fake := emporixfake.New(emporixfake.Config{Assumptions: &assumptions})
	p := &fixture{t: t, document: d, fake: fake, judge: contract.NewJudge(d, fake), tokens: map[string]string{}}
	added, err := fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: joFirst, FirstName: "Jo", LastName: "Doe", Company: "Emporix"})
	require.NoError(t, err)
	p.number = added.CustomerNumber
	require.NoError(t, fake.AddCompany(emporixfake.Company{ID: "D1", Contacts: []emporixfake.Contact{{Email: joEmail}}}))
	require.NoError(t, fake.AddSubjectToken("a.subject.token", emporixfake.Identity{Email: "ex@example.com"}, "site_PL"))

	guest := p.response(contract.Request{Method: "GET", Path: "/customerlogin/auth/anonymous/login", Query: url.Values{"tenant": {"acme"}, "client_id": {"storefront"}}})
	p.anonymous, p.tokens["anonymous refresh"] = text(guest, "access_token"), text(guest, "refresh_token")
	login := p.response(p.request("POST", "/customer/{tenant}/login", p.anonymous, map[string]any{"email": joEmail, "password": joFirst}))
	p.customer, p.tokens["refresh"] = text(login, "access_token"), text(login, "refresh_token")
	p.employee = text(p.response(contract.Request{
		Method: "POST", Path: "/oauth/token", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		RawBody: []byte("grant_type=client_credentials&client_id=backend&client_secret=backend-secret-for-tests"),
	}), "access_token")
	p.addr = text(p.response(p.request("POST", "/customer/{tenant}/me/addresses", p.customer, map[string]any{"contactName": "Jo", "tags": []any{"A"}})), "id")
	return p
}

// request is one for the tenant, with a JSON body unless it is nil.
func (p *fixture) request(method, path, bearer string, body any) contract.Request {
	r := contract.Request{Method: method, Path: path, Vars: map[string]string{"tenant": "acme"}, Header: http.Header{}, Body: body}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// send answers what came back, and what the judge says.
func (p *fixture) send(r contract.Request) (*httptest.ResponseRecorder, contract.Exchange) {
	w := httptest.NewRecorder()
	p.judge.ServeHTTP(w, r.HTTP())
	all := p.judge.Exchanges()
	return w, all[len(all)-1]
}

func (p *fixture) response(r contract.Request) map[string]any {
	p.t.Helper()
	w, _ := p.send(r)
	require.Equal(p.t, 2, w.Code/100, "%s %s: %s", r.Method, r.Path, w.Body)
	return decoded(p.t, w)
}

func (p *fixture) mail(kind, path, bearer string, body map[string]any) string {
	p.t.Helper()
	p.response(p.request("POST", path, bearer, body))
	return p.fake.Outbox(emporixfake.MailFilter{Kind: kind})[0].Token
}

// bearers of the fixture by the schemes of the description.
func (p *fixture) bearers() map[string]string {
	return map[string]string{"AnonymousAccessToken": p.anonymous, "CustomerAccessToken": p.customer, "TenantManagedOAuth2": p.employee}
}

const signUpPath, servicePath, changePath = "/customer/{tenant}/signup", "/customer/{tenant}", "/customer/{tenant}/me/accounts/internal/email/change"

// valid is a request of an operation that succeeds, with every member that the
// description has, and every parameter that is not deprecated.
func (p *fixture) valid(op *operation.Operation, mediaType string) contract.Request {
	p.t.Helper()
	d := p.document
	schemes := d.Security(d.Find(op.Method, op.Path))
	bearer := ""
	if len(schemes) > 0 {
		bearer = p.bearers()[schemes[len(schemes)-1]]
	}
	r := p.request(op.Method, op.Path, bearer, nil)
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
		r.Body = d.Example(op.Method, op.Path, mediaType, p.values(op))
	}
	r.Query = p.query(op)
	r.Vars["addressId"], r.Vars["customerNumber"] = p.addr, p.number
	if op == operation.CustomersConfirmSignUp {
		p.response(p.request("POST", signUpPath, p.anonymous, map[string]any{"email": "opt@example.com", "password": joFirst}))
		r.Vars["token"] = p.mail(emporixfake.MailOptIn, signUpPath+"/optin/refresh_token", p.anonymous, map[string]any{"email": "opt@example.com"})
	}
	return r
}

// values are the members of a body that a made up text does not do for.
func (p *fixture) values(op *operation.Operation) map[string]any {
	switch op {
	case operation.AuthLogin:
		return map[string]any{"email": joEmail, "password": joFirst}
	case operation.CustomersSignUp:
		return map[string]any{"email": "new@example.com", "customerDetails.contactEmail": "new@example.com", "signup.email": "other@example.com", "signup.password": joFirst}
	case operation.CredentialsResetPassword:
		return map[string]any{"token": p.mail(emporixfake.MailPasswordReset, servicePath+"/password/reset", p.anonymous, map[string]any{"email": joEmail})}
	case operation.CredentialsChangePassword:
		return map[string]any{"currentPassword": joFirst}
	case operation.CredentialsRequestEmailChange:
		return map[string]any{"email": joEmail, "password": joFirst, "newEmail": "new@example.com"}
	case operation.CredentialsConfirmEmailChange:
		return map[string]any{"token": p.mail(emporixfake.MailEmailChange, changePath, p.customer, map[string]any{"email": joEmail, "password": joFirst, "newEmail": "new@example.com"})}
	case operation.CustomersActivate:
		return map[string]any{"onHold": false}
	default:
		return nil
	}
}

func (p *fixture) query(op *operation.Operation) url.Values {
	switch op {
	case operation.AuthStartAnonymous:
		return url.Values{"tenant": {"acme"}, "client_id": {"storefront"}, "currency": {"EUR"}, "siteCode": {"main"}, "language": {"de"}, "targetLocation": {"DE"}}
	case operation.AuthRefreshAnonymous:
		return url.Values{"tenant": {"acme"}, "client_id": {"storefront"}, "refresh_token": {p.tokens["anonymous refresh"]}}
	case operation.AuthSocialLogin:
		return url.Values{"code": {"fake-code:so@example.com"}, "redirect_uri": {"https://shop.example.com/cb"}, "code_verifier": {"verifier"}}
	case operation.AuthExchangeToken:
		return url.Values{"subjectAccessToken": {"a.subject.token"}, "config": {"site_PL"}}
	case operation.AuthRefresh:
		return url.Values{"refreshToken": {p.tokens["refresh"]}, "legalEntityId": {"D1"}}
	case operation.AuthLogout:
		return url.Values{"accessToken": {p.customer}}
	case operation.CustomersGet:
		return url.Values{"expand": {"addresses,mixin:*"}}
	case operation.AddressesAddTags, operation.AddressesRemoveTags:
		return url.Values{"tags": {"A,B"}}
	default:
		return nil
	}
}

// wrongBearers are requests whose one fault is the bearer.
func (p *fixture) wrongBearers(valid contract.Request, foreign map[string]string) []contract.Breach {
	d := p.document
	accepted := d.Security(d.Find(valid.Method, valid.Path))
	var all []contract.Breach
	add := func(kind, at string, values ...string) {
		r := valid
		r.Header = valid.Header.Clone()
		r.Header["Authorization"] = values
		all = append(all, contract.Breach{Kind: kind, At: at, Request: r})
	}
	kind := "wrong bearer"
	if len(accepted) == 0 {
		kind = "undeclared bearer"
	}
	for _, scheme := range slices.Sorted(maps.Keys(p.bearers())) {
		if !slices.Contains(accepted, scheme) {
			add(kind, scheme, "Bearer "+p.bearers()[scheme])
		}
	}
	add(kind, "garbage", "Bearer nobody-issued-this")
	if len(accepted) == 0 {
		return all
	}
	right := valid.Header.Get("Authorization")
	add(kind, "none")
	add(kind, "empty", "Bearer ")
	add(kind, "of another scheme", "Basic "+strings.TrimPrefix(right, "Bearer "))
	add(kind, "without a scheme", strings.TrimPrefix(right, "Bearer "))
	add(kind, "twice", right, right)
	add(kind, "a refresh token", "Bearer "+p.tokens["refresh"])
	for _, scheme := range accepted {
		add(kind, "of another tenant: "+scheme, "Bearer "+foreign[scheme])
	}
	return all
}

// statusOf is the status of a breach that is refused.
func statusOf(b contract.Breach) int {
	switch {
	case b.Kind == "wrong bearer":
		return http.StatusUnauthorized
	case b.Kind == "undeclared method", b.Kind == "undeclared path", b.Kind == "path parameter too short" && b.At != "tenant":
		return http.StatusNotFound
	default:
		return http.StatusBadRequest
	}
}

// unseen are breaches that the library does not see: OpenAPI forbids an empty
// value unless allowEmptyValue is set, and HTTP a second Authorization header.
func unseen(b contract.Breach) bool {
	return b.Kind == "empty query parameter" || b.Kind == "wrong bearer" && b.At == "twice"
}

// leniencies are the kinds of breach that the fake accepts by default, with the
// row of its table of assumptions that says so.
var leniencies = map[string]string{
	"undeclared member": "undeclared-members-refused",
	"undeclared bearer": "undeclared-bearer-refused",
}

// strictest is a fake without the leniencies that have a switch.
func strictest() emporixfake.Assumptions {
	a := emporixfake.DefaultAssumptions()
	a.UndeclaredMembersAreRefused, a.UndeclaredBearerIsRefused = true, true
	return a
}

// Every request that breaks the description in one place is refused, or its kind
// is one of leniencies; and a refused one has no effect: the valid request that it
// was made from succeeds after it.
func TestInvalidRequestsAreRefused(t *testing.T) {
	d := document(t)
	foreign := newFixture(t, d, emporixfake.DefaultAssumptions()).bearers()
	for name, assumptions := range map[string]emporixfake.Assumptions{"by default": emporixfake.DefaultAssumptions(), "at its strictest": strictest()} {
		t.Run(name, func(t *testing.T) {
			made, accepted := map[string]int{}, map[string]int{}
			for _, op := range operation.All() {
				mediaTypes := d.Content(op.Method, op.Path)
				if mediaTypes == nil {
					mediaTypes = []string{""}
				}
				for _, mediaType := range mediaTypes {
					for i, more := 0, true; more; i++ {
						p := newFixture(t, d, assumptions)
						valid := p.valid(op, mediaType)
						all := append(d.Breaches(valid), p.wrongBearers(valid, foreign)...)
						more = i+1 < len(all)
						slices.SortFunc(all, func(a, b contract.Breach) int { return strings.Compare(a.String(), b.String()) })
						made[all[i].Kind]++
						if !p.refuses(op, all[i], valid) {
							accepted[all[i].Kind]++
						}
					}
				}
			}
			count(t, made, accepted)
			if name != "by default" {
				assert.Empty(t, accepted)
				return
			}
			for kind := range accepted {
				assert.Contains(t, leniencies, kind)
			}
			for kind, row := range leniencies {
				assert.NotZero(t, accepted[kind], "nothing of the kind is accepted any more: %s", kind)
				assert.Truef(t, slices.ContainsFunc(assumptions.Table(), func(a emporixfake.Assumption) bool { return a.Name == row && a.Lenient }),
					"the fake's table does not say that it is lenient about an %s", kind)
			}
		})
	}
}

func count(t *testing.T, made, accepted map[string]int) {
	t.Helper()
	total, passed := 0, 0
	for _, kind := range slices.Sorted(maps.Keys(made)) {
		t.Logf("%4d times %s, %d accepted", made[kind], kind, accepted[kind])
		total, passed = total+made[kind], passed+accepted[kind]
	}
	t.Logf("%d invalid requests, %d refused, %d accepted", total, total-passed, passed)
	assert.GreaterOrEqual(t, total, 300)
}

// refuses sends a breach and says whether it was refused. Then it sends the valid
// request.
func (p *fixture) refuses(op *operation.Operation, b contract.Breach, valid contract.Request) bool {
	p.t.Helper()
	w, exchange := p.send(b.Request)
	if !unseen(b) {
		assert.NotEmpty(p.t, exchange.Request, "%s: %s: the description has nothing against it", op.Name, b)
	}
	if w.Code/100 == 2 {
		return false
	}
	assert.Equal(p.t, statusOf(b), w.Code, "%s: %s: %s", op.Name, b, w.Body)
	if p.document.Answers(op.Method, op.Path, w.Code) {
		assert.Empty(p.t, exchange.Answer, "%s: %s: %s", op.Name, b, w.Body)
	}
	w, exchange = p.send(valid)
	assert.Equal(p.t, 2, w.Code/100, "%s: the valid request after %s: %s", op.Name, b, w.Body)
	assert.Empty(p.t, exchange.Request, "%s: the request that should be valid", op.Name)
	return true
}

func decoded(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var o map[string]any
	if w.Body.Len() > 0 && w.Body.Bytes()[0] == '{' {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &o))
	}
	return o
}

func text(o map[string]any, name string) string {
	s, _ := o[name].(string)
	return s
}

package emporixfake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

type tokenKind string

const (
	anonymousToken tokenKind = "anonymous"
	customerToken  tokenKind = "customer"
	employeeToken  tokenKind = "employee"
)

// accessToken is an opaque bearer.
type accessToken struct {
	value    string
	kind     tokenKind
	family   *family   // nil for an employee
	customer *customer // of a customer token
	entity   string    // the legal entity it is scoped to
	scope    string
	expires  time.Time
	revoked  bool
}

type refreshToken struct {
	value   string
	kind    tokenKind
	family  *family
	expires time.Time
	rotated time.Time // when it was used up; zero while it is current
	revoked bool
	access  *accessToken // the one it was issued with
}

// family is what one anonymous login or customer login started: refreshes stay
// in it.
type family struct {
	session     string
	customer    *customer
	newest      *refreshToken
	revoked     bool // with all its tokens
	loggedOut   bool // its refresh tokens only
	accessLife  time.Duration
	refreshLife time.Duration
}

const customerScopes = "approval.approval_manage_own approval.approval_read_own coupon.coupon_redeem customer.consent_manage " +
	"customer.consent_view customer.customer_manage_own customer.customer_read_own customer.customerprofile_edit " +
	"customer.customerprofile_view customermanagement.legalentity_read_own customersegment.segment_read_own " +
	"iam.assignment_create_own iam.assignment_delete_own iam.group_read_own iam.scope_read_own iam.user_read_own " +
	"order.history_view order.order_readascustomer order.order_updateascustomer quote.quote_manage_own quote.quote_read_own " +
	"returns.returns_manage_own returns.returns_read_own"

// employeeScopes are those of which the operations of employees need one.
var employeeScopes = []string{"customer.customer_manage", "customer.customer_manage_own"}

func (t *tenant) tenantScope() string { return "tenant=" + t.cfg.Tenant }

func (t *tenant) issueAccess(kind tokenKind, f *family, entity, scope string, life time.Duration, now time.Time) *accessToken {
	token := &accessToken{value: randomText(28), kind: kind, family: f, entity: entity, scope: scope, expires: now.Add(life)}
	if f != nil {
		token.customer = f.customer
	}
	t.access[token.value] = token
	t.accessAge.push(token.value, maxTokens, func(oldest string) { delete(t.access, oldest) })
	t.secrets.add(token.value)
	return token
}

func (t *tenant) issueRefresh(kind tokenKind, f *family, access *accessToken, expires time.Time) *refreshToken {
	token := &refreshToken{value: randomText(32), kind: kind, family: f, access: access, expires: expires}
	t.refresh[token.value], f.newest = token, token
	t.refreshAge.push(token.value, maxTokens, func(oldest string) { delete(t.refresh, oldest) })
	t.secrets.add(token.value)
	return token
}

// issueCustomer starts a customer's session.
func (t *tenant) issueCustomer(cu *customer, session string, accessLife, refreshLife time.Duration, now time.Time) (*accessToken, *refreshToken) {
	f := &family{session: session, customer: cu, accessLife: accessLife, refreshLife: refreshLife}
	cu.lastLogin = now
	access := t.issueAccess(customerToken, f, "", customerScopes+" "+t.tenantScope(), accessLife, now)
	return access, t.issueRefresh(customerToken, f, access, now.Add(refreshLife))
}

// saasToken is a real JWT; its signature is not checked.
func (t *tenant) saasToken(cu *customer, life time.Duration, now time.Time) string {
	return t.signed(object{"sub": cu.number, "exp": now.Add(life).Unix(), "iat": now.Unix(), "jti": randomUUID()})
}

func (t *tenant) signed(claims object) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	unsigned := encode([]byte(`{"alg":"HS256"}`)) + "." + encode(payload)
	mac := hmac.New(sha256.New, []byte(t.signingKey))
	mac.Write([]byte(unsigned))
	token := unsigned + "." + encode(mac.Sum(nil))
	t.secrets.add(token)
	return token
}

// bearerValue is what the Authorization header carries, and whether it carries
// anything.
func bearerValue(header http.Header) (value string, given bool) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return "", false
	}
	scheme, value, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(value), true
}

// authorize checks the bearer and puts its token on the call.
func (t *tenant) authorize(c *call) *answer {
	value, given := bearerValue(c.header)
	token := t.access[value]
	var refusal answer
	switch {
	case !given:
		c.bearerKind, refusal = "none", invalidToken()
	case token == nil:
		c.bearerKind, refusal = "unknown", invalidToken()
	case token.revoked || token.family != nil && token.family.revoked:
		c.bearerKind, refusal = "revoked "+string(token.kind), invalidToken()
	case !c.now.Before(token.expires):
		c.bearerKind, refusal = "expired "+string(token.kind), expiredToken()
	default:
		c.bearerKind = string(token.kind)
		c.token = token
	}
	if c.op.bearer == noBearer {
		return nil
	}
	if c.token == nil {
		return &refusal
	}
	right, need := false, c.op.bearer
	if c.op.name == "Auth.Refresh" && t.cfg.Assumptions.RefreshWantsCustomerBearer {
		need = customerBearer
	}
	switch need {
	case anonymousBearer:
		right = token.kind == anonymousToken
	case customerBearer:
		right = token.kind == customerToken
	case customerOrAnonymousBearer:
		right = token.kind != employeeToken
	case employeeBearer:
		right = token.kind == employeeToken
	default: // noBearer, which was let through above
	}
	if !right {
		refusal = invalidToken()
		return &refusal
	}
	if token.kind == employeeToken && !hasScope(token.scope, employeeScopes[0]) && !hasScope(token.scope, employeeScopes[1]) {
		refusal = forbidden()
		return &refusal
	}
	return nil
}

func hasScope(scopes, want string) bool {
	for _, scope := range strings.Fields(scopes) {
		if scope == want {
			return true
		}
	}
	return false
}

// refreshTokenOf is the refresh token of the session of an anonymous access
// token, which may have expired; "" if there is none.
func (t *tenant) refreshTokenOf(anonymous string) string {
	token := t.access[anonymous]
	if token == nil || token.kind != anonymousToken || token.revoked {
		return ""
	}
	return token.family.newest.value
}

// redeem checks a refresh token of a kind; renew uses it up.
func (t *tenant) redeem(value string, kind tokenKind, now time.Time) (*refreshToken, bool) {
	token := t.refresh[value]
	switch {
	case token == nil || token.kind != kind || token.revoked || token.family.revoked || token.family.loggedOut || !now.Before(token.expires):
		return nil, false
	case token.customer() != nil && !token.customer().usable():
		return nil, false
	case token.rotated.IsZero() || now.Before(token.rotated.Add(t.cfg.Assumptions.RotationGrace)):
		return token, true
	}
	if t.cfg.Assumptions.ReuseKillsFamily {
		token.family.revoked = true
	}
	return nil, false
}

func (r *refreshToken) customer() *customer { return r.family.customer }

func (t *tenant) refreshRefused() answer {
	return problem(t.cfg.Assumptions.RefreshRefusedStatus, "The refresh token is not valid.")
}

// renew answers the tokens that follow a redeemed refresh token.
func (t *tenant) renew(old *refreshToken, rotate bool, entity, scope string, now time.Time) (*accessToken, *refreshToken) {
	f := old.family
	if t.cfg.Assumptions.RefreshInvalidatesAccess {
		old.access.revoked = true
	}
	access := t.issueAccess(old.kind, f, entity, scope, f.accessLife, now)
	expires := old.expires
	if t.cfg.Assumptions.RefreshRenewsRefreshLife {
		expires = now.Add(f.refreshLife)
	}
	if !rotate {
		old.expires, old.access = expires, access
		return access, old
	}
	if old.rotated.IsZero() {
		old.rotated = now
	}
	return access, t.issueRefresh(old.kind, f, access, expires)
}

func seconds(until time.Time, now time.Time) int64 { return int64(until.Sub(now) / time.Second) }

// ofWhom says whether a token belongs to a customer number or session ID, or to
// anybody if who is empty.
func ofWhom(f *family, who string) bool {
	return who == "" || f != nil && (f.session == who || f.customer != nil && f.customer.number == who)
}

func (t *tenant) revokeAccess(who string) int {
	n := 0
	for _, token := range t.access {
		if !token.revoked && ofWhom(token.family, who) {
			token.revoked = true
			n++
		}
	}
	return n
}

func (t *tenant) revokeRefresh(who string) int {
	n := 0
	for _, token := range t.refresh {
		if !token.revoked && ofWhom(token.family, who) {
			token.revoked = true
			n++
		}
	}
	return n
}

// endSessions ends every session of a customer but the one to keep. Each has a
// refresh token: access tokens are as many at least, and forgotten earlier.
func (t *tenant) endSessions(cu *customer, keep *family) {
	for _, token := range t.refresh {
		if token.customer() == cu && token.family != keep {
			token.family.revoked = true
		}
	}
}

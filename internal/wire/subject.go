package wire

import (
	"slices"
	"strconv"
	"strings"
)

// Subject is what an error answer is about.
type Subject uint8

const (
	// SubjectUnknown is a body that says nothing known: nothing at all, a foreign
	// page or JSON, a response that breaks off, or a gateway's fault of another kind.
	SubjectUnknown Subject = iota
	// SubjectRequest is an error in the API's own shape that names none of the
	// subjects below.
	SubjectRequest
	// SubjectRefreshToken is the refresh token that was sent.
	SubjectRefreshToken
	// SubjectBearer is the access token that authorised the request.
	SubjectBearer
	// SubjectOther is something that says nothing about either token: the key,
	// the client, the tenant, the product, a quota, a policy, a scope or the state
	// of the server.
	SubjectOther
	// SubjectLegalEntity is the company to act for. It says nothing about a token.
	SubjectLegalEntity
	// SubjectOAuth is an OAuth error other than invalid_grant.
	SubjectOAuth
)

// Words that name a subject, in small letters and digits only: the spelling of
// codes differs between gateways and services.
var (
	refreshTokenWords = []string{"refreshtoken", "invalidgrant"}
	bearerWords       = []string{"accesstoken", "bearer", "authorizationheader", "anonymoustoken", "customertoken"}
	// A gateway knows no other token than the bearer, unless it names it.
	gatewayBearerWords = []string{
		"invalidtoken", "tokenexpired", "tokenhasexpired", "tokenisexpired", "expiredtoken",
		"tokenrevoked", "tokenisrevoked", "revokedtoken", "tokeninvalid", "tokenisinvalid", "tokenisnotvalid",
	}
	companyWords = []string{"legalentit", "company"}
	otherWords   = []string{
		"apikey", "consumerkey", "client", "application", "developer", "tenant", "sitecode", "currency",
		"product", "resource", "policy", "policies", "scope", "permission",
		"saas", "subjecttoken", "subjectaccesstoken", "csrf", "captcha", "database",
		"exceed", "unexpected", "concurren", "ipaddress", "firewall",
	}
	// downWords say that the server had trouble of its own, whatever it was asked for.
	downWords = []string{
		"unavailable", "notavailable", "timeout", "timedout", "deadline", "internalerror", "internalserver", "internalservice", "servererror", "serviceerror",
		"unexpectederror", "overload", "maintenance", "upstream", "badgateway", "toconnect", "notconnect", "econn", "connectionlost", "connectionrefused",
		"connectionreset", "connectionerror", "connectionfail", "connectionclosed", "networkerror", "backenderror", "databaseerror", "databasefail", "deadlock",
		"notready", "busy", "wentwrong", "unreachable", "notreachable", "toreach", "outage", "isdown", "shuttingdown",
	}
	// outageWords and downWords say that the server could not tell. They win wherever
	// they stand: "could not refresh token: upstream timeout" says nothing about the
	// token. A word that also appears in refusals, as in "refresh token not found in
	// database", belongs to otherWords, where the first word wins.
	outageWords = append([]string{
		"temporar", "internal", "backend", "gateway", "connection", "socket", "network", "tryagain", "trylater", "retry", "circuit",
		"quota", "ratelimit", "spike", "throttl", "toomany", "limitreached", "limitexceeded",
	}, downWords...)
)

// squash keeps the letters and digits of ASCII, in small letters.
func squash(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, s)
}

// firstSubject returns the subject that a sentence mentions first: "client may
// not use refresh tokens" is about the client. A word for an outage wins over all.
func firstSubject(text string) Subject {
	text = squash(text)
	if names(text, outageWords) {
		return SubjectOther
	}
	first, at := SubjectUnknown, len(text)
	look := func(subject Subject, words []string) {
		for _, word := range words {
			if i := strings.Index(text, word); i >= 0 && i < at {
				first, at = subject, i
			}
		}
	}
	look(SubjectRefreshToken, refreshTokenWords)
	look(SubjectBearer, bearerWords)
	look(SubjectLegalEntity, companyWords)
	look(SubjectOther, otherWords)
	return first
}

func names(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// faultSubject says what a text of the gateway is about. A word for something
// else than a token wins: "no product for this access token" is about the product.
func faultSubject(text string) Subject {
	text = squash(text)
	switch {
	case names(text, otherWords), names(text, outageWords), names(text, companyWords): // the company is the developer's
		return SubjectOther
	case names(text, refreshTokenWords):
		return SubjectRefreshToken
	case names(text, bearerWords), names(text, gatewayBearerWords):
		return SubjectBearer
	}
	return SubjectUnknown
}

// aboutFault goes by the code, and by the text where the code says nothing known.
func (p *Problem) aboutFault() Subject {
	if about := faultSubject(p.Code); about != SubjectUnknown {
		return about
	}
	return faultSubject(p.Message)
}

// aboutError says what an error of the API or of OAuth is about. members are the
// whole answer's.
func (p *Problem) aboutError(members object) Subject {
	oauth := cleanText(members.text("error"))
	said := p.said(members)
	status, stated := members.status()
	switch {
	case stated && (status >= 500 || status == 429 || status == 408):
		return SubjectOther // the server's own trouble, whatever HTTP's status is
	case squash(oauth) == "invalidgrant":
		return SubjectRefreshToken
	case oauth != "" && (!stated || p.Message == ""):
		return SubjectOAuth
	case oauth != "" && said != SubjectRefreshToken: // as frameworks answer
		return SubjectOther
	case said != SubjectUnknown:
		return said
	case stated || p.Code != "" || len(p.Details) > 0:
		return SubjectRequest
	}
	return SubjectUnknown // a sentence alone is what any proxy answers
}

// said goes from the most exact word to the least.
func (p *Problem) said(members object) Subject {
	for _, text := range p.texts(members) {
		if names(squash(text), outageWords) {
			return SubjectOther
		}
	}
	fields := SubjectUnknown
	for _, d := range p.Details {
		about := fieldSubject(d.Field)
		switch {
		case about == SubjectUnknown || about == fields:
		case fields == SubjectUnknown:
			fields = about
		default: // two causes: it is not the one token alone
			return SubjectOther
		}
	}
	if fields != SubjectUnknown {
		return fields
	}
	for _, text := range p.texts(members) {
		if about := firstSubject(text); about != SubjectUnknown {
			return about
		}
	}
	return SubjectUnknown
}

// texts are what an error says, the most exact first.
func (p *Problem) texts(members object) []string {
	texts := []string{p.Code, members.code("errorCode"), members.code("code"), p.Message}
	for _, d := range p.Details {
		texts = append(texts, d.Type, d.Message)
	}
	for _, name := range []string{"error_description", "title", "detail", "description", "reason"} {
		texts = append(texts, members.text(name))
	}
	return texts
}

// isDown reports a response that speaks of trouble of the server's own, or states a
// status of that.
func (p *Problem) isDown(members object) bool {
	if status, stated := members.status(); stated && status >= 500 {
		return true
	}
	return slices.ContainsFunc(p.texts(members), func(text string) bool { return names(squash(text), downWords) })
}

// fieldSubject returns what a field of the request is about: the refresh token may
// be called by another name, and every other field is something else.
func fieldSubject(field string) Subject {
	about := firstSubject(field)
	if about == SubjectUnknown && field != "" && !names(squash(field), []string{"token", "refresh", "grant", "session", "jwt"}) {
		return SubjectOther
	}
	return about
}

// status returns the HTTP status that the body itself states.
func (o object) status() (status int, stated bool) {
	if status, stated = o.statusIn("status"); stated {
		return status, true
	}
	return o.statusIn("code")
}

func (o object) statusIn(name string) (status int, stated bool) {
	digits, _ := numberOf(o[name])
	n, err := strconv.Atoi(digits)
	return n, err == nil && 100 <= n && n <= 599
}

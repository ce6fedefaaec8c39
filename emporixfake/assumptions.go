package emporixfake

import (
	"fmt"
	"strconv"
	"time"
)

// Assumptions are switches for behaviour that the vendor does not document, or
// documents in two ways. The table of Server.Assumptions says one sentence
// about each.
type Assumptions struct {
	CustomerRefreshRotates          bool
	AnonymousRefreshRotates         bool
	RotationGrace                   time.Duration
	ReuseKillsFamily                bool
	RefreshRenewsRefreshLife        bool
	RefreshInvalidatesAccess        bool
	RefreshRefusedStatus            int
	RefreshWantsCustomerBearer      bool
	LogoutKillsRefresh              bool
	AnonymousEndsAtLogin            bool
	ActivationNeeded                bool
	InactiveLoginStatus             int
	DoubleOptIn                     bool
	OptInLogsIn                     bool
	PasswordChangeEndsSessions      bool
	StaleVersionStatus              int
	ExchangeProvisions              bool
	ForeignTenantHeaderIsRefused    bool
	ForeignLegalEntityStatus        int
	MixinsOnlyWhenExpanded          bool
	DeletedDefaultAddressIsReplaced bool
	SignUpAssignsLegalEntities      bool
	UndeclaredQueryIsRefused        bool
	UndeclaredBodyIsRefused         bool
	UndeclaredMembersAreRefused     bool
	UndeclaredBearerIsRefused       bool
	CrossOriginCallsAreAllowed      bool
}

// DefaultAssumptions is what the fake assumes unless it is told otherwise.
func DefaultAssumptions() Assumptions {
	return Assumptions{
		CustomerRefreshRotates:          true,
		RefreshRenewsRefreshLife:        true,
		RefreshRefusedStatus:            401,
		LogoutKillsRefresh:              true,
		ActivationNeeded:                true,
		InactiveLoginStatus:             401,
		OptInLogsIn:                     true,
		StaleVersionStatus:              409,
		ExchangeProvisions:              true,
		ForeignTenantHeaderIsRefused:    true,
		ForeignLegalEntityStatus:        403,
		MixinsOnlyWhenExpanded:          true,
		DeletedDefaultAddressIsReplaced: true,
		SignUpAssignsLegalEntities:      true,
		UndeclaredQueryIsRefused:        true,
		UndeclaredBodyIsRefused:         true,
		CrossOriginCallsAreAllowed:      true,
	}
}

// Assumption is a row of the table of documented and assumed behaviour. Rows
// with a Name are switches; a row without one is fixed.
type Assumption struct {
	Name     string `json:"name,omitempty"`
	Kind     string `json:"kind,omitempty"` // "bool", "duration" or "status"
	Default  string `json:"default,omitempty"`
	Value    string `json:"value,omitempty"`
	Basis    string `json:"basis"` // "documented", "measured" or "assumed"
	Sentence string `json:"sentence"`

	// Lenient is set for what the fake accepts, with this value of the switch,
	// though the API's description does not declare it.
	Lenient bool `json:"lenient,omitempty"`
}

type assumptionSwitch struct {
	name, basis, sentence string
	field                 func(*Assumptions) any
	lenient               string // the value that accepts what is not declared
}

var assumptionSwitches = []assumptionSwitch{
	{"customer-refresh-rotates", "documented", "A customer refresh answers a new refresh token (the vendor's example shows one), and the old one is used up (assumed).",
		func(a *Assumptions) any { return &a.CustomerRefreshRotates }, ""},
	{"anonymous-refresh-rotates", "measured", "An anonymous refresh answers a new refresh token; by default it answers the same one, which a peer measured and the examples show.",
		func(a *Assumptions) any { return &a.AnonymousRefreshRotates }, ""},
	{"rotation-grace", "assumed", "How long a rotated refresh token still works.",
		func(a *Assumptions) any { return &a.RotationGrace }, ""},
	{"reuse-kills-family", "assumed", "A rotated refresh token that comes back after its grace ends every token that descends from the same login.",
		func(a *Assumptions) any { return &a.ReuseKillsFamily }, ""},
	{"refresh-renews-refresh-life", "assumed", "The refresh token of a refresh answer has a full life again; switched off, it keeps the rest of the old one's.",
		func(a *Assumptions) any { return &a.RefreshRenewsRefreshLife }, ""},
	{"refresh-invalidates-access", "assumed", "A refresh ends the access token it replaces at once.",
		func(a *Assumptions) any { return &a.RefreshInvalidatesAccess }, ""},
	{"refresh-refused-status", "assumed", "The status for a refresh token that is unknown, expired or used up, with a message and not with a gateway fault, which is about the bearer.",
		func(a *Assumptions) any { return &a.RefreshRefusedStatus }, ""},
	{"logout-kills-refresh", "assumed", "Logging out ends the refresh token too; documented is only that it ends the access token.",
		func(a *Assumptions) any { return &a.LogoutKillsRefresh }, ""},
	{"anonymous-ends-at-login", "documented", "The anonymous tokens of the visitor end when the visitor logs in; the vendor says so of the session in one place and peers measured nothing, so it is off.",
		func(a *Assumptions) any { return &a.AnonymousEndsAtLogin }, ""},
	{"activation-needed", "documented", "A new account is inactive until an employee activates it.",
		func(a *Assumptions) any { return &a.ActivationNeeded }, ""},
	{"inactive-login-status", "assumed", "The status for logging in to an account that is inactive or on hold, with a message.",
		func(a *Assumptions) any { return &a.InactiveLoginStatus }, ""},
	{"double-opt-in", "documented", "Signing up sends an opt-in mail, and its token activates the account. Switched off, only a resent activation sends one.",
		func(a *Assumptions) any { return &a.DoubleOptIn }, ""},
	{"opt-in-logs-in", "documented", "Confirming an opt-in answers a customer token; switched off, it answers 200 with an empty body.",
		func(a *Assumptions) any { return &a.OptInLogsIn }, ""},
	{"password-change-ends-sessions", "assumed", "A changed or reset password ends the customer's other sessions.",
		func(a *Assumptions) any { return &a.PasswordChangeEndsSessions }, ""},
	{"stale-version-status", "assumed", "The status for a metadata.version that is not the current one. The example of the vendor's tutorial, version 1 after a profile of version 2, is one.",
		func(a *Assumptions) any { return &a.StaleVersionStatus }, ""},
	{"exchange-provisions", "documented", "Exchanging the token of an unknown person makes a customer; switched off, it is 404.",
		func(a *Assumptions) any { return &a.ExchangeProvisions }, ""},
	{"foreign-tenant-header-refused", "assumed", "An Emporix-Tenant header that names another tenant than the path, is empty or comes twice is 400.",
		func(a *Assumptions) any { return &a.ForeignTenantHeaderIsRefused }, ""},
	{"foreign-legal-entity-status", "assumed", "The status for a refresh with a legal entity that the customer is not assigned to; that it is checked is documented.",
		func(a *Assumptions) any { return &a.ForeignLegalEntityStatus }, ""},
	{"mixins-only-when-expanded", "documented", "A profile carries its mixins only with expand=mixin:*; switched off, always.",
		func(a *Assumptions) any { return &a.MixinsOnlyWhenExpanded }, ""},
	{"deleted-default-address-replaced", "assumed", "When the default address is deleted, the oldest other one becomes the default.",
		func(a *Assumptions) any { return &a.DeletedDefaultAddressIsReplaced }, ""},
	{"sign-up-assigns-legal-entities", "documented", "A sign-up assigns the customer to the companies of customerDetails.b2b.legalEntities, as the vendor's tutorial shows; the API's description does not declare that member. An unknown company is made. Switched off, the member is ignored.",
		func(a *Assumptions) any { return &a.SignUpAssignsLegalEntities }, "true"},
	{"undeclared-query-refused", "assumed", "A query parameter that the operation does not declare is 400. An anonymous refresh accepts currency, siteCode, language and targetLocation all the same, because other SDKs repeat them there.",
		func(a *Assumptions) any { return &a.UndeclaredQueryIsRefused }, "false"},
	{"undeclared-body-refused", "assumed", "A body at an operation that declares none is 400.",
		func(a *Assumptions) any { return &a.UndeclaredBodyIsRefused }, "false"},
	{"undeclared-members-refused", "assumed", "A member of a request body that the operation does not declare is 400. Switched off, it is ignored: the API's schemas do not forbid further members, and other SDKs send some.",
		func(a *Assumptions) any { return &a.UndeclaredMembersAreRefused }, "false"},
	{"undeclared-bearer-refused", "assumed", "An Authorization header at the two anonymous operations, which declare no bearer, is 400. Switched off, it is ignored.",
		func(a *Assumptions) any { return &a.UndeclaredBearerIsRefused }, "false"},
	{"cross-origin-calls-allowed", "assumed", "The API answers the preflight requests (CORS) of web pages of every origin, without credentials mode, and its answers may be read by them. The control interface never does.",
		func(a *Assumptions) any { return &a.CrossOriginCallsAreAllowed }, ""},
	{"refresh-wants-customer-bearer", "documented", "A customer refresh takes the customer's own bearer, and refuses an anonymous one. The vendor's tutorial and security declaration say anonymous, which is the default; the text of a parameter says customer.",
		func(a *Assumptions) any { return &a.RefreshWantsCustomerBearer }, ""},
}

// fixedBehaviour are the rows of the table that have no switch.
var fixedBehaviour = []Assumption{
	{Basis: "documented", Sentence: "A bearer of the wrong kind, unknown, revoked or absent is 401 with the gateway's fault oauth.v2.InvalidAccessToken; an expired one has keymanagement.service.access_token_expired."},
	{Basis: "documented", Sentence: "Login keeps the session ID of the anonymous bearer; social login and opt-in answer no session ID."},
	{Basis: "documented", Sentence: "A customer refresh answers neither saas_token nor initialPassword, and without legalEntityId an unscoped token."},
	{Basis: "documented", Sentence: "Social login answers its lifetimes as strings."},
	{Basis: "documented", Sentence: "A wrong password at login is 401 with a message."},
	{Basis: "assumed", Sentence: "A wrong password at a password or e-mail change is 401 with a message."},
	{Basis: "documented", Sentence: "A password reset answers 204 for unknown addresses too."},
	{Basis: "assumed", Sentence: "A mail token that is unknown, expired or used is 400; a new one replaces the older ones of its kind and customer."},
	{Basis: "documented", Sentence: "JSON null is accepted as application/merge-patch+json only, and never for contactEmail."},
	{Basis: "assumed", Sentence: "A PATCH merges as RFC 7396 says under both media types, mixins included, and every change raises metadata.version by one."},
	{Basis: "assumed", Sentence: "The first address is the default one, and there is at most one; e-mail addresses are compared without case."},
	{Basis: "assumed", Sentence: "A request body over 10 MiB or a URL over 10 KiB is 400; the limits are documented, the status is not."},
	{Basis: "assumed", Sentence: "A query parameter that the API takes once is 400 when it comes twice."},
	{Basis: "assumed", Sentence: "The headers Content-Type, of a request with a body, and session-id, of a social login, are 400 when they are empty or come twice."},
	{Basis: "documented", Sentence: "An anonymous refresh accepts the deprecated anonymous_token, an anonymous access token, in place of refresh_token. That it does so after the access token expired, while the session can be refreshed, is assumed.", Lenient: true},
	{Basis: "assumed", Sentence: "A member that comes twice in a JSON object counts once, with its last value.", Lenient: true},
	{Basis: "assumed", Sentence: "The values of currency, siteCode, language, targetLocation and expand are not checked, nor are headers that the API does not declare.", Lenient: true},
	{Basis: "assumed", Sentence: "A request body is required where one is declared, also where the API's description calls it optional; so are password and newEmail of an e-mail change and the token that confirms it."},
	{Basis: "documented", Sentence: "contactEmail can't be emptied; that an empty string counts as emptying it is assumed."},
	{Basis: "assumed", Sentence: "Request headers of more than 60 KiB are 431; the limit is documented, the status is not."},
	{Basis: "assumed", Sentence: "A request body must arrive within 30 seconds, and an answer must be taken within a minute."},
	{Basis: "assumed", Sentence: "A log-out with an accessToken that is not the bearer is 400, and so are an e-mail change from another address than the login or to one that is in use, and tags with an empty one among them."},
	{Basis: "assumed", Sentence: "A code of social login works once; a used or unknown one, and a wrong code verifier, is 401."},
	{Basis: "assumed", Sentence: "The session of a customer who is put on hold, or made inactive, can't be refreshed; its access token goes on."},
	{Basis: "measured", Sentence: "Token answers have the snake_case members only, none of the deprecated camelCase ones."},
	{Basis: "assumed", Sentence: "The legacy parameter hybris-tenant does not stand for tenant. Deleting an address removes no account."},
}

// Table lists the switches of a with their values, and after them the behaviour
// that has no switch.
func (a Assumptions) Table() []Assumption {
	defaults := DefaultAssumptions()
	rows := make([]Assumption, 0, len(assumptionSwitches)+len(fixedBehaviour))
	for _, s := range assumptionSwitches {
		kind, value := show(s.field(&a))
		_, standard := show(s.field(&defaults))
		rows = append(rows, Assumption{
			Name: s.name, Kind: kind, Default: standard, Value: value, Basis: s.basis, Sentence: s.sentence,
			Lenient: value == s.lenient,
		})
	}
	return append(rows, fixedBehaviour...)
}

// Set changes the switch called name: "true" and "false", a duration such as
// "10s", or a status such as "412".
func (a *Assumptions) Set(name, value string) error {
	for _, s := range assumptionSwitches {
		if s.name != name {
			continue
		}
		var err error
		switch field := s.field(a).(type) {
		case *bool:
			*field, err = parseAs(value, strconv.ParseBool, "true or false")
		case *time.Duration:
			*field, err = parseAs(value, parseNotNegative, "a duration such as 10s, not negative")
		case *int:
			*field, err = parseAs(value, parseStatus, "a status from 400 to 499")
		}
		if err != nil {
			return fmt.Errorf("emporixfake: assumption %s: %w", name, err)
		}
		return nil
	}
	return fmt.Errorf("emporixfake: there is no assumption %q; Table lists them", name)
}

func parseAs[T any](value string, parse func(string) (T, error), want string) (T, error) {
	parsed, err := parse(value)
	if err != nil {
		var zero T
		return zero, fmt.Errorf("%q is not %s", value, want)
	}
	return parsed, nil
}

func parseNotNegative(value string) (time.Duration, error) {
	d, err := ParseDuration(value)
	if err == nil && d < 0 {
		err = strconv.ErrRange
	}
	return d, err
}

func parseStatus(value string) (int, error) {
	status, err := strconv.Atoi(value)
	if err == nil && (status < 400 || status > 499) {
		err = strconv.ErrRange
	}
	return status, err
}

func show(field any) (kind, value string) {
	switch field := field.(type) {
	case *bool:
		return "bool", strconv.FormatBool(*field)
	case *time.Duration:
		return "duration", field.String()
	case *int:
		return "status", strconv.Itoa(*field)
	default:
		panic("emporixfake: a switch of an unknown kind")
	}
}

// withStatuses replaces statuses that are 0, which no answer can have, by their
// defaults.
func (a Assumptions) withStatuses() *Assumptions {
	defaults := DefaultAssumptions()
	for _, s := range assumptionSwitches {
		if status, isStatus := s.field(&a).(*int); isStatus {
			setDefault(status, *s.field(&defaults).(*int))
		}
	}
	return &a
}

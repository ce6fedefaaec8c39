package emporix

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// CustomersService manages customer accounts and profiles.
type CustomersService service

// Customer is a customer's profile.
type Customer struct {
	ID string `json:"id,omitzero"`
	// CustomerNumber is the number that employees know the customer by.
	CustomerNumber    string `json:"customerNumber,omitzero"`
	Title             string `json:"title,omitzero"`
	FirstName         string `json:"firstName,omitzero"`
	MiddleName        string `json:"middleName,omitzero"`
	LastName          string `json:"lastName,omitzero"`
	ContactEmail      string `json:"contactEmail,omitzero"`
	ContactPhone      string `json:"contactPhone,omitzero"`
	Company           string `json:"company,omitzero"`
	PreferredLanguage string `json:"preferredLanguage,omitzero"`
	// PreferredCurrency is an ISO 4217 code, such as "EUR".
	PreferredCurrency string    `json:"preferredCurrency,omitzero"`
	PreferredSite     string    `json:"preferredSite,omitzero"`
	Accounts          []Account `json:"accounts,omitzero"`
	// Addresses come with Expand("addresses").
	Addresses []Address `json:"addresses,omitzero"`
	// DefaultAddress is nil where the server names none.
	DefaultAddress *Address      `json:"defaultAddress,omitzero"`
	BusinessModel  BusinessModel `json:"businessModel,omitzero"`
	B2B            B2B           `json:"b2b,omitzero"`
	// Mixins come with Expand("mixin:*").
	Mixins   Mixins   `json:"mixins,omitzero"`
	Metadata Metadata `json:"metadata,omitzero"`
	// LastLogin is zero for a customer who never logged in.
	LastLogin time.Time `json:"lastLogin,omitzero"`
}

// anonymousNumber is the customer number that every anonymous visitor has.
const anonymousNumber = "00000000"

// IsAnonymous reports whether this is no customer but the placeholder that the
// server shows to visitors who aren't logged in.
func (c *Customer) IsAnonymous() bool {
	return c.CustomerNumber == anonymousNumber || c.CustomerNumber == "0" // as a JSON number
}

// UnmarshalJSON takes what it can read: a member of another JSON type than the
// documented one is converted where its meaning is clear, such as a number for a
// string, and is left zero otherwise.
func (c *Customer) UnmarshalJSON(data []byte) error {
	var in customerResponse
	if err := wire.Decode(data, &in); err != nil {
		return err
	}
	in.tidy()
	*c = *in.customer()
	return nil
}

// customerResponse is a profile as it is sent. Get decodes into it at once: a
// method UnmarshalJSON makes the decoder read everything twice.
type customerResponse struct {
	plainCustomer
	LastLogin wire.Time `json:"lastLogin"`
}

type plainCustomer Customer

func (in *customerResponse) customer() *Customer {
	c := (*Customer)(&in.plainCustomer)
	c.LastLogin = in.LastLogin.Time
	return c
}

// Account is a login that belongs to a customer.
type Account struct {
	// ID is the login e-mail address.
	ID string `json:"id,omitzero"`
	// ProviderID is the identity provider's name for the customer, of a social
	// login.
	ProviderID string `json:"providerId,omitzero"`
}

// BusinessModel tells business customers from consumers. Other values than the
// constants may come and are kept as they are.
type BusinessModel string

// The business models that the API documents.
const (
	// BusinessModelB2B is a customer who is assigned to a company.
	BusinessModelB2B BusinessModel = "B2B"
	// BusinessModelB2C is any other customer.
	BusinessModelB2C BusinessModel = "B2C"
)

// B2B holds the data of business customers. Where a registration ID is
// given, the server also wants first name, last name and company.
type B2B struct {
	CompanyRegistrationID string        `json:"companyRegistrationId,omitzero"`
	LegalEntities         []LegalEntity `json:"legalEntities,omitzero"`
}

// LegalEntity is a company or part of one that a customer acts for.
type LegalEntity struct {
	ID                  string `json:"id,omitzero"`
	Name                string `json:"name,omitzero"`
	ContactAssignmentID string `json:"contactAssignmentId,omitzero"`
}

// Metadata holds the version of a resource and the schemas of its mixins.
type Metadata struct {
	// The server raises Version with a change. Sent back in a patch, it guards against
	// overwriting another change.
	Version int          `json:"version,omitzero"`
	Mixins  MixinSchemas `json:"mixins,omitzero"`
}

// MixinSchemas are the URLs of the mixins' JSON schemas, by mixin name. A URL is
// a string. Any other JSON value that the server holds under a name is a
// [json.RawMessage], so that writing the map back loses nothing.
type MixinSchemas map[string]any

// URL returns the URL under that name, or "" if there is none.
func (m MixinSchemas) URL(name string) string {
	url, _ := m[name].(string)
	return url
}

// UnmarshalJSON keeps all entries. It never fails: JSON of another type than an
// object changes nothing.
func (m *MixinSchemas) UnmarshalJSON(data []byte) error {
	if string(data) == "{}" { // of most profiles
		*m = nil
		return nil
	}
	if urls := flatTexts(data); urls != nil { // of nearly all others
		*m = urls
		return nil
	}
	var entries map[string]json.RawMessage
	_ = json.Unmarshal(data, &entries) // of another type there are none
	if entries == nil {
		return nil
	}
	*m = make(MixinSchemas, len(entries))
	for name, value := range entries {
		var url string
		if value[0] == '"' && json.Unmarshal(value, &url) == nil {
			(*m)[name] = url
		} else {
			(*m)[name] = value
		}
	}
	return nil
}

// flatTexts reads a JSON object of plain strings without a decoder, which would
// cost more than the rest of a profile's metadata. It is nil for all else.
func flatTexts(data []byte) map[string]any {
	rest, begins := bytes.CutPrefix(data, []byte("{"))
	rest, ends := bytes.CutSuffix(rest, []byte("}"))
	if !begins || !ends || bytes.ContainsRune(data, '\\') || !utf8.Valid(data) {
		return nil
	}
	quote := []byte{'"'}
	entries := map[string]any{}
	for {
		var texts [2]string // a name and its value
		for i := range texts {
			rest = bytes.TrimLeft(rest, " \t\r\n:,")
			if len(rest) == 0 && i == 0 {
				return entries
			}
			text, begins := bytes.CutPrefix(rest, quote)
			text, after, ends := bytes.Cut(text, quote)
			if !begins || !ends {
				return nil
			}
			texts[i], rest = string(text), after
		}
		entries[texts[0]] = texts[1]
	}
}

// SignUpRequest creates an account. fmt and slog show it without the passwords.
type SignUpRequest struct {
	// Email is the contact e-mail address, and the login unless SignUp names
	// another. Required.
	Email string `json:"email"`
	// Password goes with Email. Required.
	Password string `json:"password"`
	// CustomerDetails is the profile. Its ContactEmail must be the same as Email.
	CustomerDetails CustomerDetails `json:"customerDetails,omitzero"`
	// CustomerAddress is the first address; its ContactName is required.
	CustomerAddress AddressRequest `json:"customerAddress,omitzero"`
	// SignUp holds login credentials that differ from Email and Password.
	SignUp SignUpCredentials `json:"signup,omitzero"`
}

// Format masks the passwords for every verb of fmt but %p and %w.
func (r SignUpRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue masks the passwords for slog.
func (r SignUpRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r SignUpRequest) masked() any {
	type signUp SignUpRequest
	r.Password, r.SignUp.Password = mask(r.Password), mask(r.SignUp.Password)
	return signUp(r)
}

// SignUpCredentials are the login credentials of a customer who logs in with
// another address than the contact e-mail address. fmt and slog show them
// without the password.
type SignUpCredentials struct {
	// Email is the login e-mail address. Required.
	Email string `json:"email"`
	// Password goes with Email. Required.
	Password string `json:"password"`
}

// Format masks the password for every verb of fmt but %p and %w.
func (c SignUpCredentials) Format(f fmt.State, verb rune) { formatMasked(f, verb, c.masked()) }

// LogValue masks the password for slog.
func (c SignUpCredentials) LogValue() slog.Value { return slog.AnyValue(c.masked()) }

func (c SignUpCredentials) masked() any {
	type credentials SignUpCredentials
	c.Password = mask(c.Password)
	return credentials(c)
}

// CustomerDetails is the profile of a customer who signs up.
type CustomerDetails struct {
	Title             string `json:"title,omitzero"`
	FirstName         string `json:"firstName,omitzero"`
	MiddleName        string `json:"middleName,omitzero"`
	LastName          string `json:"lastName,omitzero"`
	ContactEmail      string `json:"contactEmail,omitzero"`
	ContactPhone      string `json:"contactPhone,omitzero"`
	Company           string `json:"company,omitzero"`
	PreferredLanguage string `json:"preferredLanguage,omitzero"`
	// PreferredCurrency is an ISO 4217 code, such as "EUR".
	PreferredCurrency string   `json:"preferredCurrency,omitzero"`
	PreferredSite     string   `json:"preferredSite,omitzero"`
	B2B               B2B      `json:"b2b,omitzero"`
	Metadata          Metadata `json:"metadata,omitzero"`
	Mixins            Mixins   `json:"mixins,omitzero"`
	// SendEmpty names the members that are sent although they are empty, in the
	// API's words, such as "middleName". Other empty members are left out.
	SendEmpty []string `json:"-"`
}

// MarshalJSON leaves out empty members, but for those in SendEmpty.
func (d CustomerDetails) MarshalJSON() ([]byte, error) {
	type plain CustomerDetails
	return encodeWithEmpty(plain(d), d.SendEmpty)
}

// CustomerPatch changes some fields of a profile. Fields that aren't set stay
// as they are, and Null removes a field's value.
type CustomerPatch struct {
	Title      Optional[string] `json:"title,omitzero"`
	FirstName  Optional[string] `json:"firstName,omitzero"`
	MiddleName Optional[string] `json:"middleName,omitzero"`
	LastName   Optional[string] `json:"lastName,omitzero"`
	// ContactEmail can be changed but not removed: Null is refused.
	ContactEmail      Optional[string] `json:"contactEmail,omitzero"`
	ContactPhone      Optional[string] `json:"contactPhone,omitzero"`
	Company           Optional[string] `json:"company,omitzero"`
	PreferredLanguage Optional[string] `json:"preferredLanguage,omitzero"`
	// PreferredCurrency is an ISO 4217 code, such as "EUR".
	PreferredCurrency Optional[string]        `json:"preferredCurrency,omitzero"`
	PreferredSite     Optional[string]        `json:"preferredSite,omitzero"`
	B2B               Optional[B2BPatch]      `json:"b2b,omitzero"`
	Metadata          Optional[MetadataPatch] `json:"metadata,omitzero"`
	Mixins            Optional[Mixins]        `json:"mixins,omitzero"`
}

// B2BPatch changes the data of business customers.
type B2BPatch struct {
	CompanyRegistrationID Optional[string] `json:"companyRegistrationId,omitzero"`
}

// MetadataPatch names the version that a change is meant for, and the schemas
// of the mixins.
type MetadataPatch struct {
	// Version is the one that was read. The server refuses the change if the
	// resource has another by now.
	Version Optional[int]          `json:"version,omitzero"`
	Mixins  Optional[MixinSchemas] `json:"mixins,omitzero"`
}

// EmployeeCustomerPatch is what an employee may change in a customer: the
// profile, and beyond it whether the customer may log in.
type EmployeeCustomerPatch struct {
	Title      Optional[string] `json:"title,omitzero"`
	FirstName  Optional[string] `json:"firstName,omitzero"`
	MiddleName Optional[string] `json:"middleName,omitzero"`
	LastName   Optional[string] `json:"lastName,omitzero"`
	// ContactEmail can be changed but not removed: Null is refused.
	ContactEmail      Optional[string] `json:"contactEmail,omitzero"`
	ContactPhone      Optional[string] `json:"contactPhone,omitzero"`
	Company           Optional[string] `json:"company,omitzero"`
	PreferredLanguage Optional[string] `json:"preferredLanguage,omitzero"`
	// PreferredCurrency is an ISO 4217 code, such as "EUR".
	PreferredCurrency Optional[string] `json:"preferredCurrency,omitzero"`
	PreferredSite     Optional[string] `json:"preferredSite,omitzero"`
	// Type is "CUSTOMER", which is also what an empty one means, or "CONTACT".
	Type     Optional[string] `json:"type,omitzero"`
	PhotoURL Optional[string] `json:"photoUrl,omitzero"`
	// Restriction limits who can see the customer to those with the same one.
	Restriction Optional[string]        `json:"restriction,omitzero"`
	B2B         Optional[B2BPatch]      `json:"b2b,omitzero"`
	Metadata    Optional[MetadataPatch] `json:"metadata,omitzero"`
	Mixins      Optional[Mixins]        `json:"mixins,omitzero"`
	// Active is whether the account is enabled.
	Active Optional[bool] `json:"active,omitzero"`
	// OnHold is whether the account is suspended.
	OnHold Optional[bool] `json:"onHold,omitzero"`
}

type resendActivationRequest struct {
	Email string `json:"email"`
}

// createdResource is the response to creating something: its ID.
type createdResource struct{ id string }

func (c *createdResource) UnmarshalJSON(data []byte) (err error) {
	c.id, err = wire.DecodeID(data)
	return err
}

// CustomerGetOption changes what Customers.Get asks for.
type CustomerGetOption func(*customerGetOptions)

type customerGetOptions struct {
	Expand []string `url:"expand,comma,omitempty"`
}

// Expand asks for parts of the profile that are left out otherwise: "addresses"
// and "mixin:*".
func Expand(parts ...string) CustomerGetOption {
	return func(o *customerGetOptions) { o.Expand = append(o.Expand, parts...) }
}

// CustomerUpdateOption changes how Customers.Update sends a patch.
type CustomerUpdateOption func(*customerUpdateOptions)

type customerUpdateOptions struct{ mergePatch bool }

// AsMergePatch sends the patch as application/merge-patch+json. A patch with a
// Null field is sent so anyway; any other is application/json.
func AsMergePatch() CustomerUpdateOption {
	return func(o *customerUpdateOptions) { o.mergePatch = true }
}

// SignUp creates an account and returns the customer's ID. Whether the customer
// can log in at once is the tenant's choice: an employee may have to activate
// the account (Activate), or the customer may have to follow a link in a mail
// (ConfirmSignUp). It is not repeated once it may have been sent: then the error
// is ErrOutcomeUnknown, and a second SignUp answers ErrConflict if the first one
// arrived.
//
// Bearer: anonymous. Errors: *ArgumentError without an e-mail address or a
// password, for an address without a contact name or with a comma in a tag, and
// for a name in SendEmpty that is no member,
// ErrConflict for an address that has an account, ErrInvalidRequest,
// ErrUnauthorized, ErrForbidden.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#post-customer-tenant-signup
func (s *CustomersService) SignUp(ctx context.Context, req SignUpRequest) (id string, err error) {
	if err := checkSignUp(req); err != nil {
		return "", named(operation.CustomersSignUp, err)
	}
	var created createdResource
	if err := s.on().do(ctx, request{op: operation.CustomersSignUp, body: req, into: &created}); err != nil {
		return "", err
	}
	return created.id, nil
}

func checkSignUp(req SignUpRequest) error {
	if err := requireText("email", req.Email); err != nil {
		return err
	}
	if err := requirePassword("password", req.Password); err != nil {
		return err
	}
	if req.SignUp != (SignUpCredentials{}) {
		if err := requireText("signup.email", req.SignUp.Email); err != nil {
			return err
		}
		if err := requirePassword("signup.password", req.SignUp.Password); err != nil {
			return err
		}
	}
	if !reflect.ValueOf(req.CustomerAddress).IsZero() {
		if err := requireText("customerAddress.contactName", req.CustomerAddress.ContactName); err != nil {
			return err
		}
	}
	if err := checkSendEmpty("customerDetails.", req.CustomerDetails, req.CustomerDetails.SendEmpty); err != nil {
		return err
	}
	if err := checkSendEmpty("customerAddress.", req.CustomerAddress, req.CustomerAddress.SendEmpty); err != nil {
		return err
	}
	return checkTags(req.CustomerAddress.Tags)
}

// ConfirmSignUp completes a sign-up with the token of the activation e-mail
// (double opt-in). Where the tenant logs the customer in with it, the result
// says so, and the session goes on as with Login.
//
// Bearer: the visitor's own anonymous one. Errors: ErrInvalidRequest,
// ErrUnauthorized, ErrRateLimited, ErrUnavailable, ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/double-opt-in#get-customer-tenant-signup-optin-token
func (s *CustomersService) ConfirmSignUp(ctx context.Context, token string) (*LoginResult, error) {
	if err := identifier("token", token, maxMailToken); err != nil {
		return nil, named(operation.CustomersConfirmSignUp, err)
	}
	login, err := s.on().login(ctx, request{op: operation.CustomersConfirmSignUp, path: []string{token}})
	if err != nil {
		return nil, err
	}
	result := loginResult(login)
	return &result, nil
}

// ResendActivation has the mail with the activation link sent again.
//
// Bearer: anonymous. Errors: *ArgumentError without an e-mail address,
// ErrInvalidRequest, ErrUnauthorized, ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/double-opt-in#post-customer-tenant-signup-optin-refresh_token
func (s *CustomersService) ResendActivation(ctx context.Context, email string) error {
	if err := requireText("email", email); err != nil {
		return named(operation.CustomersResendActivation, err)
	}
	return s.on().do(ctx, request{
		op:   operation.CustomersResendActivation,
		body: resendActivationRequest{Email: email},
	})
}

// Get returns the profile of the customer. For a visitor who isn't logged in it
// returns a placeholder, which Customer.IsAnonymous tells apart; for a customer
// whose session expired it fails with ErrSessionExpired until the next login or
// logout.
//
// Bearer: customer, else anonymous. Errors: *ArgumentError for a name in Expand
// that is empty or holds a comma, ErrSessionExpired, ErrInvalidRequest,
// ErrUnauthorized, ErrForbidden.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/account-and-profile#get-customer-tenant-me
func (s *CustomersService) Get(ctx context.Context, opts ...CustomerGetOption) (*Customer, error) {
	query, err := expansion(opts)
	if err != nil {
		return nil, named(operation.CustomersGet, err)
	}
	in := new(customerResponse)
	if err := s.on().do(ctx, request{op: operation.CustomersGet, query: query, into: in}); err != nil {
		return nil, err
	}
	return in.customer(), nil
}

// expansion returns the query of Get, or nil for none.
func expansion(opts []CustomerGetOption) (query any, err error) {
	if len(opts) == 0 {
		return nil, nil
	}
	var o customerGetOptions
	for _, opt := range opts {
		if opt == nil {
			return nil, nilOption()
		}
		opt(&o)
	}
	for _, part := range o.Expand {
		if err := checkListElement("expand", part); err != nil {
			return nil, err
		}
	}
	if len(o.Expand) == 0 {
		return nil, nil
	}
	return o, nil
}

// Update changes some fields of the customer's profile. With Metadata.Version
// set, the server refuses the change if the profile has another version by now.
// To see the new state, call Get. It is not repeated once it may have been sent:
// then the error is ErrOutcomeUnknown.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: ErrEmptyPatch,
// *ArgumentError for a contact e-mail address that is Null, ErrConflict,
// ErrInvalidRequest, ErrUnauthorized, ErrForbidden.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/account-and-profile#patch-customer-tenant-me
func (s *CustomersService) Update(ctx context.Context, patch CustomerPatch, opts ...CustomerUpdateOption) error {
	body, err := encode(patch)
	if err != nil {
		return named(operation.CustomersUpdate, err)
	}
	empty, null := inspectPatch(body)
	switch {
	case empty:
		return &callError{op: operation.CustomersUpdate.Name, err: ErrEmptyPatch}
	case patch.ContactEmail.IsNull():
		return named(operation.CustomersUpdate, contactEmailNull())
	}
	o := customerUpdateOptions{mergePatch: null != ""}
	for _, opt := range opts {
		if opt == nil {
			return named(operation.CustomersUpdate, nilOption())
		}
		opt(&o)
	}
	return s.on().do(ctx, request{op: operation.CustomersUpdate, body: body, mergePatch: o.mergePatch})
}

// Activate lets the customer with that number log in: the account becomes
// active and is not on hold. It takes an employee's rights, not the customer's,
// and needs employee credentials or an employee token function on the client.
//
// Bearer: employee, with the scope customer.customer_manage or
// customer.customer_manage_own. Errors: ErrNotFound for an unknown number,
// ErrInvalidRequest, ErrUnauthorized, ErrForbidden, ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-service/api-reference/account-and-profile#patch-customer-tenant-customers-customernumber
func (s *CustomersService) Activate(ctx context.Context, customerNumber string) error {
	return s.UpdateAsEmployee(ctx, customerNumber, EmployeeCustomerPatch{Active: Set(true), OnHold: Set(false)})
}

// UpdateAsEmployee changes some fields of the customer with that number, also those
// that the customer can't change. It needs employee credentials or an employee
// token function on the client. Logs and errors name it Customers.Activate, which
// sends the same request.
//
// Bearer: employee, with the scope customer.customer_manage or
// customer.customer_manage_own. Errors: ErrEmptyPatch, *ArgumentError for a contact
// e-mail address that is Null, ErrNotFound for an unknown number, ErrInvalidRequest,
// ErrUnauthorized, ErrForbidden, ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-service/api-reference/account-and-profile#patch-customer-tenant-customers-customernumber
func (s *CustomersService) UpdateAsEmployee(ctx context.Context, customerNumber string, patch EmployeeCustomerPatch) error {
	body, err := encode(patch)
	if err != nil {
		return named(operation.CustomersActivate, err)
	}
	empty, null := inspectPatch(body)
	switch {
	case empty:
		return &callError{op: operation.CustomersActivate.Name, err: ErrEmptyPatch}
	case patch.ContactEmail.IsNull():
		return named(operation.CustomersActivate, contactEmailNull())
	}
	return s.on().do(ctx, request{
		op:         operation.CustomersActivate,
		path:       []string{customerNumber},
		body:       body,
		mergePatch: null != "",
	})
}

func nilOption() error { return &ArgumentError{Field: "option", Reason: "is nil"} }

func contactEmailNull() error {
	return &ArgumentError{Field: "contactEmail", Reason: "can't be removed once it has a value; set another"}
}

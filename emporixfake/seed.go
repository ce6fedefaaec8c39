package emporixfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Seed is a state to start with. As JSON it is what cmd/emporix-fake reads.
type Seed struct {
	Customers  []Customer          `json:"customers,omitempty"`
	Companies  []Company           `json:"companies,omitempty"`
	Identities map[string]Identity `json:"identities,omitempty"` // by social login code
	Subjects   []Subject           `json:"subjects,omitempty"`
}

// clone shares no slice and no map with s.
func (s Seed) clone() Seed {
	s.Customers = slices.Clone(s.Customers)
	for i := range s.Customers {
		c := &s.Customers[i]
		c.Mixins = cloneObject(c.Mixins)
		c.Addresses = slices.Clone(c.Addresses)
		for j := range c.Addresses {
			c.Addresses[j] = cloneObject(c.Addresses[j])
		}
	}
	s.Companies = slices.Clone(s.Companies)
	for i := range s.Companies {
		s.Companies[i].Contacts = slices.Clone(s.Companies[i].Contacts)
	}
	s.Identities = maps.Clone(s.Identities)
	s.Subjects = slices.Clone(s.Subjects)
	return s
}

// cloneObject copies a JSON object, and what is in it.
func cloneObject(o object) object {
	o = maps.Clone(o)
	for name, value := range o {
		o[name] = cloneValue(value)
	}
	return o
}

func cloneValue(value any) any {
	switch value := value.(type) {
	case object:
		return cloneObject(value)
	case []any:
		list := slices.Clone(value)
		for i := range list {
			list[i] = cloneValue(list[i])
		}
		return list
	default:
		return value
	}
}

// Customer is a customer to add. Only Email is required; the account is active
// unless Inactive says otherwise.
type Customer struct {
	CustomerNumber        string         `json:"customerNumber,omitempty"` // 8 digits; chosen if empty
	Email                 string         `json:"email"`                    // to log in with
	Password              string         `json:"password,omitempty"`       // without one, only social login and exchange work
	ContactEmail          string         `json:"contactEmail,omitempty"`   // Email if empty
	Title                 string         `json:"title,omitempty"`
	FirstName             string         `json:"firstName,omitempty"`
	MiddleName            string         `json:"middleName,omitempty"`
	LastName              string         `json:"lastName,omitempty"`
	ContactPhone          string         `json:"contactPhone,omitempty"`
	Company               string         `json:"company,omitempty"`
	PreferredLanguage     string         `json:"preferredLanguage,omitempty"`
	PreferredCurrency     string         `json:"preferredCurrency,omitempty"`
	PreferredSite         string         `json:"preferredSite,omitempty"`
	CompanyRegistrationID string         `json:"companyRegistrationId,omitempty"`
	Inactive              bool           `json:"inactive,omitempty"`
	OnHold                bool           `json:"onHold,omitempty"`
	InitialPassword       bool           `json:"initialPassword,omitempty"` // set by an employee
	Mixins                map[string]any `json:"mixins,omitempty"`
	// Addresses are objects as the API takes them at sign-up; "id" is chosen if
	// absent, and a member that the API does not know is refused.
	Addresses []map[string]any `json:"addresses,omitempty"`
}

// Company is a legal entity and its contacts. Adding one that exists adds the
// contacts.
type Company struct {
	ID       string    `json:"id"`
	Name     string    `json:"name,omitempty"`
	Contacts []Contact `json:"contacts,omitempty"`
}

// Contact assigns a customer to a company. The customer is named by number or
// by login e-mail.
type Contact struct {
	CustomerNumber      string `json:"customerNumber,omitempty"`
	Email               string `json:"email,omitempty"`
	ContactAssignmentID string `json:"contactAssignmentId,omitempty"` // chosen if empty
}

// Identity is a person at an identity provider. A customer is found by Email,
// or made when there is none.
type Identity struct {
	Email        string `json:"email"`
	ProviderID   string `json:"providerId,omitempty"` // "fake|" and the e-mail if empty
	FirstName    string `json:"firstName,omitempty"`
	LastName     string `json:"lastName,omitempty"`
	CodeVerifier string `json:"codeVerifier,omitempty"` // what social login must send, if set
	// CodeChallenge is the S256 challenge of PKCE that the verifier of the social
	// login must answer, if set: an identity provider knows no more of it.
	CodeChallenge string `json:"codeChallenge,omitempty"`
	Inactive      bool   `json:"inactive,omitempty"` // the provider calls the token inactive
}

// Subject is a token of an identity provider that can be exchanged, with the
// configuration that it belongs to; "" is the default configuration.
type Subject struct {
	Token    string   `json:"token"`
	Config   string   `json:"config,omitempty"`
	Identity Identity `json:"identity"`
}

type subject struct {
	identity Identity
	config   string
}

// ReadSeed reads a seed as JSON. Members that it does not know are refused, and
// so is what AddCustomer or AddCompany would refuse.
func ReadSeed(r io.Reader) (Seed, error) {
	raw, err := io.ReadAll(r)
	var seed Seed
	if err == nil {
		err = decodeStrictly(raw, &seed)
	}
	if err != nil {
		return Seed{}, fmt.Errorf("emporixfake: read the seed: %w", err)
	}
	trial := newTenant(Config{}.withDefaults(), newSecretBook())
	if err := trial.apply(seed); err != nil {
		return Seed{}, err
	}
	return seed, nil
}

func (t *tenant) apply(seed Seed) error {
	for i, c := range seed.Customers {
		if _, err := t.addCustomer(c); err != nil {
			return fmt.Errorf("emporixfake: customer %d of the seed: %w", i+1, err)
		}
	}
	for i, c := range seed.Companies {
		if err := t.addCompany(c); err != nil {
			return fmt.Errorf("emporixfake: company %d of the seed: %w", i+1, err)
		}
	}
	for code, identity := range seed.Identities {
		if err := t.addIdentity(code, identity); err != nil {
			return fmt.Errorf("emporixfake: identity of the seed: %w", err)
		}
	}
	for i, s := range seed.Subjects {
		if err := t.addSubject(s); err != nil {
			return fmt.Errorf("emporixfake: subject %d of the seed: %w", i+1, err)
		}
	}
	return nil
}

// AddCustomer adds a customer and answers it with its number and ContactEmail.
// It refuses an e-mail or number that is taken, and values that the API would
// refuse.
func (s *Server) AddCustomer(c Customer) (Customer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	added, err := s.tenant.addCustomer(c)
	if err != nil {
		return Customer{}, fmt.Errorf("emporixfake: add a customer: %w", err)
	}
	return added, nil
}

// AddCompany adds a legal entity and assigns customers to it.
func (s *Server) AddCompany(c Company) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.tenant.addCompany(c); err != nil {
		return fmt.Errorf("emporixfake: add a company: %w", err)
	}
	return nil
}

// AddSocialIdentity makes code, once, an authorization code for the identity.
// Without it, "fake-code:jo@example.com" is one for that address, also with a
// suffix such as "fake-code:jo@example.com:2", since codes work once.
func (s *Server) AddSocialIdentity(code string, identity Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.tenant.addIdentity(code, identity); err != nil {
		return fmt.Errorf("emporixfake: add a social identity: %w", err)
	}
	return nil
}

// AddSubjectToken makes a token exchangeable, and its configuration known.
// Without it, "fake-subject:jo@example.com" is one for that address, also with a
// suffix, in every known configuration.
func (s *Server) AddSubjectToken(token string, identity Identity, config string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.tenant.addSubject(Subject{Token: token, Config: config, Identity: identity}); err != nil {
		return fmt.Errorf("emporixfake: add a subject token: %w", err)
	}
	return nil
}

var eightDigits = regexp.MustCompile(`^[0-9]{8}$`)

func (t *tenant) addCustomer(c Customer) (Customer, error) {
	if err := t.checkCustomer(c); err != nil {
		return c, err
	}
	setDefault(&c.ContactEmail, c.Email)
	profile, err := profileOf(c)
	if err != nil {
		return c, err
	}
	addresses, err := addressesOf(c)
	if err != nil {
		return c, err
	}
	cu := t.newCustomer(c.CustomerNumber, c.Email)
	cu.password, cu.initialPassword = c.Password, c.InitialPassword
	cu.active, cu.onHold = !c.Inactive, c.OnHold
	t.secrets.given(c.Password)
	merge(cu.profile, profile)
	for _, given := range addresses {
		cu.addAddress(given)
	}
	c.CustomerNumber = cu.number
	return c, nil
}

// checkCustomer says why the tenant can't take a customer.
func (t *tenant) checkCustomer(c Customer) error {
	switch {
	case strings.TrimSpace(c.Email) == "":
		return errors.New("email is empty")
	case c.Password != "" && utf8.RuneCountInString(c.Password) < minPassword:
		return fmt.Errorf("password must have at least %d characters, as the API asks at login", minPassword)
	case len(c.Addresses) > maxAddresses:
		return fmt.Errorf("there are %d addresses; a customer can have %d", len(c.Addresses), maxAddresses)
	case len(t.customers) >= maxCustomers:
		return errors.New("the fake takes no more customers; reset it")
	case t.byLogin(c.Email) != nil:
		return errors.New("the e-mail is in use")
	case c.CustomerNumber != "" && (!eightDigits.MatchString(c.CustomerNumber) || c.CustomerNumber == "00000000"):
		return errors.New("customerNumber must be 8 digits, and not all of them 0")
	case c.CustomerNumber != "" && t.customers[c.CustomerNumber] != nil:
		return errors.New("the customerNumber is in use")
	}
	return nil
}

// profileOf returns the profile of a customer to add, as the API has it.
func profileOf(c Customer) (object, error) {
	profile := object{}
	for name, value := range map[string]string{
		"contactEmail": c.ContactEmail, "title": c.Title, "firstName": c.FirstName, "middleName": c.MiddleName,
		"lastName": c.LastName, "contactPhone": c.ContactPhone, "company": c.Company,
		"preferredLanguage": c.PreferredLanguage, "preferredCurrency": c.PreferredCurrency, "preferredSite": c.PreferredSite,
	} {
		if value != "" {
			profile[name] = value
		}
	}
	if c.CompanyRegistrationID != "" {
		profile["b2b"] = object{"companyRegistrationId": c.CompanyRegistrationID}
	}
	if c.Mixins != nil {
		mixins, err := normal(c.Mixins)
		if err != nil {
			return nil, err
		}
		profile["mixins"] = mixins
	}
	if details := profileSchema.check("", profile, false); details != nil {
		return nil, fmt.Errorf("%s %s", details[0].Field, details[0].Message)
	}
	if missing := missingForCompany(profile, ""); missing != nil {
		return nil, fmt.Errorf("%s %s", missing[0].Field, missing[0].Message)
	}
	return profile, nil
}

// addressesOf returns the addresses of a customer to add, as the API has them.
func addressesOf(c Customer) (addresses []object, err error) {
	ids, hasDefault := map[string]bool{}, false
	for _, given := range c.Addresses {
		plain, err := normal(given)
		if err != nil {
			return nil, err
		}
		if details := signupAddressSchema.check("addresses", plain, false); details != nil {
			return nil, fmt.Errorf("%s %s", details[0].Field, details[0].Message)
		}
		if unknown := signupAddressSchema.undeclared("addresses", plain); unknown != nil {
			return nil, fmt.Errorf("%s is no member of an address", unknown[0].Field)
		}
		if id := textIn(plain, "id"); id != "" {
			if ids[id] {
				return nil, fmt.Errorf("two addresses have the id %q", id)
			}
			ids[id] = true
		}
		if isDefault, _ := plain["isDefault"].(bool); isDefault {
			if hasDefault {
				return nil, errors.New("two addresses are the default")
			}
			hasDefault = true
		}
		addresses = append(addresses, signupAddressSchema.pick(plain))
	}
	return addresses, nil
}

// normal brings values of Go into the form that decoded JSON has.
func normal(value map[string]any) (object, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var plain object
	err = decoder.Decode(&plain)
	return plain, err
}

func (t *tenant) addCompany(c Company) error {
	if c.ID == "" {
		return errors.New("id is empty")
	}
	var contacts []*customer
	for _, contact := range c.Contacts {
		cu := t.customers[contact.CustomerNumber]
		if contact.CustomerNumber == "" {
			cu = t.byLogin(contact.Email)
		}
		if cu == nil {
			return fmt.Errorf("there is no customer %q; add it before the company", contact.CustomerNumber+contact.Email)
		}
		contacts = append(contacts, cu)
	}
	co := t.companies[c.ID]
	if co == nil {
		co = &company{id: c.ID}
		t.companies[c.ID] = co
	}
	if c.Name != "" {
		co.name = c.Name
	}
	for i, cu := range contacts {
		if !cu.assigned(c.ID) {
			id := c.Contacts[i].ContactAssignmentID
			setDefault(&id, randomHex(6))
			cu.entities = append(cu.entities, assignment{co, id})
		}
	}
	return nil
}

func (t *tenant) addIdentity(code string, identity Identity) error {
	if code == "" || identity.Email == "" {
		return errors.New("the code or the e-mail is empty")
	}
	t.identities[code] = identity
	delete(t.usedCodes, code)
	t.secrets.add(code)
	t.secrets.add(identity.CodeVerifier)
	return nil
}

func (t *tenant) addSubject(s Subject) error {
	if s.Token == "" || s.Identity.Email == "" {
		return errors.New("the token or the e-mail is empty")
	}
	t.subjects[s.Token] = subject{s.Identity, s.Config}
	t.configs[s.Config] = true
	t.secrets.add(s.Token)
	return nil
}

package emporixfake

import (
	"fmt"
	"strings"
	"time"
)

// Bounds on what a client can make the fake remember. Tokens beyond theirs push
// out the oldest; the others are refused.
const (
	maxTokens    = 200_000
	maxCustomers = 100_000
	maxAddresses = 1_000  // per customer
	maxCompanies = 10_000 // made by sign-ups
	maxEntities  = 100    // of a sign-up
)

// tenant is the state. Its methods run under the server's mutex.
type tenant struct {
	cfg     Config
	secrets *secretBook

	customers map[string]*customer // by customer number
	logins    map[string]*customer // by login e-mail in lower case
	companies map[string]*company
	lastID    int

	access     map[string]*accessToken
	refresh    map[string]*refreshToken
	accessAge  queue
	refreshAge queue

	mails      []*mail // oldest first
	mailTokens map[string]*mail

	identities map[string]Identity // by social login code
	usedCodes  map[string]bool
	subjects   map[string]subject // by subject token
	configs    map[string]bool    // of exchange
	signingKey string
}

type customer struct {
	number          string
	login           string
	password        string
	providerID      string
	active          bool
	onHold          bool
	initialPassword bool
	profile         object // the members of profileSchema but metadata
	links           object // metadata.mixins
	version         int64
	lastLogin       time.Time
	addresses       []*address
	entities        []assignment
}

type company struct{ id, name string }

type assignment struct {
	company   *company
	contactID string
}

func newTenant(cfg Config, secrets *secretBook) *tenant {
	return &tenant{
		cfg: cfg, secrets: secrets,
		customers: map[string]*customer{}, logins: map[string]*customer{}, companies: map[string]*company{},
		lastID:     13869000,
		access:     map[string]*accessToken{},
		refresh:    map[string]*refreshToken{},
		mailTokens: map[string]*mail{},
		identities: map[string]Identity{}, usedCodes: map[string]bool{}, subjects: map[string]subject{},
		configs: map[string]bool{"": true}, signingKey: randomText(32),
	}
}

func (t *tenant) nextNumber() string {
	for {
		number := fmt.Sprintf("%08d", t.lastID)
		t.lastID++
		if t.customers[number] == nil {
			return number
		}
	}
}

func (t *tenant) byLogin(email string) *customer { return t.logins[strings.ToLower(email)] }

func (t *tenant) newCustomer(number, login string) *customer {
	if number == "" {
		number = t.nextNumber()
	}
	cu := &customer{
		number: number, login: login, version: 1, links: object{},
		profile: object{"preferredLanguage": "en_US", "preferredCurrency": "USD", "preferredSite": "main"},
	}
	t.customers[number] = cu
	t.logins[strings.ToLower(login)] = cu
	return cu
}

func (t *tenant) changeLogin(cu *customer, login string) {
	delete(t.logins, strings.ToLower(cu.login))
	cu.login = login
	t.logins[strings.ToLower(login)] = cu
}

func (cu *customer) assigned(legalEntityID string) bool {
	for _, a := range cu.entities {
		if a.company.id == legalEntityID {
			return true
		}
	}
	return false
}

func (cu *customer) usable() bool { return cu.active && !cu.onHold }

// queue remembers the order in which keys came, to forget the oldest.
type queue struct{ keys []string }

func (q *queue) push(key string, limit int, forget func(string)) {
	q.keys = append(q.keys, key)
	if len(q.keys) > limit {
		forget(q.keys[0])
		q.keys = q.keys[1:]
	}
}

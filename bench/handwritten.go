package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// handwritten is the yardstick: the two calls as one would write them without
// an SDK, for somebody who has a token that never ends. No retry, no renewal,
// no limit on the answer's size.
//
// Of the ways to bound a call it takes the cheaper one, a context deadline;
// http.Client.Timeout over a wrapped transport costs 18 allocations and a
// goroutine, and would flatter the SDK.
type handwritten struct {
	client  *http.Client
	baseURL string
	token   string
}

func (h *handwritten) profile(ctx context.Context) (*profile, error) {
	p := new(profile)
	return p, h.get(ctx, "/customer/"+url.PathEscape(tenant)+"/me", p)
}

func (h *handwritten) addresses(ctx context.Context) (list []address, err error) {
	err = h.get(ctx, "/customer/"+url.PathEscape(tenant)+"/me/addresses", &list)
	return list, err
}

func (h *handwritten) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	u, err := url.Parse(h.baseURL + path)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Emporix-Tenant", tenant)
	req.Header.Set("User-Agent", "my-shop/1.0")
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", path, resp.StatusCode)
	}
	return json.Unmarshal(body, into)
}

// profile and address have the fields of emporix.Customer and emporix.Address,
// and nothing but encoding/json to decode them.
type profile struct {
	ID                string    `json:"id"`
	CustomerNumber    string    `json:"customerNumber"`
	Title             string    `json:"title"`
	FirstName         string    `json:"firstName"`
	MiddleName        string    `json:"middleName"`
	LastName          string    `json:"lastName"`
	ContactEmail      string    `json:"contactEmail"`
	ContactPhone      string    `json:"contactPhone"`
	Company           string    `json:"company"`
	PreferredLanguage string    `json:"preferredLanguage"`
	PreferredCurrency string    `json:"preferredCurrency"`
	PreferredSite     string    `json:"preferredSite"`
	Accounts          []account `json:"accounts"`
	Addresses         []address `json:"addresses"`
	DefaultAddress    *address  `json:"defaultAddress"`
	BusinessModel     string    `json:"businessModel"`
	B2B               struct {
		CompanyRegistrationID string        `json:"companyRegistrationId"`
		LegalEntities         []legalEntity `json:"legalEntities"`
	} `json:"b2b"`
	Mixins    map[string]json.RawMessage `json:"mixins"`
	Metadata  metadata                   `json:"metadata"`
	LastLogin time.Time                  `json:"lastLogin"`
}

type account struct {
	ID         string `json:"id"`
	ProviderID string `json:"providerId"`
}

type legalEntity struct {
	ID                  string `json:"id"`
	Name                string `json:"name"`
	ContactAssignmentID string `json:"contactAssignmentId"`
}

type metadata struct {
	Version int               `json:"version"`
	Mixins  map[string]string `json:"mixins"`
}

type address struct {
	ID             string                     `json:"id"`
	ContactName    string                     `json:"contactName"`
	CompanyName    string                     `json:"companyName"`
	Street         string                     `json:"street"`
	StreetNumber   string                     `json:"streetNumber"`
	StreetAppendix string                     `json:"streetAppendix"`
	ExtraLine1     string                     `json:"extraLine1"`
	ExtraLine2     string                     `json:"extraLine2"`
	ExtraLine3     string                     `json:"extraLine3"`
	ExtraLine4     string                     `json:"extraLine4"`
	ZipCode        string                     `json:"zipCode"`
	City           string                     `json:"city"`
	Country        string                     `json:"country"`
	State          string                     `json:"state"`
	ContactPhone   string                     `json:"contactPhone"`
	IsDefault      bool                       `json:"isDefault"`
	Tags           []string                   `json:"tags"`
	Metadata       metadata                   `json:"metadata"`
	Mixins         map[string]json.RawMessage `json:"mixins"`
}

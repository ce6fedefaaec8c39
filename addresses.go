package emporix

import (
	"context"
	"strings"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// AddressesService manages the addresses of the logged-in customer.
type AddressesService service

// Address is an address of a customer.
type Address struct {
	ID             string `json:"id,omitzero"`
	ContactName    string `json:"contactName,omitzero"`
	CompanyName    string `json:"companyName,omitzero"`
	Street         string `json:"street,omitzero"`
	StreetNumber   string `json:"streetNumber,omitzero"`
	StreetAppendix string `json:"streetAppendix,omitzero"`
	ExtraLine1     string `json:"extraLine1,omitzero"`
	ExtraLine2     string `json:"extraLine2,omitzero"`
	ExtraLine3     string `json:"extraLine3,omitzero"`
	ExtraLine4     string `json:"extraLine4,omitzero"`
	ZipCode        string `json:"zipCode,omitzero"`
	City           string `json:"city,omitzero"`
	// Country is a code of two letters, such as "DE".
	Country      string `json:"country,omitzero"`
	State        string `json:"state,omitzero"`
	ContactPhone string `json:"contactPhone,omitzero"`
	// IsDefault marks the customer's default address.
	IsDefault bool `json:"isDefault,omitzero"`
	// Tags are free labels; "BILLING" and "SHIPPING" are the usual ones.
	Tags     []string `json:"tags,omitzero"`
	Metadata Metadata `json:"metadata,omitzero"`
	Mixins   Mixins   `json:"mixins,omitzero"`
}

// AddressRequest is a new address.
type AddressRequest struct {
	// ID is the server's to choose. The API takes one at sign-up only.
	ID string `json:"id,omitzero"`
	// ContactName is who receives what is sent there. Required.
	ContactName    string `json:"contactName"`
	CompanyName    string `json:"companyName,omitzero"`
	Street         string `json:"street,omitzero"`
	StreetNumber   string `json:"streetNumber,omitzero"`
	StreetAppendix string `json:"streetAppendix,omitzero"`
	ExtraLine1     string `json:"extraLine1,omitzero"`
	ExtraLine2     string `json:"extraLine2,omitzero"`
	ExtraLine3     string `json:"extraLine3,omitzero"`
	ExtraLine4     string `json:"extraLine4,omitzero"`
	ZipCode        string `json:"zipCode,omitzero"`
	City           string `json:"city,omitzero"`
	// Country is a code of two letters, such as "DE".
	Country      string `json:"country,omitzero"`
	State        string `json:"state,omitzero"`
	ContactPhone string `json:"contactPhone,omitzero"`
	// IsDefault makes it the customer's default address. The API takes it at
	// sign-up only; later, Addresses.Update sets it.
	IsDefault bool `json:"isDefault,omitzero"`
	// Tags are free labels without commas; "BILLING" and "SHIPPING" are the
	// usual ones.
	Tags []string `json:"tags,omitzero"`
	// Metadata names the schemas of the mixins.
	Metadata Metadata `json:"metadata,omitzero"`
	Mixins   Mixins   `json:"mixins,omitzero"`
	// SendEmpty names the members that are sent although they are empty, in the
	// API's words, such as "extraLine1". Other empty members are left out.
	SendEmpty []string `json:"-"`
}

// MarshalJSON leaves out empty members, but for those in SendEmpty.
func (r AddressRequest) MarshalJSON() ([]byte, error) {
	type plain AddressRequest
	return encodeWithEmpty(plain(r), r.SendEmpty)
}

// AddressPatch changes some fields of an address. Fields that aren't set stay
// as they are. The API documents no null here: to empty a field, set its empty
// value.
type AddressPatch struct {
	ContactName    Optional[string]        `json:"contactName,omitzero"`
	CompanyName    Optional[string]        `json:"companyName,omitzero"`
	Street         Optional[string]        `json:"street,omitzero"`
	StreetNumber   Optional[string]        `json:"streetNumber,omitzero"`
	StreetAppendix Optional[string]        `json:"streetAppendix,omitzero"`
	ExtraLine1     Optional[string]        `json:"extraLine1,omitzero"`
	ExtraLine2     Optional[string]        `json:"extraLine2,omitzero"`
	ExtraLine3     Optional[string]        `json:"extraLine3,omitzero"`
	ExtraLine4     Optional[string]        `json:"extraLine4,omitzero"`
	ZipCode        Optional[string]        `json:"zipCode,omitzero"`
	City           Optional[string]        `json:"city,omitzero"`
	Country        Optional[string]        `json:"country,omitzero"`
	State          Optional[string]        `json:"state,omitzero"`
	ContactPhone   Optional[string]        `json:"contactPhone,omitzero"`
	IsDefault      Optional[bool]          `json:"isDefault,omitzero"`
	Tags           Optional[[]string]      `json:"tags,omitzero"`
	Metadata       Optional[MetadataPatch] `json:"metadata,omitzero"`
	Mixins         Optional[Mixins]        `json:"mixins,omitzero"`
}

type tagOptions struct {
	Tags []string `url:"tags,comma"`
}

// List returns all addresses of the customer.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: ErrUnauthorized,
// ErrForbidden.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/addresses#get-customer-tenant-me-addresses
func (s *AddressesService) List(ctx context.Context) ([]Address, error) {
	var addresses addressList
	if err := s.on().do(ctx, request{op: operation.AddressesList, into: &addresses}); err != nil {
		return nil, err
	}
	return addresses, nil
}

// Get returns one address of the customer.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: ErrNotFound,
// ErrInvalidRequest for an ID that can't be one, ErrUnauthorized, ErrForbidden.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/addresses#get-customer-tenant-me-addresses-addressid
func (s *AddressesService) Get(ctx context.Context, id string) (*Address, error) {
	address := new(Address)
	if err := s.on().do(ctx, request{op: operation.AddressesGet, path: []string{id}, into: address}); err != nil {
		return nil, err
	}
	return address, nil
}

// Add adds an address and returns its ID. It is not repeated once it may have
// been sent: then the error is ErrOutcomeUnknown, and List tells.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: *ArgumentError without
// a contact name, with ID or IsDefault, with a tag that holds a comma or for a
// name in SendEmpty that is no member,
// ErrInvalidRequest, ErrUnauthorized, ErrForbidden.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/addresses#post-customer-tenant-me-addresses
func (s *AddressesService) Add(ctx context.Context, req AddressRequest) (id string, err error) {
	if err := requireText("contactName", req.ContactName); err != nil {
		return "", named(operation.AddressesAdd, err)
	}
	if req.ID != "" {
		return "", named(operation.AddressesAdd, &ArgumentError{Field: "id", Reason: "is taken at sign-up only; leave it empty"})
	}
	if err := checkSendEmpty("", req, req.SendEmpty); err != nil {
		return "", named(operation.AddressesAdd, err)
	}
	if req.IsDefault {
		return "", named(operation.AddressesAdd, &ArgumentError{Field: "isDefault", Reason: "is taken at sign-up only; add the address, then set it with Addresses.Update"})
	}
	if err := checkTags(req.Tags); err != nil {
		return "", named(operation.AddressesAdd, err)
	}
	var created createdResource
	if err := s.on().do(ctx, request{op: operation.AddressesAdd, body: req, into: &created}); err != nil {
		return "", err
	}
	return created.id, nil
}

// Update changes some fields of an address. With Metadata.Version set, the
// server refuses the change if the address has another version by now.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: ErrEmptyPatch,
// *ArgumentError for a field that is Null or a tag that holds a comma,
// ErrNotFound, ErrConflict, ErrInvalidRequest, ErrUnauthorized, ErrForbidden,
// ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/addresses#patch-customer-tenant-me-addresses-addressid
func (s *AddressesService) Update(ctx context.Context, id string, patch AddressPatch) error {
	if tags, ok := patch.Tags.Value(); ok {
		if err := checkTags(tags); err != nil {
			return named(operation.AddressesUpdate, err)
		}
	}
	body, err := encode(patch)
	if err != nil {
		return named(operation.AddressesUpdate, err)
	}
	empty, null := inspectPatch(body)
	switch {
	case empty:
		return &callError{op: operation.AddressesUpdate.Name, err: ErrEmptyPatch}
	case null != "" && !strings.HasPrefix(null, "mixins.") && !strings.HasPrefix(null, "metadata.mixins."):
		return named(operation.AddressesUpdate, &ArgumentError{Field: null, Reason: "can't be null in an address; set its empty value"})
	}
	return s.on().do(ctx, request{op: operation.AddressesUpdate, path: []string{id}, body: body})
}

// Delete removes an address, and with it the accounts that are associated with
// the address.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: ErrNotFound,
// ErrInvalidRequest for an ID that can't be one, ErrUnauthorized, ErrForbidden,
// ErrOutcomeUnknown (deleting again does no harm).
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/addresses#delete-customer-tenant-me-addresses-addressid
func (s *AddressesService) Delete(ctx context.Context, id string) error {
	return s.on().do(ctx, request{op: operation.AddressesDelete, path: []string{id}})
}

// AddTags adds tags to an address.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: *ArgumentError without
// tags and for a tag that is empty or holds a comma, ErrNotFound,
// ErrInvalidRequest, ErrUnauthorized, ErrForbidden, ErrOutcomeUnknown (the same call
// again does no harm).
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/addresses#post-customer-tenant-me-addresses-addressid-tags
func (s *AddressesService) AddTags(ctx context.Context, id string, tags ...string) error {
	return s.changeTags(ctx, operation.AddressesAddTags, id, tags)
}

// RemoveTags removes tags from an address.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: *ArgumentError without
// tags and for a tag that is empty or holds a comma, ErrNotFound,
// ErrInvalidRequest, ErrUnauthorized, ErrForbidden, ErrOutcomeUnknown (the same call
// again does no harm).
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/addresses#delete-customer-tenant-me-addresses-addressid-tags
func (s *AddressesService) RemoveTags(ctx context.Context, id string, tags ...string) error {
	return s.changeTags(ctx, operation.AddressesRemoveTags, id, tags)
}

func (s *AddressesService) changeTags(ctx context.Context, op *operation.Operation, id string, tags []string) error {
	if len(tags) == 0 {
		return named(op, &ArgumentError{Field: "tags", Reason: "are missing"})
	}
	if err := checkTags(tags); err != nil {
		return named(op, err)
	}
	return s.on().do(ctx, request{op: op, path: []string{id}, query: tagOptions{Tags: tags}})
}

func checkTags(tags []string) error {
	for _, tag := range tags {
		if err := checkListElement("tags", tag); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	emporix "github.com/emporix-community/emporix-go"
)

var countries = []option{{"", "Please choose"}, {"AT", "Austria"}, {"FR", "France"}, {"DE", "Germany"}, {"IE", "Ireland"},
	{"NL", "Netherlands"}, {"PL", "Poland"}, {"CH", "Switzerland"}, {"GB", "United Kingdom"}}

func addressForm(action, submit string) *form {
	return &form{Action: action, Submit: submit, Cancel: "/account/addresses", Fields: []*field{
		{Name: "contactName", Label: "Name", Kind: "text", Required: true, Autocomplete: "name", Hint: "Who receives what is sent there."},
		{Name: "companyName", Label: "Company", Kind: "text", Autocomplete: organisation},
		{Name: "street", Label: "Street", Kind: "text", Required: true, Half: true, Autocomplete: "address-line1"},
		{Name: "streetNumber", Label: "Number", Kind: "text", Half: true, Max: 20},
		{Name: "zipCode", Label: "Postcode", Kind: "text", Required: true, Half: true, Autocomplete: "postal-code", Max: 20},
		{Name: "city", Label: "Town", Kind: "text", Required: true, Half: true, Autocomplete: "address-level2"},
		{Name: "country", Label: "Country", Kind: "select", Half: true, Required: true, Autocomplete: "country", Options: slices.Clone(countries)},
		{Name: "contactPhone", Label: "Phone", Kind: "tel", Half: true, Autocomplete: "tel"},
	}}
}

// countryName is how people call the country of a code.
func countryName(code string) string {
	for _, c := range countries {
		if c.Value == code && code != "" {
			return c.Label
		}
	}
	return code
}

func addressValues(a *emporix.Address) map[string]string {
	return map[string]string{
		"contactName": a.ContactName, "companyName": a.CompanyName, "street": a.Street, "streetNumber": a.StreetNumber,
		"zipCode": a.ZipCode, "city": a.City, "country": a.Country, "contactPhone": a.ContactPhone,
		"version": strconv.Itoa(a.Metadata.Version),
	}
}

func (s *shop) addresses(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	list, err := session.Addresses.List(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "addresses", page{Title: "Addresses", Section: "addresses", Data: list})
}

func (s *shop) addAddress(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	f := addressForm("/account/addresses/new", "Add address")
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusUnprocessableEntity
		if f.read(r) {
			_, err := session.Addresses.Add(r.Context(), emporix.AddressRequest{
				ContactName: f.value("contactName"), CompanyName: f.value("companyName"), Street: f.value("street"),
				StreetNumber: f.value("streetNumber"), ZipCode: f.value("zipCode"), City: f.value("city"),
				Country: f.value("country"), ContactPhone: f.value("contactPhone"),
			})
			if err == nil {
				to(w, r, "/account/addresses", "address-added")
				return
			}
			status = f.fail(err)
		}
	}
	s.show(w, r, status, "form", page{Title: "Add an address", Section: "addresses", Data: formPage{f, ""}})
}

type addressPage struct {
	Address *emporix.Address
	Form    *form
	Tag     string // what was typed as a label
	Wrong   string
}

func (s *shop) showAddress(w http.ResponseWriter, r *http.Request, status int, data addressPage) {
	s.show(w, r, status, "address", page{Title: "Edit address", Section: "addresses", Data: data})
}

// address loads the address that the path names. Without one it has answered.
func (s *shop) address(w http.ResponseWriter, r *http.Request, session *emporix.Session) (*emporix.Address, *form) {
	address, err := session.Addresses.Get(r.Context(), r.PathValue("id"))
	if errors.Is(err, emporix.ErrInvalidRequest) {
		err = emporix.ErrNotFound // no ID at all
	}
	if err != nil {
		s.failed(w, r, err)
		return nil, nil
	}
	f := addressForm("/account/addresses/"+address.ID, "Save")
	f.Fields = append(f.Fields, &field{Name: "version", Kind: "hidden", Required: true})
	f.fill(addressValues(address))
	return address, f
}

func (s *shop) editAddress(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	address, f := s.address(w, r, session)
	if address == nil {
		return
	}
	show := func(status int) { s.showAddress(w, r, status, addressPage{Address: address, Form: f}) }
	if reads(r) {
		show(http.StatusOK)
		return
	}
	valid := f.read(r)
	switch {
	case f.outdated():
		if !f.conflict(addressValues(address)) {
			to(w, r, "/account/addresses", "address-saved")
			return
		}
		show(http.StatusConflict)
		return
	case !valid:
		show(http.StatusUnprocessableEntity)
		return
	}
	set := func(name string) emporix.Optional[string] { return emporix.Set(f.value(name)) }
	err := session.Addresses.Update(r.Context(), address.ID, emporix.AddressPatch{
		ContactName: set("contactName"), CompanyName: set("companyName"), Street: set("street"), StreetNumber: set("streetNumber"),
		ZipCode: set("zipCode"), City: set("city"), Country: set("country"), ContactPhone: set("contactPhone"), Metadata: readVersion(f),
	})
	switch {
	case errors.Is(err, emporix.ErrConflict):
		now, err := session.Addresses.Get(r.Context(), address.ID) // the other change may have come after the first look
		if err != nil {
			s.formFailed(w, r, f, err, show)
			return
		}
		if !f.conflict(addressValues(now)) {
			to(w, r, "/account/addresses", "address-saved")
			return
		}
		show(http.StatusConflict)
	case err != nil:
		s.formFailed(w, r, f, err, show)
	default:
		to(w, r, "/account/addresses", "address-saved")
	}
}

func (s *shop) defaultAddress(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	err := session.Addresses.Update(r.Context(), r.PathValue("id"), emporix.AddressPatch{IsDefault: emporix.Set(true)})
	if err != nil {
		s.failed(w, r, err)
		return
	}
	to(w, r, "/account/addresses", "address-default")
}

func (s *shop) addTag(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	tag := strings.TrimSpace(r.PostFormValue("tag"))
	wrong := ""
	switch {
	case tag == "":
		wrong = "Please type a label."
	case strings.Contains(tag, ","):
		wrong = "A label can't hold a comma. Add one label at a time."
	case blank(tag) || strings.ContainsFunc(tag, untyped):
		wrong = unseen
	case utf8.RuneCountInString(tag) > 40:
		wrong = "This is too long for a label."
	}
	if wrong == "" {
		err := session.Addresses.AddTags(r.Context(), r.PathValue("id"), tag)
		if !errors.Is(err, emporix.ErrInvalidRequest) {
			s.changeTags(w, r, err)
			return
		}
		wrong = "This can't be a label. Please choose another one."
	}
	if address, f := s.address(w, r, session); address != nil {
		s.showAddress(w, r, http.StatusUnprocessableEntity, addressPage{address, f, tag, wrong})
	}
}

func (s *shop) removeTag(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	id, tag := r.PathValue("id"), r.PostFormValue("tag")
	err := session.Addresses.RemoveTags(r.Context(), id, tag)
	if errors.Is(err, emporix.ErrInvalidRequest) {
		err = rewriteTags(r, session, id, tag)
	}
	s.changeTags(w, r, err)
}

// rewriteTags removes a stored tag that the call for it can't name, such as one
// with a comma: it saves the others.
func rewriteTags(r *http.Request, session *emporix.Session, id, tag string) error {
	address, err := session.Addresses.Get(r.Context(), id)
	if err != nil {
		return err
	}
	return session.Addresses.Update(r.Context(), id, emporix.AddressPatch{
		Tags:     emporix.Set(slices.DeleteFunc(slices.Clone(address.Tags), func(t string) bool { return t == tag })),
		Metadata: emporix.Set(emporix.MetadataPatch{Version: emporix.Set(address.Metadata.Version)}),
	})
}

func (s *shop) changeTags(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		s.failed(w, r, err)
		return
	}
	to(w, r, "/account/addresses/"+r.PathValue("id"), "tags")
}

// backToAddress answers whoever opens the address of a form once more, after a
// page that said what is wrong: the form stands on the page of the address.
func (s *shop) backToAddress(w http.ResponseWriter, r *http.Request) {
	to(w, r, "/account/addresses/"+url.PathEscape(r.PathValue("id")), "")
}

// backToAddresses is the same for a form of the list.
func (s *shop) backToAddresses(w http.ResponseWriter, r *http.Request) {
	to(w, r, "/account/addresses", "")
}

// deleteAddress asks before it deletes, on a page: a question that needs a
// script is none without it.
func (s *shop) deleteAddress(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	if r.Method == http.MethodPost {
		err := session.Addresses.Delete(r.Context(), r.PathValue("id"))
		if err != nil && !errors.Is(err, emporix.ErrNotFound) { // deleted already is deleted
			s.failed(w, r, err)
			return
		}
		to(w, r, "/account/addresses", "address-deleted")
		return
	}
	if address, _ := s.address(w, r, session); address != nil {
		f := &form{Action: "/account/addresses/" + address.ID + "/delete", Submit: "Delete this address", Cancel: "/account/addresses", Danger: true}
		s.show(w, r, http.StatusOK, "delete", page{Title: "Delete this address?", Section: "addresses", Data: addressPage{Address: address, Form: f}})
	}
}

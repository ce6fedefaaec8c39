package main

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

func (s *shop) overview(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	me, err := session.Customers.Get(r.Context(), emporix.Expand("addresses"))
	if err != nil {
		s.failed(w, r, err)
		return
	}
	info, err := session.Info(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	title := "Your account"
	if me.FirstName != "" {
		title = "Hello, " + me.FirstName
	}
	s.show(w, r, http.StatusOK, "account", page{Title: title, Section: "overview", Data: struct {
		Me    *emporix.Customer
		Login string
		Acts  string
		Info  emporix.SessionInfo
	}{me, loginOf(me), companyName(me, info.LegalEntityID), info}})
}

// companies are those that the customer can act for, and the one that they act
// for: left out, the next click would leave it.
func companies(me *emporix.Customer, current string) []emporix.LegalEntity {
	all := me.B2B.LegalEntities
	if current == "" || slices.ContainsFunc(all, func(e emporix.LegalEntity) bool { return e.ID == current }) {
		return all
	}
	return append(slices.Clone(all), emporix.LegalEntity{ID: current, Name: current})
}

func companyName(me *emporix.Customer, id string) string {
	for _, company := range me.B2B.LegalEntities {
		if company.ID == id {
			return company.Name
		}
	}
	return id
}

func profileForm() *form {
	return &form{Action: "/account/profile", Submit: "Save", Cancel: "/account", Fields: []*field{
		{Name: "title", Label: "Form of address", Kind: "select", Options: []option{{"", "No entry"}, {"MS", "Ms"}, {"MR", "Mr"}, {"MX", "Mx"}, {"DR", "Dr"}}},
		{Name: "firstName", Label: "First name", Kind: "text", Required: true, Half: true, Autocomplete: "given-name"},
		{Name: "lastName", Label: "Last name", Kind: "text", Required: true, Half: true, Autocomplete: "family-name"},
		{Name: "middleName", Label: "Middle name", Kind: "text", Half: true, Autocomplete: "additional-name"},
		{Name: "contactPhone", Label: "Phone", Kind: "tel", Half: true, Autocomplete: "tel", Hint: "For questions about a delivery."},
		{Name: "company", Label: "Company", Kind: "text", Autocomplete: organisation},
		{Name: "preferredLanguage", Label: "Language", Kind: "select", Half: true, Options: []option{{"", "No entry"}, {"en", "English"}, {"de", "German"}, {"fr", "French"}, {"pl", "Polish"}}},
		{Name: "preferredCurrency", Label: "Currency", Kind: "select", Half: true, Options: []option{{"", "No entry"}, {"EUR", "Euro"}, {"GBP", "Pound sterling"}, {"PLN", "Złoty"}, {"USD", "US dollar"}}},
		{Name: "version", Kind: "hidden", Required: true},
	}}
}

// profileValues are the profile as the form has it.
func profileValues(me *emporix.Customer) map[string]string {
	return map[string]string{
		"title": me.Title, "firstName": me.FirstName, "middleName": me.MiddleName, "lastName": me.LastName,
		"contactPhone": me.ContactPhone, "company": me.Company, "preferredLanguage": me.PreferredLanguage,
		"preferredCurrency": me.PreferredCurrency, "version": strconv.Itoa(me.Metadata.Version),
	}
}

// fill puts what is stored into the form. A choice that the list does not have
// is added to it, so that saving does not lose it.
func (f *form) fill(values map[string]string) {
	for _, in := range f.Fields {
		value := values[in.Name]
		in.Value, in.Stored = value, &value
		if in.Kind == "select" && !in.offers(in.Value) {
			in.Options = append(in.Options, option{in.Value, in.Value})
		}
	}
}

// conflict tells that somebody else saved a change since the form was opened:
// what was typed stays, what is different is listed, and the next click saves
// over the newer version, now knowingly. Where nothing is different, somebody
// has clicked twice and met their own change: it reports that this is none.
func (f *form) conflict(stored map[string]string) bool {
	f.Error = "This was changed elsewhere while you had the page open. Nothing of yours is saved yet."
	for _, in := range f.Fields {
		if in.Kind != "hidden" && in.Value != stored[in.Name] {
			f.Changed = append(f.Changed, difference{in.Label, shown(in, stored[in.Name]), shown(in, in.Value)})
		}
	}
	for _, in := range f.Fields {
		in.Error = "" // judged with the next click
	}
	f.field("version").Value = stored["version"]
	f.Submit = "Save my version"
	return len(f.Changed) > 0
}

// outdated reports that somebody else has saved since the form was opened.
func (f *form) outdated() bool {
	version := f.field("version")
	return version.Stored != nil && version.Value != "" && version.Value != *version.Stored
}

func shown(in *field, value string) string {
	for _, o := range in.Options {
		if o.Value == value {
			return o.Label
		}
	}
	if value == "" {
		return "(empty)"
	}
	return value
}

func (s *shop) profile(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	f := profileForm()
	show := func(status int) {
		s.show(w, r, status, "form", page{Title: "Your details", Section: "profile", Data: formPage{f, ""}})
	}
	me, err := session.Customers.Get(r.Context())
	if err == nil && me.IsAnonymous() {
		err = emporix.ErrNotLoggedIn
	}
	if err != nil && reads(r) {
		s.failed(w, r, err)
		return
	}
	if err == nil {
		f.fill(profileValues(me))
	}
	if reads(r) {
		show(http.StatusOK)
		return
	}
	valid := f.read(r)
	switch {
	case errors.Is(err, emporix.ErrNotLoggedIn), errors.Is(err, emporix.ErrSessionExpired):
		s.sendToLogin(w, r)
		return
	case err != nil:
		s.formFailed(w, r, f, err, show)
		return
	case f.outdated():
		if !f.conflict(profileValues(me)) {
			to(w, r, "/account", "profile")
			return
		}
		show(http.StatusConflict)
		return
	case !valid:
		show(http.StatusUnprocessableEntity)
		return
	}
	err = session.Customers.Update(r.Context(), emporix.CustomerPatch{
		Title: orNull(f, "title"), FirstName: orNull(f, "firstName"), MiddleName: orNull(f, "middleName"), LastName: orNull(f, "lastName"),
		ContactPhone: orNull(f, "contactPhone"), Company: orNull(f, "company"),
		PreferredLanguage: orNull(f, "preferredLanguage"), PreferredCurrency: orNull(f, "preferredCurrency"),
		Metadata: readVersion(f),
	})
	switch {
	case errors.Is(err, emporix.ErrConflict):
		me, err := session.Customers.Get(r.Context())
		if err != nil {
			s.formFailed(w, r, f, err, show)
			return
		}
		if !f.conflict(profileValues(me)) {
			to(w, r, "/account", "profile")
			return
		}
		show(http.StatusConflict)
	case errors.Is(err, emporix.ErrNotLoggedIn), errors.Is(err, emporix.ErrSessionExpired):
		s.sendToLogin(w, r)
	case err != nil:
		s.formFailed(w, r, f, err, show)
	default:
		to(w, r, "/account", "profile")
	}
}

// orNull sets what was typed, and removes what was emptied.
func orNull(f *form, name string) emporix.Optional[string] {
	if value := f.value(name); value != "" {
		return emporix.Set(value)
	}
	return emporix.Null[string]()
}

// readVersion is the version that the form was opened with.
func readVersion(f *form) emporix.Optional[emporix.MetadataPatch] {
	version, err := strconv.Atoi(f.value("version"))
	if err != nil {
		version = -1 // no version at all: ask again
	}
	return emporix.Set(emporix.MetadataPatch{Version: emporix.Set(version)})
}

func (s *shop) company(w http.ResponseWriter, r *http.Request, session *emporix.Session) {
	me, err := session.Customers.Get(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	info, err := session.Info(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	data := struct {
		Companies []emporix.LegalEntity
		Current   string
		Error     string
	}{companies(me, info.LegalEntityID), info.LegalEntityID, ""}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		chosen := strings.TrimSpace(r.PostFormValue("company"))
		_, err := bff.From(r).SwitchLegalEntity(r.Context(), chosen)
		switch {
		case err == nil && chosen == "":
			to(w, r, "/account/company", "company-none")
			return
		case err == nil:
			to(w, r, "/account/company", "company")
			return
		case errors.Is(err, emporix.ErrNotLoggedIn), errors.Is(err, emporix.ErrSessionExpired):
			s.sendToLogin(w, r)
			return
		}
		what := explain(err)
		status, data.Error, data.Current = what.Status, what.Text, chosen
	}
	s.show(w, r, status, "company", page{Title: "Company", Section: "company", Data: data})
}

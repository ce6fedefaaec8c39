package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// story is the journey of four people through one shop. They share a client,
// as visitors of a shop do, and each has a session.
type story struct {
	*book
	fake *fake // nil on a real tenant

	jo   *person // signs up, is activated by an employee, and stays for all the rest
	kim  *person // signs up and confirms by e-mail
	sam  *person // comes from an identity provider, with a code
	alex *person // comes from an identity provider, with a token
}

func newStory(place *place, book *book) *story {
	return &story{
		book: book, fake: place.fake,
		jo:   newJo(place.client),
		kim:  newPerson(place.client, "kim"),
		sam:  newPerson(place.client, "sam"),
		alex: newPerson(place.client, "alex"),
	}
}

// walk goes on after a step that failed, wherever that makes sense.
func (s *story) walk(ctx context.Context) {
	s.browse(ctx)
	s.openAccount(ctx)
	s.keepSession(ctx)
	s.keepProfile(ctx)
	s.keepAddresses(ctx)
	s.changeCredentials(ctx)
	s.forgetPassword(ctx)
	s.confirmByMail(ctx)
	s.comeFromElsewhere(ctx)
}

func (s *story) browse(ctx context.Context) {
	s.out.chapter("A guest looks around")
	jo := s.jo
	// Any first call would begin the session by itself.
	s.step(ctx, "Auth.StartAnonymous", func() (string, error) {
		info, err := jo.Auth.StartAnonymous(ctx, emporix.SessionContext{Currency: "EUR", SiteCode: "main", Language: "en"})
		return "a guest's session, " + lasting(info), err
	})
	before, _ := jo.Info(ctx)
	s.step(ctx, "Auth.RefreshAnonymous", func() (string, error) {
		info, err := jo.Auth.Refresh(ctx)
		return "through Auth.Refresh: " + continued(before, info) + ", " + lasting(info), err
	})
}

func (s *story) openAccount(ctx context.Context) {
	s.out.chapter("Jo opens an account")
	jo := s.jo
	var id string
	s.step(ctx, "Customers.SignUp", func() (_ string, err error) {
		id, err = jo.signUp(ctx, emporix.SignUpRequest{
			CustomerDetails: emporix.CustomerDetails{
				Title: "MS", FirstName: "Jo", MiddleName: "Maria", LastName: "Doe", ContactEmail: jo.email,
				Company: "Emporix", PreferredLanguage: "en_US", PreferredCurrency: "EUR",
			},
			CustomerAddress: emporix.AddressRequest{
				ContactName: "Jo Doe", Street: "Platz der Republik", StreetNumber: "1", ZipCode: "11011", City: "Berlin",
				Country: "DE", Tags: []string{"BILLING", "SHIPPING"},
			},
		})
		return "customer " + id + ", " + jo.email, err
	})
	s.stepGiven(ctx, jo.hasAccount(), "Customers.Activate", func() (string, error) {
		err := jo.Customers.Activate(ctx, id)
		jo.activated = err == nil
		return "by an employee: the account is active", err
	})
	s.stepGiven(ctx, jo.hasAccount(), "Auth.Login", func() (string, error) { return jo.login(ctx) })
}

func (s *story) keepSession(ctx context.Context) {
	s.out.chapter("Jo's session")
	jo := s.jo
	before, _ := jo.Info(ctx)
	// The SDK does this by itself when it is time.
	s.step(ctx, "Auth.Refresh", func() (string, error) {
		if before.Kind != emporix.SessionCustomer {
			return "", emporix.ErrNotLoggedIn
		}
		info, err := jo.Auth.Refresh(ctx)
		return continued(before, info) + ", " + lasting(info), err
	})

	company := emporixfake.Company{
		ID: "journey-" + strings.ToLower(rand.Text()[:10]), Name: "Emporix", Contacts: []emporixfake.Contact{{Email: jo.email}},
	}
	var noCompany error
	if before.Kind == emporix.SessionCustomer {
		noCompany = s.fake.addCompany(ctx, company)
	}
	s.stepGiven(ctx, noCompany, "Auth.Refresh", func() (string, error) {
		info, err := jo.Auth.SwitchLegalEntity(ctx, company.ID)
		return "through Auth.SwitchLegalEntity: acts for " + info.LegalEntityID, err
	})
	s.step(ctx, "Auth.Validate", func() (string, error) {
		token, err := jo.Auth.Validate(ctx)
		if err != nil {
			return "", err
		}
		note := fmt.Sprintf("good for %s, with %d scopes", span(token.ExpiresIn), len(token.Scopes))
		if token.LegalEntityID != "" {
			note += ", acts for " + token.LegalEntityID
		}
		return note, nil
	})
}

func (s *story) keepProfile(ctx context.Context) {
	s.out.chapter("Jo's profile")
	jo := s.jo
	var version int
	get := func(want string) func() (string, error) {
		return func() (string, error) {
			me, err := jo.Customers.Get(ctx, emporix.Expand("addresses", "mixin:*"))
			switch {
			case err != nil:
				return "", err
			case me.IsAnonymous():
				return "the placeholder of a guest", nil
			case me.FirstName != want:
				return "", fmt.Errorf("the first name is %q, and should be %q", me.FirstName, want)
			}
			version = me.Metadata.Version
			names := strings.Join(strings.Fields(me.FirstName+" "+me.MiddleName+" "+me.LastName), " ")
			return fmt.Sprintf("%s, version %d, with %s", names, version, addresses(len(me.Addresses))), nil
		}
	}
	s.step(ctx, "Customers.Get", get("Jo"))
	notUpdated := needs("the update that was not done")
	s.step(ctx, "Customers.Update", func() (string, error) {
		patch := emporix.CustomerPatch{
			FirstName:  emporix.Set("Joanna"),
			MiddleName: emporix.Null[string](), // removed; what is not named stays
		}
		if version > 0 { // so that nobody else's change is overwritten
			patch.Metadata = emporix.Set(emporix.MetadataPatch{Version: emporix.Set(version)})
		}
		err := jo.Customers.Update(ctx, patch)
		if err == nil {
			notUpdated = nil
		}
		return "a new first name, no middle name", err
	})
	s.stepGiven(ctx, notUpdated, "Customers.Get", get("Joanna"))
}

func (s *story) keepAddresses(ctx context.Context) {
	s.out.chapter("Jo's addresses")
	jo := s.jo
	var id string
	noAddress := needs("the address that was not added")
	s.step(ctx, "Addresses.Add", func() (_ string, err error) {
		id, err = jo.Addresses.Add(ctx, emporix.AddressRequest{
			ContactName: "Joanna Doe", CompanyName: "Emporix", Street: "Friedrichstr.", StreetNumber: "1", ZipCode: "10117",
			City: "Berlin", Country: "DE", Tags: []string{"SHIPPING"},
		})
		if err == nil {
			noAddress = nil
		}
		return "address " + id, err
	})
	s.step(ctx, "Addresses.List", func() (string, error) {
		list, err := jo.Addresses.List(ctx)
		return addresses(len(list)), err
	})
	s.stepGiven(ctx, noAddress, "Addresses.Update", func() (string, error) {
		return "another street number, and the default from now on", jo.Addresses.Update(ctx, id, emporix.AddressPatch{
			StreetNumber: emporix.Set("2"), IsDefault: emporix.Set(true),
		})
	})
	s.stepGiven(ctx, noAddress, "Addresses.AddTags", func() (string, error) {
		return "BILLING and OFFICE", jo.Addresses.AddTags(ctx, id, "BILLING", "OFFICE")
	})
	s.stepGiven(ctx, noAddress, "Addresses.RemoveTags", func() (string, error) {
		return "SHIPPING", jo.Addresses.RemoveTags(ctx, id, "SHIPPING")
	})
	s.stepGiven(ctx, noAddress, "Addresses.Get", func() (string, error) {
		a, err := jo.Addresses.Get(ctx, id)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s %s, %s %s, tags %s", a.Street, a.StreetNumber, a.ZipCode, a.City, strings.Join(a.Tags, " ")), nil
	})
	s.stepGiven(ctx, noAddress, "Addresses.Delete", func() (string, error) {
		return "address " + id, jo.Addresses.Delete(ctx, id)
	})
}

// lasting says how long a session goes on.
func lasting(info emporix.SessionInfo) string {
	return fmt.Sprintf("good for %s and renewable for %s", span(time.Until(info.AccessExpires)), span(time.Until(info.RefreshExpires)))
}

// continued says whether a visitor kept the session, and so the cart. Session
// IDs themselves are nothing to print.
func continued(before, after emporix.SessionInfo) string {
	if before.SessionID != after.SessionID {
		return "renewed, but it is another session"
	}
	return "renewed, still the same session"
}

func cart(login *emporix.LoginResult) string {
	if login.SessionChanged {
		return "the guest's session, and the cart, did not come along"
	}
	return "the guest's session goes on, and so does the cart"
}

// span is a duration as people say it.
func span(d time.Duration) string {
	switch d = d.Round(time.Minute); {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.0f hours", d.Hours())
	default:
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	}
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}

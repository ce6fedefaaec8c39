package main

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	formTag   = regexp.MustCompile(`(?s)<form [^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	inputTag  = regexp.MustCompile(`(?s)<input [^>]*>`)
	selectTag = regexp.MustCompile(`(?s)<select id="[^"]*" name="([^"]*)"[^>]*>(.*?)</select>`)
	chosenTag = regexp.MustCompile(`(?s)<option value="([^"]*)" selected>`)
	nameAttr  = regexp.MustCompile(` name="([^"]*)"`)
	valueAttr = regexp.MustCompile(`(?s) value="([^"]*)"`)
)

// untouchedForm is the form of a page as a browser sends it when nobody has typed.
func untouchedForm(t *testing.T, page, action string) url.Values {
	t.Helper()
	for _, form := range formTag.FindAllStringSubmatch(page, -1) {
		if html.UnescapeString(form[1]) != action {
			continue
		}
		values := url.Values{}
		for _, tag := range inputTag.FindAllString(form[2], -1) {
			if strings.Contains(tag, `type="radio"`) && !strings.Contains(tag, " checked") {
				continue
			}
			value := ""
			if match := valueAttr.FindStringSubmatch(tag); match != nil {
				value = html.UnescapeString(match[1])
			}
			if strings.Contains(tag, `type="text"`) || strings.Contains(tag, `type="tel"`) {
				value = strings.NewReplacer("\r", "", "\n", "").Replace(value) // as browsers do
			}
			values.Set(nameAttr.FindStringSubmatch(tag)[1], value)
		}
		for _, list := range selectTag.FindAllStringSubmatch(form[2], -1) {
			chosen := chosenTag.FindStringSubmatch(list[2])
			require.NotNil(t, chosen, "%s shows another value than the stored one", list[1])
			values.Set(list[1], html.UnescapeString(chosen[1]))
		}
		return values
	}
	t.Fatalf("there is no form for %s", action)
	return nil
}

// oddities are values that no list has, that are too long, or that nobody types.
var oddities = []map[string]string{
	{"preferredLanguage": "en_US", "preferredCurrency": "CHF", "title": "MISS"},
	{"preferredLanguage": "de-DE", "preferredCurrency": "", "title": ""},
	{"preferredLanguage": "EN", "preferredCurrency": "eur", "title": "Prof. Dr."},
	{"firstName": strings.Repeat("long ", 60), "lastName": " padded ", "company": "two\nlines"},
	{"firstName": "", "lastName": "", "contactPhone": "ext. 12 / 34"},
	{"firstName": "Zero\u200bWidth", "lastName": "a\u00a0b\u00adc", "middleName": "\u202eReversed", "contactPhone": "+49\t30"},
	{"firstName": "<b>&\"'", "company": "\u2028", "contactPhone": strings.Repeat("1", 250)},
}

func TestAProfileSavedUntouchedStaysAsItIs(t *testing.T) {
	for i, odd := range oddities {
		p := open(t)
		p.fake.AddCustomer(t, emporixtest.Customer{
			Email: "odd@example.com", Password: seedPassword, Title: odd["title"], FirstName: odd["firstName"], MiddleName: odd["middleName"], LastName: odd["lastName"],
			ContactPhone: odd["contactPhone"], Company: odd["company"], PreferredLanguage: odd["preferredLanguage"], PreferredCurrency: odd["preferredCurrency"],
		})
		v := p.visitor(t)
		v.logIn("odd@example.com")
		member := regexp.MustCompile(`"(title|firstName|middleName|lastName|contactPhone|company|preferredLanguage|preferredCurrency)":"(\\.|[^"\\])*"`)
		stored := func() []string { return member.FindAllString(v.get("/api/account").body, -1) }
		before := stored()
		shown := v.get("/account/profile").body
		form := untouchedForm(t, shown, "/account/profile")
		got := v.send("POST", "/account/profile", "application/x-www-form-urlencoded", form.Encode())
		require.Equal(t, "/account?done=profile", got.where, "%d: %s", i, got.body)
		assert.Equal(t, before, stored(), "%d", i)

		// One field is typed; the others stay what they are.
		form = untouchedForm(t, v.get("/account/profile").body, "/account/profile")
		form.Set("middleName", "Q.")
		got = v.send("POST", "/account/profile", "application/x-www-form-urlencoded", form.Encode())
		require.Equal(t, "/account?done=profile", got.where, "%d: %s", i, got.body)
		assert.Contains(t, v.get("/api/account").body, `"middleName":"Q."`)
	}
}

func TestAnAddressSavedUntouchedStaysAsItIs(t *testing.T) {
	for i, odd := range []map[string]any{
		{"contactName": "Jo", "country": "JP"},
		{"contactName": "Jo", "country": "de"},
		{"contactName": "Jo", "country": "XX", "zipCode": strings.Repeat("1", 30), "streetNumber": "12 a-c, second floor at the back", "city": "Köln\u200b"},
		{"contactName": "Jo\u00a0Marsh\u00ad", "street": "a\nb", "contactPhone": "\u202e123", "companyName": strings.Repeat("x", 300)},
		{"contactName": strings.Repeat("n", 250), "country": "DE"},
	} {
		p := open(t)
		p.fake.AddCustomer(t, emporixtest.Customer{Email: "odd@example.com", Password: seedPassword, Addresses: []map[string]any{odd}})
		v := p.visitor(t)
		v.logIn("odd@example.com")
		member := regexp.MustCompile(`"(contactName|companyName|street|streetNumber|zipCode|city|country|contactPhone)":"(\\.|[^"\\])+"`)
		stored := func() []string { return member.FindAllString(v.get("/api/addresses").body, -1) }
		before := stored()
		path := addressPath.FindString(v.get("/account/addresses").body)
		form := untouchedForm(t, v.get(path).body, path)
		got := v.send("POST", path, "application/x-www-form-urlencoded", form.Encode())
		require.Equal(t, "/account/addresses?done=address-saved", got.where, "%d: %s", i, got.body)
		assert.Equal(t, before, stored(), "%d", i)
	}
}

// Somebody else has changed a value that no list has, while the form was open.
func TestAnOddValueThatWasChangedMeanwhileIsAConflict(t *testing.T) {
	p := open(t)
	p.fake.AddCustomer(t, emporixtest.Customer{Email: "odd@example.com", Password: seedPassword, FirstName: "O", LastName: "D", PreferredLanguage: "en_US"})
	first, second := p.visitor(t), p.visitor(t)
	first.logIn("odd@example.com")
	second.logIn("odd@example.com")
	form := untouchedForm(t, first.get("/account/profile").body, "/account/profile")
	require.Equal(t, http.StatusNoContent, second.json("PATCH", "/api/account", `{"preferredLanguage":"de_CH"}`).status)
	got := first.send("POST", "/account/profile", "application/x-www-form-urlencoded", form.Encode())
	assert.Equal(t, http.StatusConflict, got.status)
	assert.Contains(t, got.body, `<td data-label="Saved meanwhile">de_CH</td>`)
	assert.NotContains(t, got.body, "Please choose one of the list.")
}

func TestACompanyThatIsNotInTheListIsKept(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	v.logIn("bea@example.com")
	require.Equal(t, "/account/company?done=company", v.post("/account/company", "company", "okafor-retail").where)
	form := untouchedForm(t, v.get("/account/company").body, "/account/company")
	assert.Equal(t, "okafor-retail", form.Get("company"))

	me := &emporix.Customer{}
	me.B2B.LegalEntities = []emporix.LegalEntity{{ID: "a", Name: "A"}}
	assert.Equal(t, []emporix.LegalEntity{{ID: "a", Name: "A"}}, companies(me, ""))
	assert.Equal(t, []emporix.LegalEntity{{ID: "a", Name: "A"}}, companies(me, "a"))
	assert.Equal(t, []emporix.LegalEntity{{ID: "a", Name: "A"}, {ID: "b", Name: "b"}}, companies(me, "b"))
	assert.Len(t, me.B2B.LegalEntities, 1)
}

// invisibles are characters that nobody sees.
var invisibles = []string{
	"\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u00a0", "\u2003", "\u202f", "\u3000", "\u202a", "\u202e", "\u2066", "\u2069", "\u200e", "\u200f", "\u061c",
	"\u034f", "\u115f", "\u3164", "\uffa0", "\u180e", "\ufe0f", "\U000e0100", "\U000e0020", "\u2028", "\u2029", "\u0085", "\u0000", "\u0007", "\t", "\u007f", "\u009f", "\ufff9", "\u2800",
}

func TestInvisibleCharactersInAnAddressAreRefusedInWords(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	customer := p.visitor(t)
	customer.logIn("jo@example.com")
	for _, c := range invisibles {
		for _, email := range []string{"j" + c + "o@example.com", "jo@exam" + c + "ple.com", "jo" + c + "@example.com"} {
			for _, got := range []seen{
				v.post("/signup", "firstName", "Jo", "lastName", "Marsh", "email", email, "password", "seven wide rivers"),
				v.post("/login", "email", email, "password", seedPassword),
				v.post("/password/forgotten", "email", email),
				customer.post("/account/security/email", "newEmail", email, "password", seedPassword),
			} {
				assert.Equal(t, http.StatusUnprocessableEntity, got.status, "%q", email)
				assert.Regexp(t, "(Email|email)-error\"[^\n]*This contains characters that", got.body, "%q", email)
			}
			assert.Equal(t, "/signup", v.post("/signup/resend", "email", email).where, "%q", email)
		}
		for path, body := range map[string]string{
			"/api/signup": `{"email":%q,"password":"seven wide rivers"}`, "/api/login": `{"email":%q,"password":"x"}`,
			"/api/password/forgotten": `{"email":%q}`, "/api/signup/resend": `{"email":%q}`,
			"/api/signup#login": `{"email":"a@example.com","password":"x","signup":{"email":%q,"password":"x"}}`,
		} {
			path, _, _ := strings.Cut(path, "#")
			escaped, err := json.Marshal("jo" + c + "@example.com")
			require.NoError(t, err)
			got := v.json("POST", path, strings.ReplaceAll(body, "%q", string(escaped)))
			assert.Equal(t, http.StatusUnprocessableEntity, got.status, "%s %s: %s", path, escaped, got.body)
			assert.Contains(t, got.body, "can't be seen", "%s %s", path, escaped)
		}
		escaped, err := json.Marshal("jo" + c + "@example.com")
		require.NoError(t, err)
		got := customer.json("PATCH", "/api/account", fmt.Sprintf(`{"contactEmail":%s}`, escaped))
		assert.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", escaped, got.body)
	}
	assert.Empty(t, p.fake.Server().Outbox(emporixfake.MailFilter{}), "nothing was sent")
}

// A label that no form takes may be stored all the same, and can be removed.
func TestAnyStoredLabelCanBeRemoved(t *testing.T) {
	for _, odd := range []string{"a,b", "\u200b", " padded ", strings.Repeat("long ", 20), "<b>&+%"} {
		p := open(t)
		p.fake.AddCustomer(t, emporixtest.Customer{Email: "odd@example.com", Password: seedPassword, Addresses: []map[string]any{
			{"contactName": "Jo", "tags": []any{"HOME", odd, "a"}},
		}})
		v := p.visitor(t)
		v.logIn("odd@example.com")
		path := addressPath.FindString(v.get("/account/addresses").body)
		assert.Equal(t, path+"?done=tags", v.post(path+"/tags/remove", "tag", odd).where, "%q", odd)
		assert.Contains(t, v.get("/api/addresses").body, `"tags":["HOME","a"]`, "%q", odd)
	}
}

// Names are checked for what no name needs, and have to show something.
func TestNamesAndLabelsThatNobodySees(t *testing.T) {
	v := open(t).visitor(t)
	v.logIn("jo@example.com")
	save := func(name string) seen {
		form := untouchedForm(t, v.get("/account/profile").body, "/account/profile")
		form.Set("firstName", name)
		return v.send("POST", "/account/profile", "application/x-www-form-urlencoded", form.Encode())
	}
	for _, name := range []string{"\u200b", "\u00a0\u2003", "\u200d\ufe0f", "\u3164", "J\u202eo", "J\u200bo", "\ufeffJo", "J\u00ado", "J\u2028o", "J\u0085o"} {
		got := save(name)
		assert.Equal(t, http.StatusUnprocessableEntity, got.status, "%q", name)
		assert.Contains(t, got.body, `id="firstName-error"`, "%q", name)
	}
	for _, name := range []string{"Zoë", "O’Neill", "می\u200cخواهم", "क्\u200dष", "Jo\u00a0Ann", "李\u3000明", "👩\u200d🌾", "❤\ufe0f", "e\u0301"} {
		assert.Equal(t, "/account?done=profile", save(name).where, "%q", name)
	}
	home := addressPath.FindString(v.get("/account/addresses").body)
	for _, tag := range []string{"\u200b", "HO\u202eME", "\u3164"} {
		assert.Equal(t, http.StatusUnprocessableEntity, v.post(home+"/tags", "tag", tag).status, "%q", tag)
	}
}

// An account that exists may have an address of a form that no new one may have.
func TestAnAddressOfAnAccountIsTheAPIsBusiness(t *testing.T) {
	p := open(t)
	p.fake.AddCustomer(t, emporixtest.Customer{Email: "jo@localhost", Password: seedPassword, FirstName: "Local"})
	v := p.visitor(t)
	v.logIn("jo@localhost")
	v.post("/logout")
	assert.Equal(t, "/login?done=reset-mail", v.post("/password/forgotten", "email", "jo@localhost").where)
	assert.Equal(t, http.StatusUnprocessableEntity, v.post("/signup", "firstName", "J", "lastName", "M", "email", "ann@localhost", "password", "seven wide rivers").status)
}

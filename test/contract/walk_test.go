package contract_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/internal/operation"
)

const (
	joEmail  = "jo@example.com"
	joFirst  = "a first password"
	joSecond = "a second password"
	joThird  = "a third password"
)

// Every operation, and every field that a request can have.
func TestTheSDKAndTheFakeKeepTheContract(t *testing.T) {
	c := newCourt(t, func(a *emporixfake.Assumptions) { a.DoubleOptIn = false })
	ctx := t.Context()
	client := c.client(t, emporix.WithLanguage("de"), emporix.WithSessionContext(emporix.SessionContext{
		Currency: "EUR", SiteCode: "main", Language: "en", TargetLocation: "DE",
	}))

	_, err := client.Auth.StartAnonymous(ctx, emporix.SessionContext{})
	require.NoError(t, err)
	_, err = client.Auth.Refresh(ctx)
	require.NoError(t, err)
	nobody, err := client.Customers.Get(ctx, emporix.Expand("addresses"))
	require.NoError(t, err)
	assert.True(t, nobody.IsAnonymous())

	number := signUpAndLogIn(ctx, t, client)
	require.NoError(t, c.fake.AddCompany(emporixfake.Company{
		ID: "D165356", Name: "Emporix", Contacts: []emporixfake.Contact{{CustomerNumber: number}},
	}))
	walkTokens(ctx, t, client)
	walkProfile(ctx, t, client, number)
	walkAddresses(ctx, t, client)
	walkCredentials(ctx, t, c, client)
	require.NoError(t, client.Auth.Logout(ctx))
	walkOtherLogins(ctx, t, c, client)

	acquitted(t, c.Verdict())
}

func signUpAndLogIn(ctx context.Context, t *testing.T, client *emporix.Client) (number string) {
	t.Helper()
	mixins := emporix.Mixins{"loyalty": json.RawMessage(`{"points":7}`)}
	metadata := emporix.Metadata{Mixins: emporix.MixinSchemas{"loyalty": "https://schemas.example.com/loyalty.json"}}
	number, err := client.Customers.SignUp(ctx, emporix.SignUpRequest{
		Email: "contact@example.com", Password: joFirst,
		SignUp: emporix.SignUpCredentials{Email: joEmail, Password: joFirst},
		CustomerDetails: emporix.CustomerDetails{
			Title: "MS", FirstName: "Jo", MiddleName: "Q", LastName: "Doe", ContactEmail: "contact@example.com", ContactPhone: "123",
			Company: "Emporix", PreferredLanguage: "en_US", PreferredCurrency: "EUR", PreferredSite: "main",
			B2B: emporix.B2B{CompanyRegistrationID: "123-456"}, Metadata: metadata, Mixins: mixins,
		},
		CustomerAddress: fullAddress("Jo Doe"),
	})
	require.NoError(t, err)
	require.NoError(t, client.Customers.Activate(ctx, number))
	_, err = client.Auth.Login(ctx, emporix.LoginRequest{Email: joEmail, Password: joFirst})
	require.NoError(t, err)
	return number
}

func fullAddress(name string) emporix.AddressRequest {
	return emporix.AddressRequest{
		ContactName: name, CompanyName: "Emporix", Street: "Platz", StreetNumber: "1", StreetAppendix: "a",
		ExtraLine1: "1", ExtraLine2: "2", ExtraLine3: "3", ExtraLine4: "4", ZipCode: "11011", City: "Berlin", Country: "DE",
		State: "Berlin", ContactPhone: "123", Tags: []string{"BILLING", "SHIPPING"},
		Metadata: emporix.Metadata{Mixins: emporix.MixinSchemas{"door": "https://schemas.example.com/door.json"}},
		Mixins:   emporix.Mixins{"door": json.RawMessage(`{"code":true}`)},
	}
}

func walkTokens(ctx context.Context, t *testing.T, client *emporix.Client) {
	t.Helper()
	_, err := client.Auth.Validate(ctx)
	require.NoError(t, err)
	_, err = client.Auth.Refresh(ctx)
	require.NoError(t, err)
	_, err = client.Auth.SwitchLegalEntity(ctx, "D165356")
	require.NoError(t, err)
	details, err := client.Auth.Validate(ctx)
	require.NoError(t, err)
	assert.Equal(t, "D165356", details.LegalEntityID)
}

func walkProfile(ctx context.Context, t *testing.T, client *emporix.Client, number string) {
	t.Helper()
	me, err := client.Customers.Get(ctx, emporix.Expand("addresses", "mixin:*"))
	require.NoError(t, err)
	assert.Equal(t, number, me.CustomerNumber)

	version := func() emporix.Optional[emporix.MetadataPatch] {
		me, err := client.Customers.Get(ctx)
		require.NoError(t, err)
		return emporix.Set(emporix.MetadataPatch{
			Version: emporix.Set(me.Metadata.Version),
			Mixins:  emporix.Set(emporix.MixinSchemas{"loyalty": "https://schemas.example.com/loyalty2.json"}),
		})
	}
	full := emporix.CustomerPatch{
		Title: emporix.Set("MX"), FirstName: emporix.Set("Joanna"), MiddleName: emporix.Set("R"), LastName: emporix.Set("Roe"),
		ContactEmail: emporix.Set("roe@example.com"), ContactPhone: emporix.Set("456"), Company: emporix.Set("Roe"),
		PreferredLanguage: emporix.Set("de"), PreferredCurrency: emporix.Set("USD"), PreferredSite: emporix.Set("b2b"),
		B2B:      emporix.Set(emporix.B2BPatch{CompanyRegistrationID: emporix.Set("789")}),
		Metadata: version(), Mixins: emporix.Set(emporix.Mixins{"loyalty": json.RawMessage(`{"points":8}`)}),
	}
	require.NoError(t, client.Customers.Update(ctx, full))
	full.Metadata = version()
	require.NoError(t, client.Customers.Update(ctx, full, emporix.AsMergePatch()))
	require.NoError(t, client.Customers.Update(ctx, emporix.CustomerPatch{
		Title: emporix.Null[string](), MiddleName: emporix.Null[string](), Mixins: emporix.Null[emporix.Mixins](),
	}))
	require.NoError(t, client.Customers.UpdateAsEmployee(ctx, number, emporix.EmployeeCustomerPatch{
		FirstName: emporix.Set("Jo"), Type: emporix.Set("CONTACT"), PhotoURL: emporix.Set("https://example.com/jo.png"),
		Restriction: emporix.Set("DE"), Metadata: version(),
	}))
	require.NoError(t, client.Customers.UpdateAsEmployee(ctx, number, emporix.EmployeeCustomerPatch{
		Company: emporix.Set("Emporix"), ContactPhone: emporix.Null[string](),
	}))
	_, err = client.Customers.Get(ctx, emporix.Expand("mixin:loyalty"))
	require.NoError(t, err)
}

func walkAddresses(ctx context.Context, t *testing.T, client *emporix.Client) {
	t.Helper()
	id, err := client.Addresses.Add(ctx, fullAddress("The office"))
	require.NoError(t, err)
	other, err := client.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Only a name", Country: "Germany"})
	require.NoError(t, err)
	_, err = client.Customers.Get(ctx, emporix.Expand("addresses")) // where a country has two letters
	require.NoError(t, err)
	list, err := client.Addresses.List(ctx)
	require.NoError(t, err)
	assert.Len(t, list, 3)
	require.NoError(t, client.Addresses.Update(ctx, id, emporix.AddressPatch{
		ContactName: emporix.Set("Office"), CompanyName: emporix.Set("Roe"), Street: emporix.Set("Weg"), StreetNumber: emporix.Set("2"),
		StreetAppendix: emporix.Set("b"), ExtraLine1: emporix.Set("5"), ExtraLine2: emporix.Set("6"), ExtraLine3: emporix.Set("7"),
		ExtraLine4: emporix.Set("8"), ZipCode: emporix.Set("20095"), City: emporix.Set("Hamburg"), Country: emporix.Set("DE"),
		State: emporix.Set("Hamburg"), ContactPhone: emporix.Set("789"), IsDefault: emporix.Set(true), Tags: emporix.Set([]string{"SHIPPING"}),
		Metadata: emporix.Set(emporix.MetadataPatch{Mixins: emporix.Set(emporix.MixinSchemas{"door": "https://schemas.example.com/door2.json"})}),
		Mixins:   emporix.Set(emporix.Mixins{"door": json.RawMessage(`{"code":false}`)}),
	}))
	require.NoError(t, client.Addresses.AddTags(ctx, id, "BILLING", "a tag / with & more"))
	require.NoError(t, client.Addresses.RemoveTags(ctx, id, "SHIPPING"))
	_, err = client.Addresses.Get(ctx, id)
	require.NoError(t, err)
	require.NoError(t, client.Addresses.Delete(ctx, other))
	_, err = client.Addresses.Get(ctx, other)
	require.ErrorIs(t, err, emporix.ErrNotFound)
	require.ErrorIs(t, client.Addresses.Update(ctx, other, emporix.AddressPatch{City: emporix.Set("Kiel")}), emporix.ErrNotFound)
	require.ErrorIs(t, client.Addresses.AddTags(ctx, other, "BILLING"), emporix.ErrNotFound)
	_, err = client.Customers.Get(ctx, emporix.Expand("addresses"))
	require.NoError(t, err)
}

func walkCredentials(ctx context.Context, t *testing.T, c *court, client *emporix.Client) {
	t.Helper()
	guest := client.Session("guest")
	require.NoError(t, guest.Credentials.RequestPasswordReset(ctx, joEmail, emporix.ForSite("main")))
	require.NoError(t, guest.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{
		Token: c.mail(t, emporixfake.MailPasswordReset, joEmail), Password: joSecond,
	}))
	require.NoError(t, client.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: joSecond, NewPassword: joThird}))
	require.NoError(t, client.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{
		Email: joEmail, Password: joThird, NewEmail: "new@example.com", SyncContactEmail: true,
	}))
	require.NoError(t, guest.Credentials.ConfirmEmailChange(ctx, c.mail(t, emporixfake.MailEmailChange, "new@example.com")))
}

func walkOtherLogins(ctx context.Context, t *testing.T, c *court, client *emporix.Client) {
	t.Helper()
	_, err := client.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "opt@example.com", Password: joFirst})
	require.NoError(t, err)
	require.NoError(t, client.Customers.ResendActivation(ctx, "opt@example.com"))
	confirmed, err := client.Session("opt").Customers.ConfirmSignUp(ctx, c.mail(t, emporixfake.MailOptIn, "opt@example.com"))
	require.NoError(t, err)
	assert.True(t, confirmed.LoggedIn)

	require.NoError(t, c.fake.AddSocialIdentity("the code", emporixfake.Identity{Email: "so@example.com", CodeVerifier: "the verifier"}))
	social := client.Session("social")
	_, err = social.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{
		Code: "the code", RedirectURI: "https://shop.example.com/cb?a=b", CodeVerifier: "the verifier",
	})
	require.NoError(t, err)
	_, err = social.Customers.Get(ctx)
	require.NoError(t, err)
	_, err = social.Auth.Refresh(ctx)
	require.NoError(t, err)

	require.NoError(t, c.fake.AddSubjectToken("a.subject.token", emporixfake.Identity{Email: "ex@example.com"}, "site_PL"))
	exchanged := client.Session("exchange")
	_, err = exchanged.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "a.subject.token", Config: "site_PL"})
	require.NoError(t, err)
	_, err = exchanged.Customers.Get(ctx)
	require.NoError(t, err)
}

// A tenant whose confirmation does not log in answers it with an empty body.
func TestAConfirmationMayAnswerNothing(t *testing.T) {
	c := newCourt(t, func(a *emporixfake.Assumptions) { a.DoubleOptIn, a.OptInLogsIn = true, false })
	client := c.client(t)
	_, err := client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: joEmail, Password: joFirst})
	require.NoError(t, err)
	confirmed, err := client.Customers.ConfirmSignUp(t.Context(), c.mail(t, emporixfake.MailOptIn, joEmail))
	require.NoError(t, err)
	assert.False(t, confirmed.LoggedIn)
	assert.Empty(t, c.Verdict().Violations)
	assert.Contains(t, c.Verdict().Covered, "Customers.ConfirmSignUp")
}

// The main job itself, as a program over the socket.
func TestTheJourneyKeepsTheContract(t *testing.T) {
	c := newCourt(t)
	journey := filepath.Join(t.TempDir(), "journey")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-o", journey, "github.com/emporix-community/emporix-go/examples/journey").CombinedOutput() // #nosec G204 -- fixed words
	require.NoError(t, err, "%s", built)

	run := exec.CommandContext(t.Context(), journey) // #nosec G204 -- built above
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "EMPORIX_") {
			run.Env = append(run.Env, variable)
		}
	}
	run.Env = append(run.Env, "EMPORIX_API_HOST="+c.url)
	printed, err := run.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	all := fmt.Sprintf("journey: %[1]d of %[1]d operations, 0 failed\n", len(operation.All()))
	assert.True(t, strings.HasSuffix(string(printed), all), "%s", printed)
	acquitted(t, c.Verdict())
}

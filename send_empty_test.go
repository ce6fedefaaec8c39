package emporix

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// requestTypes are all bodies that the customer, address and credential calls
// send, with the names that the API description gives to their fields. The
// required ones, which are always sent, end in "!".
var requestTypes = []struct {
	body   any
	fields string
}{
	{SignUpRequest{}, "email! password! customerDetails customerAddress signup"},
	{SignUpCredentials{}, "email! password!"},
	{CustomerDetails{}, "title firstName middleName lastName contactEmail contactPhone company preferredLanguage preferredCurrency preferredSite b2b metadata mixins"},
	{B2B{}, "companyRegistrationId legalEntities"},
	{LegalEntity{}, "id name contactAssignmentId"},
	{Metadata{}, "version mixins"},
	{CustomerPatch{}, "title firstName middleName lastName contactEmail contactPhone company preferredLanguage preferredCurrency preferredSite b2b metadata mixins"},
	{EmployeeCustomerPatch{}, "title firstName middleName lastName contactEmail contactPhone company preferredLanguage preferredCurrency preferredSite type photoUrl restriction b2b metadata mixins active onHold"},
	{B2BPatch{}, "companyRegistrationId"},
	{MetadataPatch{}, "version mixins"},
	{resendActivationRequest{}, "email!"},
	{AddressRequest{}, "id contactName! companyName street streetNumber streetAppendix extraLine1 extraLine2 extraLine3 extraLine4 zipCode city country state contactPhone isDefault tags metadata mixins"},
	{AddressPatch{}, "contactName companyName street streetNumber streetAppendix extraLine1 extraLine2 extraLine3 extraLine4 zipCode city country state contactPhone isDefault tags metadata mixins"},
	{passwordResetRequest{}, "email! site"},
	{ResetPasswordRequest{}, "token! password!"},
	{ChangePasswordRequest{}, "currentPassword! newPassword!"},
	{EmailChangeRequest{}, "email password! newEmail! syncContactEmail"},
	{confirmEmailChangeRequest{}, "token!"},
}

func TestRequestTypesAreTaggedAsTheAPINamesThem(t *testing.T) {
	for _, tt := range requestTypes {
		typ := reflect.TypeOf(tt.body)
		t.Run(typ.Name(), func(t *testing.T) {
			var fields []string
			for i := range typ.NumField() {
				field := typ.Field(i)
				name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
				if name == "-" {
					assert.Equal(t, "SendEmpty", field.Name, "everything else is sent")
					continue
				}
				assert.True(t, field.IsExported(), "%s: an unexported field is never sent", field.Name)
				assert.True(t, strings.EqualFold(field.Name, name), "%s is sent as %q", field.Name, name)
				assert.NotEqual(t, reflect.Pointer, field.Type.Kind(), "%s: no pointers in requests", field.Name)
				switch options {
				case "omitzero":
				case "":
					name += "!"
					assert.False(t, isOptional(field.Type), "%s: without omitzero an absent Optional doesn't encode", field.Name)
				default:
					assert.Fail(t, "only omitzero leaves the right things out", "%s has %q", field.Name, options)
				}
				fields = append(fields, name)
			}
			assert.ElementsMatch(t, strings.Fields(tt.fields), fields)
		})
	}
}

// Patches consist of Optionals, or a field could not be left alone.
func TestPatchFieldsAreOptional(t *testing.T) {
	for _, tt := range requestTypes {
		typ := reflect.TypeOf(tt.body)
		for i := range typ.NumField() {
			assert.Equal(t, strings.HasSuffix(typ.Name(), "Patch"), isOptional(typ.Field(i).Type), "%s.%s", typ.Name(), typ.Field(i).Name)
		}
	}
}

// Every struct inside a listed request is listed as well.
func TestNoRequestTypeIsForgotten(t *testing.T) {
	listed := map[reflect.Type]bool{}
	for _, tt := range requestTypes {
		listed[reflect.TypeOf(tt.body)] = true
	}
	for _, tt := range requestTypes {
		typ := reflect.TypeOf(tt.body)
		for i := range typ.NumField() {
			inner := typ.Field(i).Type
			if isOptional(inner) {
				value, _ := inner.FieldByName("value")
				inner = value.Type
			}
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				assert.True(t, listed[inner], "%s.%s is of type %s", typ.Name(), typ.Field(i).Name, inner)
			}
		}
	}
}

func isOptional(typ reflect.Type) bool {
	return typ.PkgPath() == reflect.TypeFor[Optional[int]]().PkgPath() && strings.HasPrefix(typ.Name(), "Optional[")
}

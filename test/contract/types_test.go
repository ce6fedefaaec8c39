package contract_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/operation"
)

// memberPaths are the JSON members of a type and of what is in them.
func memberPaths(prefix string, typ reflect.Type) []string {
	if value, isOptional := typ.MethodByName("IsNull"); isOptional && value.Type.NumIn() == 1 {
		inner, _ := typ.MethodByName("Value")
		return memberPaths(prefix, inner.Type.Out(0))
	}
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		return memberPaths(prefix, typ.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var all []string
	for _, field := range reflect.VisibleFields(typ) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "" || name == "-" {
			continue
		}
		all = append(all, prefix+name)
		all = append(all, memberPaths(prefix+name+".", field.Type)...)
	}
	return all
}

// unlike are the members in which a request differs from the description: "-"
// is left out, "+" is added.
var unlike = map[string][]string{
	"Customers.SignUp": {
		// Not described, but the vendor's tutorial signs up with them.
		"+customerDetails.b2b.legalEntities", "+customerDetails.b2b.legalEntities.id",
		"+customerDetails.b2b.legalEntities.name", "+customerDetails.b2b.legalEntities.contactAssignmentId",
	},
	// One type serves sign-up, where these are described, and adding.
	"Addresses.Add": {"+id", "+isDefault", "+metadata.version"},
}

// Nothing that a request can carry is missing, and nothing is made up.
func TestRequestsHaveEveryMember(t *testing.T) {
	d := document(t)
	for _, tt := range []struct {
		op      *operation.Operation
		request any
	}{
		{operation.AuthLogin, emporix.LoginRequest{}},
		{operation.CustomersSignUp, emporix.SignUpRequest{}},
		{operation.CustomersUpdate, emporix.CustomerPatch{}},
		{operation.CustomersActivate, emporix.EmployeeCustomerPatch{}},
		{operation.AddressesAdd, emporix.AddressRequest{}},
		{operation.AddressesUpdate, emporix.AddressPatch{}},
		{operation.CredentialsResetPassword, emporix.ResetPasswordRequest{}},
		{operation.CredentialsChangePassword, emporix.ChangePasswordRequest{}},
		{operation.CredentialsRequestEmailChange, emporix.EmailChangeRequest{}},
	} {
		t.Run(tt.op.Name, func(t *testing.T) {
			var described, ours []string
			for _, input := range d.Inputs(tt.op.Method, tt.op.Path) {
				if member, isBody := strings.CutPrefix(input, "body:"); isBody {
					described = append(described, member)
				}
			}
			require.NotEmpty(t, described)
			ours = memberPaths("", reflect.TypeOf(tt.request))
			for _, member := range unlike[tt.op.Name] {
				if name, added := strings.CutPrefix(member, "+"); added {
					described = append(described, name)
				} else {
					ours = append(ours, member[1:])
				}
			}
			assert.ElementsMatch(t, described, ours)
		})
	}
}

// The SDK reads every member of a profile and of an address.
func TestAnswersHaveEveryMember(t *testing.T) {
	d := document(t)
	for _, tt := range []struct {
		op     *operation.Operation
		answer any
	}{
		{operation.CustomersGet, emporix.Customer{}},
		{operation.AddressesGet, emporix.Address{}},
		{operation.AddressesList, []emporix.Address{}},
	} {
		t.Run(tt.op.Name, func(t *testing.T) {
			described := d.Members(tt.op.Method, tt.op.Path, http.StatusOK)
			require.NotEmpty(t, described)
			assert.ElementsMatch(t, described, memberPaths("", reflect.TypeOf(tt.answer)))
		})
	}
}

package contract_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/internal/operation"
)

// schemes says which bearer of the SDK's table stands for which schemes.
var schemes = map[operation.Bearer][]string{
	operation.None:                nil,
	operation.Anonymous:           {"AnonymousAccessToken"},
	operation.Customer:            {"CustomerAccessToken"},
	operation.CustomerOrAnonymous: {"AnonymousAccessToken", "CustomerAccessToken"},
	operation.Employee:            {"TenantManagedOAuth2"},
}

func TestTheTableIsTheContract(t *testing.T) {
	d := document(t)
	var ours []string
	for _, op := range operation.All() {
		ours = append(ours, op.Method+" "+op.Path)
		t.Run(op.Name, func(t *testing.T) {
			described := d.Find(op.Method, op.Path)
			require.NotNil(t, described, "%s %s", op.Method, op.Path)
			assert.ElementsMatch(t, schemes[op.Bearer], d.Security(described))

			var successes []int
			for status := range described.Responses.Map() {
				if strings.HasPrefix(status, "2") {
					code, err := strconv.Atoi(status)
					require.NoError(t, err)
					successes = append(successes, code)
				}
			}
			assert.Equal(t, []int{op.Success[0]}, successes, "the documented status comes first")
			answersJSON := len(described.Responses.Status(op.Success[0]).Value.Content) > 0
			assert.True(t, answersJSON || op.Tokens == operation.NoTokens, "a login without an answer")
		})
	}
	assert.ElementsMatch(t, d.Operations(), ours)
}

// Every secret of the table is an input that is described.
func TestTheSecretsOfTheTableAreInputs(t *testing.T) {
	d := document(t)
	for _, op := range operation.All() {
		inputs := d.Inputs(op.Method, op.Path)
		for _, secret := range op.Secrets {
			assert.Contains(t, inputs, secret, op.Name)
		}
	}
}

func TestTheFakeNamesTheSameOperations(t *testing.T) {
	var names []string
	for _, op := range operation.All() {
		names = append(names, op.Name)
	}
	assert.ElementsMatch(t, names, emporixfake.Operations())
}

package emporix_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

const canary = "CANARY-9-secret"

// secretRequests are all exported types that hold secrets as plain strings.
var secretRequests = map[string]any{
	"LoginRequest":          emporix.LoginRequest{Email: "e", Password: canary},
	"SocialLoginRequest":    emporix.SocialLoginRequest{Code: canary, RedirectURI: "u", CodeVerifier: canary},
	"ExchangeTokenRequest":  emporix.ExchangeTokenRequest{SubjectAccessToken: canary},
	"SignUpRequest":         emporix.SignUpRequest{Email: "e", Password: canary, SignUp: emporix.SignUpCredentials{Email: "e", Password: canary}},
	"SignUpCredentials":     emporix.SignUpCredentials{Email: "e", Password: canary},
	"ResetPasswordRequest":  emporix.ResetPasswordRequest{Token: canary, Password: canary},
	"ChangePasswordRequest": emporix.ChangePasswordRequest{CurrentPassword: canary, NewPassword: canary},
	"EmailChangeRequest":    emporix.EmailChangeRequest{Password: canary, NewEmail: "n"},
}

// positions are where a printed value may hold a request.
func positions[T any](v T) map[string]any {
	type holder struct{ Exported T }
	type viaInterface struct{ Any any }
	return map[string]any{
		"value": v, "pointer": &v, "slice": []T{v}, "array": [1]T{v}, "map": map[string]T{"k": v}, "slice of any": []any{v}, "map of any": map[string]any{"k": v},
		"field": holder{v}, "pointer to field": &holder{v}, "field of any": viaInterface{v}, "slice of fields": []holder{{v}},
		"error": fmt.Errorf("wrapped: %v", v),
	}
}

func positionsOf(request any) map[string]any {
	switch v := request.(type) {
	case emporix.LoginRequest:
		return positions(v)
	case emporix.SocialLoginRequest:
		return positions(v)
	case emporix.ExchangeTokenRequest:
		return positions(v)
	case emporix.SignUpRequest:
		return positions(v)
	case emporix.SignUpCredentials:
		return positions(v)
	case emporix.ResetPasswordRequest:
		return positions(v)
	case emporix.ChangePasswordRequest:
		return positions(v)
	case emporix.EmailChangeRequest:
		return positions(v)
	}
	panic("a request that the test does not know")
}

// Every verb that asks a value how to print itself gets the mask. %p and %w ask
// none: they print what they can't use by themselves.
func TestRequestsMaskTheirSecretsForEveryVerb(t *testing.T) {
	shown := map[rune]bool{}
	for name, request := range secretRequests {
		for position, v := range positionsOf(request) {
			for verb := 'A'; verb <= 'z'; verb++ {
				for _, flags := range []string{"", "+", "#", "-20", " ", "020", "+#", ".3", "8.3"} {
					if verb > 'Z' && verb < 'a' {
						continue
					}
					text := fmt.Sprintf("%"+flags+string(verb), v)
					hex := fmt.Sprintf("%x", canary)
					if !strings.Contains(text, canary) && !strings.Contains(strings.ToLower(text), hex) {
						continue
					}
					shown[verb] = true
					assert.Contains(t, "pw", string(verb), "%s, %s, %%%s%c: %s", name, position, flags, verb, text)
				}
			}
			assert.NotContains(t, fmt.Sprint(v)+fmt.Sprintln(v), canary, "%s, %s", name, position)
			for _, wrong := range []string{"", "%*d", "%[3]*.[2]*[1]f", "%[9]d", "%!", "%"} { // what fmt prints of formats that don't fit
				assert.NotContains(t, fmt.Sprintf(wrong, v, v, v), canary, "%s, %s, %q", name, position, wrong)
			}
		}
	}
	assert.Equal(t, map[rune]bool{'p': true, 'w': true}, shown, "the documentation names these")
}

// The documentation claims no more than that.
func TestDocumentationNamesTheVerbsThatShowSecrets(t *testing.T) {
	claims := 0
	for _, file := range []string{"SECURITY.md", "doc.go", "auth.go", "credentials.go", "customers.go", "mask.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		plain := strings.Join(strings.Fields(strings.NewReplacer("//", "", "`", "").Replace(string(text))), " ")
		for _, claim := range regexp.MustCompile(`(?i)(every|all|any) (verb|verbs)( of fmt)?.{0,30}`).FindAllString(plain, -1) {
			assert.Contains(t, claim, "but %p and %w", file)
			claims++
		}
	}
	assert.Positive(t, claims)
}

// Each exported request with a field that holds a secret is in the test above.
func TestNoRequestWithASecretIsForgotten(t *testing.T) {
	for _, file := range []string{"auth.go", "credentials.go", "customers.go", "addresses.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, method := range regexp.MustCompile(`func \(\w+ ([A-Z]\w+)\) Format\(`).FindAllStringSubmatch(string(text), -1) {
			assert.Contains(t, secretRequests, method[1])
		}
		for _, typ := range regexp.MustCompile(`(?s)type ([A-Z]\w*(?:Request|Credentials)) struct \{(.*?)\n\}`).FindAllStringSubmatch(string(text), -1) {
			if regexp.MustCompile(`(?m)^\t(\w*Password|\w*Token|Code|CodeVerifier)\s+string`).MatchString(typ[2]) {
				assert.Contains(t, secretRequests, typ[1])
			}
		}
	}
}

func TestRequestsNeverPrintTheirSecrets(t *testing.T) {
	signUp := emporix.SignUpRequest{
		Email: "jo@example.com", Password: canary,
		SignUp: emporix.SignUpCredentials{Email: "login@example.com", Password: canary},
	}
	requests := []any{
		signUp, &signUp, signUp.SignUp,
		emporix.ResetPasswordRequest{Token: canary, Password: canary},
		emporix.ChangePasswordRequest{CurrentPassword: canary, NewPassword: canary},
		emporix.EmailChangeRequest{Password: canary, NewEmail: "new@example.com"},
	}
	for _, req := range requests {
		t.Run(fmt.Sprintf("%T", req), func(t *testing.T) {
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x"} {
				fmt.Fprintf(&out, verb+"\n", req)
				fmt.Fprintf(&out, verb+"\n", struct{ Inside any }{req})
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "request", req)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "request", req)
			fmt.Fprintln(&out, req, fmt.Errorf("failed on %v", req))

			assert.NotContains(t, out.String(), canary)
			assert.NotContains(t, strings.ToLower(out.String()), fmt.Sprintf("%x", canary))
			assert.Contains(t, out.String(), "[redacted]")

			body, err := json.Marshal(req)
			require.NoError(t, err)
			assert.Contains(t, string(body), canary, "the API still gets it")
		})
	}
	assert.Contains(t, fmt.Sprint(signUp), "jo@example.com", "what is no secret stays readable")
	assert.Equal(t, canary, signUp.SignUp.Password, "the request itself keeps its values")
}

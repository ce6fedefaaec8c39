package emporix_test

import (
	"context"
	"testing"

	emporix "github.com/emporix-community/emporix-go"
)

func TestCredentialsMakeTheRequestsThatTheAPIDescribes(t *testing.T) {
	runRequests(t, map[string]requestTest{
		"request reset": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.RequestPasswordReset(ctx, "a@b.c", emporix.ForSite("main"))
		}, sent("POST /customer/acme/password/reset", "anonymous-access", plainJSON, `{"email":"a@b.c","site":"main"}`)},
		"reset": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: "t", Password: "p"})
		}, sent("POST /customer/acme/password/reset/update", "anonymous-access", plainJSON, `{"token":"t","password":"p"}`)},
		"change password": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "p", NewPassword: "q"})
		}, sent("POST /customer/acme/password/change", "customer-access", plainJSON, `{"currentPassword":"p","newPassword":"q"}`)},
		"request e-mail change": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Password: "p", NewEmail: "n@b.c"})
		}, sent("POST /customer/acme/me/accounts/internal/email/change", "customer-access", plainJSON, `{"password":"p","newEmail":"n@b.c"}`)},
		"request e-mail change in full": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Email: "a@b.c", Password: "p", NewEmail: "n@b.c", SyncContactEmail: true})
		}, sent("POST /customer/acme/me/accounts/internal/email/change", "customer-access", plainJSON, `{"email":"a@b.c","password":"p","newEmail":"n@b.c","syncContactEmail":true}`)},
		"confirm e-mail change": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ConfirmEmailChange(ctx, "t")
		}, sent("POST /customer/acme/me/accounts/internal/email/change/confirm", "anonymous-access", plainJSON, `{"token":"t"}`)},
	})
}

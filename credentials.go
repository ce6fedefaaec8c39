package emporix

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// CredentialsService changes passwords and login e-mail addresses.
type CredentialsService service

// PasswordResetOption changes what Credentials.RequestPasswordReset sends.
type PasswordResetOption func(*passwordResetRequest)

type passwordResetRequest struct {
	Email string `json:"email"`
	Site  string `json:"site,omitzero"`
}

// ForSite names the site that the customer comes from by its code. It may decide how
// the mail looks and where its link leads.
func ForSite(code string) PasswordResetOption {
	return func(r *passwordResetRequest) { r.Site = code }
}

// ResetPasswordRequest sets a new password with the token from the mail. fmt
// and slog show it without either.
type ResetPasswordRequest struct {
	// Token comes from the mail. Required.
	Token string `json:"token"`
	// Password is the new one. Required.
	Password string `json:"password"`
}

// Format masks the secrets for every verb of fmt but %p and %w.
func (r ResetPasswordRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue masks the secrets for slog.
func (r ResetPasswordRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r ResetPasswordRequest) masked() any {
	type resetPassword ResetPasswordRequest
	r.Token, r.Password = mask(r.Token), mask(r.Password)
	return resetPassword(r)
}

// ChangePasswordRequest replaces the password of the logged-in customer. fmt
// and slog show it without either.
type ChangePasswordRequest struct {
	// CurrentPassword is the one that is valid now. Required.
	CurrentPassword string `json:"currentPassword"`
	// NewPassword is the one to come. Required.
	NewPassword string `json:"newPassword"`
}

// Format masks the secrets for every verb of fmt but %p and %w.
func (r ChangePasswordRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue masks the secrets for slog.
func (r ChangePasswordRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r ChangePasswordRequest) masked() any {
	type changePassword ChangePasswordRequest
	r.CurrentPassword, r.NewPassword = mask(r.CurrentPassword), mask(r.NewPassword)
	return changePassword(r)
}

// EmailChangeRequest asks for a mail with a token that confirms a new login
// e-mail address. fmt and slog show it without the password.
type EmailChangeRequest struct {
	// Email is the current login e-mail address.
	Email string `json:"email,omitzero"`
	// Password is the customer's password. Required.
	Password string `json:"password"`
	// NewEmail is the address to come; the token is sent there. Required.
	NewEmail string `json:"newEmail"`
	// SyncContactEmail also changes the profile's contact e-mail address.
	SyncContactEmail bool `json:"syncContactEmail,omitzero"`
}

// Format masks the password for every verb of fmt but %p and %w.
func (r EmailChangeRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue masks the password for slog.
func (r EmailChangeRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r EmailChangeRequest) masked() any {
	type emailChange EmailChangeRequest
	r.Password = mask(r.Password)
	return emailChange(r)
}

// confirmEmailChangeRequest never prints the token.
type confirmEmailChangeRequest struct {
	Token string `json:"token"`
}

func (r confirmEmailChangeRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

func (r confirmEmailChangeRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r confirmEmailChangeRequest) masked() any {
	type confirmEmailChange confirmEmailChangeRequest
	r.Token = mask(r.Token)
	return confirmEmailChange(r)
}

// RequestPasswordReset has the API send a mail with a reset token to the customer with
// that login e-mail address. The result is the same whether or not the server knows the
// address. The request is not repeated once it may have been sent: then the error is
// ErrOutcomeUnknown, and a second call may send a second mail.
//
// Bearer: anonymous. Errors: *ArgumentError without an e-mail address,
// ErrInvalidRequest, ErrUnauthorized, ErrForbidden.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/credentials#post-customer-tenant-password-reset
func (s *CredentialsService) RequestPasswordReset(ctx context.Context, email string, opts ...PasswordResetOption) error {
	req := passwordResetRequest{Email: email}
	for _, opt := range opts {
		if opt == nil {
			return named(operation.CredentialsRequestPasswordReset, nilOption())
		}
		opt(&req)
	}
	if err := requireText("email", req.Email); err != nil {
		return named(operation.CredentialsRequestPasswordReset, err)
	}
	return s.on().do(ctx, request{op: operation.CredentialsRequestPasswordReset, body: req})
}

// ResetPassword sets a new password with the token from the mail.
//
// Bearer: anonymous. Errors: *ArgumentError without a usable token or a password,
// ErrInvalidRequest for a wrong, used or expired token and for a password that
// the tenant doesn't accept, ErrUnauthorized, ErrForbidden, ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/credentials#post-customer-tenant-password-reset-update
func (s *CredentialsService) ResetPassword(ctx context.Context, req ResetPasswordRequest) error {
	if err := identifier("token", req.Token, maxMailToken); err != nil {
		return named(operation.CredentialsResetPassword, err)
	}
	if err := requirePassword("password", req.Password); err != nil {
		return named(operation.CredentialsResetPassword, err)
	}
	return s.on().do(ctx, request{op: operation.CredentialsResetPassword, body: req})
}

// ChangePassword replaces the password of the logged-in customer.
//
// Bearer: customer; ErrNotLoggedIn without one. Errors: *ArgumentError without
// one of the passwords, ErrInvalidCredentials for a wrong current password,
// ErrInvalidRequest for a new one that the tenant doesn't accept,
// ErrUnauthorized, ErrForbidden, ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/credentials#post-customer-tenant-password-change
func (s *CredentialsService) ChangePassword(ctx context.Context, req ChangePasswordRequest) error {
	if err := requirePassword("currentPassword", req.CurrentPassword); err != nil {
		return named(operation.CredentialsChangePassword, err)
	}
	if err := requirePassword("newPassword", req.NewPassword); err != nil {
		return named(operation.CredentialsChangePassword, err)
	}
	return s.on().do(ctx, request{op: operation.CredentialsChangePassword, body: req})
}

// RequestEmailChange has a mail with a token sent to the new address. The login
// changes when ConfirmEmailChange gets that token.
//
// Bearer: customer, with the scope customer.customerprofile_edit;
// ErrNotLoggedIn without one. Errors: *ArgumentError without a password or new
// address, ErrInvalidCredentials for a wrong password, ErrInvalidRequest,
// ErrUnauthorized, ErrForbidden, ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/credentials#post-customer-tenant-me-accounts-internal-email-change
func (s *CredentialsService) RequestEmailChange(ctx context.Context, req EmailChangeRequest) error {
	if err := requirePassword("password", req.Password); err != nil {
		return named(operation.CredentialsRequestEmailChange, err)
	}
	if err := requireText("newEmail", req.NewEmail); err != nil {
		return named(operation.CredentialsRequestEmailChange, err)
	}
	return s.on().do(ctx, request{op: operation.CredentialsRequestEmailChange, body: req})
}

// ConfirmEmailChange changes the login e-mail address with the token from the
// mail. It needs no logged-in customer: the link may be opened anywhere.
//
// Bearer: anonymous. Errors: *ArgumentError without a usable token, ErrInvalidRequest
// for a wrong, used or expired one, ErrUnauthorized, ErrForbidden,
// ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/credentials#post-customer-tenant-me-accounts-internal-email-change-confirm
func (s *CredentialsService) ConfirmEmailChange(ctx context.Context, token string) error {
	if err := identifier("token", token, maxMailToken); err != nil {
		return named(operation.CredentialsConfirmEmailChange, err)
	}
	return s.on().do(ctx, request{
		op:   operation.CredentialsConfirmEmailChange,
		body: confirmEmailChangeRequest{Token: token},
	})
}

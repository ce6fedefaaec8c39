package main

import (
	"errors"
	"net/http"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// routeAPI serves the same as the pages as JSON, for a shop whose pages are a
// program in the browser. The cookie is the same; no token ever reaches the
// browser.
func (s *shop) routeAPI(mux *http.ServeMux) {
	for pattern, call := range map[string]apiCall{
		"GET /api/session":            s.apiSession,
		"POST /api/login":             s.apiLogin,
		"POST /api/logout":            s.apiLogout,
		"GET /api/account":            inSession(s.apiAccount),
		"PATCH /api/account":          inSession(s.apiUpdate),
		"GET /api/addresses":          inSession(s.apiAddresses),
		"POST /api/addresses":         inSession(s.apiAddAddress),
		"PATCH /api/addresses/{id}":   inSession(s.apiUpdateAddress),
		"DELETE /api/addresses/{id}":  inSession(s.apiDeleteAddress),
		"POST /api/account/company":   s.apiCompany,
		"POST /api/account/password":  s.apiPassword,
		"POST /api/account/email":     inSession(s.apiChangeEmail),
		"POST /api/logout/everywhere": s.apiLogoutEverywhere,

		"GET /api/addresses/{id}":               inSession(s.apiAddress),
		"POST /api/addresses/{id}/tags":         inSession(s.apiAddTags),
		"DELETE /api/addresses/{id}/tags/{tag}": inSession(s.apiRemoveTag),

		"POST /api/signup":             inSession(s.apiSignUp),
		"POST /api/signup/resend":      inSession(s.apiResendMail),
		"POST /api/signup/confirm":     s.apiConfirmSignUp,
		"POST /api/email/confirm":      inSession(s.apiConfirmEmail),
		"POST /api/password/forgotten": inSession(s.apiForgottenPassword),
		"POST /api/password/reset":     inSession(s.apiResetPassword),
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			out, err := call(r)
			switch {
			case errors.Is(err, emporix.ErrStoreCorrupt):
				s.visits.Error(w, r, err) // ends the visit too
			case err != nil:
				writeError(w, err)
			case out == nil:
				w.WriteHeader(http.StatusNoContent)
			default:
				writeJSON(w, http.StatusOK, out)
			}
		})
	}
}

// apiCall answers what to send, nil for nothing.
type apiCall func(r *http.Request) (any, error)

// inSession is an apiCall that needs the visitor's session.
func inSession(call func(r *http.Request, session *emporix.Session) (any, error)) apiCall {
	return func(r *http.Request) (out any, err error) {
		err = withSession(r, func(session *emporix.Session) error {
			out, err = call(r, session)
			return err
		})
		return out, err
	}
}

type apiSession struct {
	Kind    emporix.SessionKind `json:"kind"`
	Expired bool                `json:"expired,omitempty"`
	Company string              `json:"legalEntityId,omitempty"`
	Until   time.Time           `json:"renewableUntil,omitzero"`
}

func (s *shop) apiSession(r *http.Request) (any, error) {
	info, err := bff.From(r).Info(r.Context())
	if err != nil {
		return nil, err
	}
	return apiSession{info.Kind, info.Expired, info.LegalEntityID, info.RefreshExpires}, nil
}

func (s *shop) apiLogin(r *http.Request) (any, error) {
	in, err := readJSON[struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}](r)
	if err != nil {
		return nil, err
	}
	if err := checkedEmail("email", in.Email); err != nil {
		return nil, err
	}
	if err := s.mayTry(r, in.Email); err != nil {
		return nil, err
	}
	result, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: in.Email, Password: in.Password})
	if err != nil {
		return nil, loginError(err)
	}
	return map[string]bool{"loggedIn": true, "initialPassword": result.InitialPassword}, nil
}

func (s *shop) apiLogout(r *http.Request) (any, error) {
	err := bff.From(r).Logout(r.Context())
	if errors.Is(err, emporix.ErrStoreUnavailable) {
		return nil, err
	}
	return nil, nil
}

func (s *shop) apiLogoutEverywhere(r *http.Request) (any, error) {
	return nil, bff.From(r).LogoutEverywhere(r.Context())
}

func (s *shop) apiAccount(r *http.Request, session *emporix.Session) (any, error) {
	me, err := session.Customers.Get(r.Context(), emporix.Expand("addresses"))
	if err != nil {
		return nil, err
	}
	if me.IsAnonymous() {
		return nil, emporix.ErrNotLoggedIn
	}
	return me, nil
}

// apiUpdate takes the SDK's own patch: absent leaves a field alone, null
// removes it, and metadata.version guards against overwriting.
func (s *shop) apiUpdate(r *http.Request, session *emporix.Session) (any, error) {
	patch, err := readJSON[emporix.CustomerPatch](r)
	if err != nil {
		return nil, err
	}
	if email, given := patch.ContactEmail.Value(); given {
		if err := checkedEmail("contactEmail", email); err != nil {
			return nil, err
		}
	}
	return nil, session.Customers.Update(r.Context(), patch)
}

func (s *shop) apiAddresses(r *http.Request, session *emporix.Session) (any, error) {
	list, err := session.Addresses.List(r.Context())
	if err != nil {
		return nil, err
	}
	return map[string]any{"addresses": list}, nil
}

func (s *shop) apiAddAddress(r *http.Request, session *emporix.Session) (any, error) {
	in, err := readJSON[emporix.AddressRequest](r)
	if err != nil {
		return nil, err
	}
	id, err := session.Addresses.Add(r.Context(), in)
	if err != nil {
		return nil, err
	}
	return map[string]string{"id": id}, nil
}

func (s *shop) apiUpdateAddress(r *http.Request, session *emporix.Session) (any, error) {
	patch, err := readJSON[emporix.AddressPatch](r)
	if err != nil {
		return nil, err
	}
	return nil, session.Addresses.Update(r.Context(), r.PathValue("id"), patch)
}

func (s *shop) apiDeleteAddress(r *http.Request, session *emporix.Session) (any, error) {
	return nil, session.Addresses.Delete(r.Context(), r.PathValue("id"))
}

func (s *shop) apiAddress(r *http.Request, session *emporix.Session) (any, error) {
	return session.Addresses.Get(r.Context(), r.PathValue("id"))
}

func (s *shop) apiAddTags(r *http.Request, session *emporix.Session) (any, error) {
	in, err := readJSON[struct {
		Tags []string `json:"tags"`
	}](r)
	if err != nil {
		return nil, err
	}
	return nil, session.Addresses.AddTags(r.Context(), r.PathValue("id"), in.Tags...)
}

func (s *shop) apiRemoveTag(r *http.Request, session *emporix.Session) (any, error) {
	return nil, session.Addresses.RemoveTags(r.Context(), r.PathValue("id"), r.PathValue("tag"))
}

func (s *shop) apiCompany(r *http.Request) (any, error) {
	in, err := readJSON[struct {
		ID string `json:"legalEntityId"`
	}](r)
	if err != nil {
		return nil, err
	}
	_, err = bff.From(r).SwitchLegalEntity(r.Context(), in.ID)
	return nil, err
}

func (s *shop) apiPassword(r *http.Request) (any, error) {
	in, err := readJSON[struct {
		Current string `json:"currentPassword"`
		New     string `json:"newPassword"`
	}](r)
	if err != nil {
		return nil, err
	}
	if err := s.mayTry(r, ""); err != nil {
		return nil, err
	}
	err = bff.From(r).ChangePassword(r.Context(), emporix.ChangePasswordRequest{CurrentPassword: in.Current, NewPassword: in.New})
	return nil, currentPasswordError(err)
}

package main

import (
	"encoding/json"
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
		"POST /api/logout/everywhere": s.apiLogoutEverywhere,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			out, err := call(r)
			switch {
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

var errNotJSON = errors.New("the request body is not the JSON that is expected")

// readJSON wants the content type too: a form of another site can't send it.
func readJSON[T any](r *http.Request) (T, error) {
	var in T
	if r.Header.Get("Content-Type") != "application/json" {
		return in, errNotJSON
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return in, errNotJSON
	}
	return in, nil
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		writeProblem(w, explain(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}

type apiProblem struct {
	Code    string            `json:"code"`
	Message string            `json:"message"`
	Fields  map[string]string `json:"fields,omitempty"`
}

func writeProblem(w http.ResponseWriter, what problem) {
	writeJSON(w, what.Status, map[string]any{"error": apiProblem{Code: what.Code, Message: what.Text}})
}

func writeError(w http.ResponseWriter, err error) {
	if errors.Is(err, errNotJSON) {
		writeProblem(w, problem{Status: http.StatusBadRequest, Code: "no-json", Text: "Send a JSON object as application/json, with the documented members only."})
		return
	}
	what := explain(err)
	out := apiProblem{Code: what.Code, Message: what.Text, Fields: map[string]string{}}
	var apiErr *emporix.APIError
	if errors.As(err, &apiErr) && errors.Is(err, emporix.ErrInvalidRequest) {
		for _, detail := range apiErr.Details {
			out.Fields[detail.Field] = detail.Message
		}
	}
	var argument *emporix.ArgumentError
	if errors.As(err, &argument) {
		out.Fields[argument.Field] = argument.Reason
	}
	writeJSON(w, what.Status, map[string]any{"error": out})
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
	return nil, bff.From(r).ChangePassword(r.Context(), emporix.ChangePasswordRequest{CurrentPassword: in.Current, NewPassword: in.New})
}

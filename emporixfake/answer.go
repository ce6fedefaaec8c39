package emporixfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// answer is what the tenant says; a nil body is an empty one.
type answer struct {
	status int
	body   any
	raw    []byte
}

// encoded turns the body into bytes, while the state it may point to is locked.
func (a answer) encoded() answer {
	if a.body != nil {
		raw, err := json.Marshal(a.body)
		if err != nil {
			panic(fmt.Sprintf("emporixfake: encode an answer: %v", err))
		}
		a.raw, a.body = raw, nil
	}
	return a
}

func writeAnswer(w http.ResponseWriter, a answer) {
	limitAnswer(w)
	a = a.encoded()
	if a.raw != nil {
		w.Header().Set("Content-Type", "application/json")
	}
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.raw)))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.raw)
}

type object = map[string]any

// errorDetail is one cause in the API's own error shape.
type errorDetail struct {
	Field   string `json:"field,omitempty"`
	Type    string `json:"type,omitempty"`
	Message string `json:"message"`
}

type errorMessage struct {
	Status  int           `json:"status"`
	Type    string        `json:"type"`
	Message string        `json:"message"`
	Details []errorDetail `json:"details,omitempty"`
}

func empty(status int) answer { return answer{status: status} }

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func created(id string) answer {
	return answer{status: http.StatusCreated, body: object{"id": id}}
}

func problem(status int, message string, details ...errorDetail) answer {
	kind := "bad_request"
	switch status {
	case http.StatusUnauthorized:
		kind = "unauthorized"
	case http.StatusForbidden:
		kind = "Forbidden"
	case http.StatusNotFound:
		kind = "resource_not_found"
	case http.StatusConflict:
		kind = "conflict_resource"
	case http.StatusPreconditionFailed:
		kind = "precondition_failed"
	case http.StatusTooManyRequests:
		kind = "too_many_requests"
	case http.StatusBadRequest:
	default:
		if status >= 500 {
			kind = "internal_service_error"
		}
	}
	return answer{status: status, body: errorMessage{status, kind, message, details}}
}

func badRequest(message string, details ...errorDetail) answer {
	return problem(http.StatusBadRequest, message, details...)
}

func notFound(message string) answer { return problem(http.StatusNotFound, message) }

func badField(field, kind, message string) answer {
	return badRequest("The request is not valid.", errorDetail{field, kind, message})
}

func forbidden() answer { return problem(http.StatusForbidden, "User not authorized.") }

// gatewayFault is the 401 of the gateway: it is about the bearer.
func gatewayFault(text, code string) answer {
	return answer{status: http.StatusUnauthorized, body: object{
		"fault": object{"faultstring": text, "detail": object{"errorcode": code}},
	}}
}

func invalidToken() answer {
	return gatewayFault("Invalid access token", "oauth.v2.InvalidAccessToken")
}

func expiredToken() answer {
	return gatewayFault("Access Token expired", "keymanagement.service.access_token_expired")
}

func cutTo(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

package main

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
)

// isAPI reports whether a program asks, which reads JSON.
func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

var errNotJSON = errors.New("the request body is not the JSON that is expected")

// readJSON wants the content type too: a form of another site can't send it.
func readJSON[T any](r *http.Request) (T, error) {
	var in T
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return in, errNotJSON
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return in, errNotJSON
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) { // something follows
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
	retryLater(w, status)
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

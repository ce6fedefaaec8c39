package emporixfake

import (
	"net/http"
	"regexp"
	"strings"
)

// allowCrossOrigin lets web pages of another origin read the answer. An answer
// without credentials may be for every origin, and the API takes its bearers in
// a header, not in cookies.
func (s *Server) allowCrossOrigin(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Assumptions.CrossOriginCallsAreAllowed && r.Header.Get("Origin") != "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
}

// isPreflight says whether a browser asks if a page of another origin may make a
// request.
func (s *Server) isPreflight(r *http.Request) bool {
	return s.cfg.Assumptions.CrossOriginCallsAreAllowed && r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

var headerNames = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+( *, *[!#$%&'*+.^_`|~0-9A-Za-z-]+)*$")

// servePreflight answers with the methods of the path. It has no effect, and
// takes no fault. Access-Control-Allow-Private-Network is not sent: a page from
// the internet has no business with a fake on this machine.
func (s *Server) servePreflight(w http.ResponseWriter, r *http.Request) {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if op, _ := s.route(r, method); op != nil || s.hasService(r, method) {
			methods = append(methods, method)
		}
	}
	if methods == nil {
		s.recordUnrouted(r, http.StatusNotFound)
		writeAnswer(w, notFound("The requested resource does not exist."))
		return
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	if asked := r.Header.Get("Access-Control-Request-Headers"); headerNames.MatchString(asked) {
		header.Set("Access-Control-Allow-Headers", asked)
	}
	header.Set("Access-Control-Max-Age", "600")
	s.recordUnrouted(r, http.StatusNoContent)
	writeAnswer(w, empty(http.StatusNoContent))
}

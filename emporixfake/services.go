package emporixfake

import (
	"net/http"
)

// Handle serves requests that are none of the API's, such as those to the cart
// service, with a handler of yours. The pattern is one of [http.ServeMux]; Handle
// panics where that does. Use [Server.Identify] to learn who asks:
//
//	fake.Handle("GET /cart/{tenant}/carts", func(w http.ResponseWriter, r *http.Request) {
//		visitor, known := fake.Identify(r.Header.Get("Authorization"))
//		…
//	})
//
// The journal names such requests by their pattern. The API's own requests and the
// control interface come first.
func (s *Server) Handle(pattern string, handler http.HandlerFunc) {
	s.services.Handle(pattern, handler)
}

// hasService reports whether a handler was given for a path and method.
func (s *Server) hasService(r *http.Request, method string) bool {
	asked := r.Clone(r.Context())
	asked.Method = method
	_, pattern := s.services.Handler(asked)
	return pattern != ""
}

// serveService serves a request that is none of the API's, and reports whether a
// handler was given for it.
func (s *Server) serveService(w http.ResponseWriter, r *http.Request) bool {
	_, pattern := s.services.Handler(r)
	if pattern == "" {
		return false
	}
	entry := &Entry{Method: cutTo(r.Method, 16), Path: s.redactUnknown(r.URL.Path), Operation: pattern, Bearer: "none"}
	if state, known := s.Identify(r.Header.Get("Authorization")); known {
		entry.Bearer, entry.CustomerNumber = state.Kind, state.CustomerNumber
		if state.State != TokenLive {
			entry.Bearer = state.State + " " + state.Kind
		}
	} else if r.Header.Get("Authorization") != "" {
		entry.Bearer = "unknown"
	}
	noted := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	defer func() { // also if the handler panics
		s.mu.Lock()
		defer s.mu.Unlock()
		entry.Status, entry.Time = noted.status, s.now()
		s.journal.add(*entry)
	}()
	s.services.ServeHTTP(noted, r)
	return true
}

// statusWriter notes the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find what the writer can.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

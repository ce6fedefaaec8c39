package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// shop serves the pages. It keeps nothing between two requests: what belongs to
// a visitor is in the token store, so any replica can answer any request.
type shop struct {
	client  *emporix.Client
	visits  *bff.BFF
	tools   *tools // nil against a real tenant
	log     *slog.Logger
	url     string // that visitors use
	replica string // shown in the footer when there are several
	demo    bool   // the seeded customers exist
	limits  *limiter
}

// handler routes the pages. Whatever changes something is a POST.
func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, page := range map[string]http.HandlerFunc{
		"GET /{$}":                                 s.home,
		"GET /signup":                              s.signUp,
		"POST /signup":                             s.signUp,
		"POST /signup/resend":                      s.resendMail,
		"GET /signup/confirm":                      s.confirmSignUp,
		"POST /signup/confirm":                     s.confirmSignUp,
		"GET /login":                               s.login,
		"POST /login":                              s.login,
		"POST /login/social":                       s.socialLogin,
		"GET " + socialCallback:                    s.socialReturn,
		"POST /logout":                             s.logout,
		"GET /password/forgotten":                  s.forgottenPassword,
		"POST /password/forgotten":                 s.forgottenPassword,
		"GET /password/reset":                      s.resetPassword,
		"POST /password/reset":                     s.resetPassword,
		"GET /email/confirm":                       s.confirmEmail,
		"POST /email/confirm":                      s.confirmEmail,
		"GET /account":                             s.customersOnly(s.overview),
		"GET /account/profile":                     s.customersOnly(s.profile),
		"POST /account/profile":                    s.customersOnly(s.profile),
		"GET /account/addresses":                   s.customersOnly(s.addresses),
		"GET /account/addresses/new":               s.customersOnly(s.addAddress),
		"POST /account/addresses/new":              s.customersOnly(s.addAddress),
		"GET /account/addresses/{id}":              s.customersOnly(s.editAddress),
		"POST /account/addresses/{id}":             s.customersOnly(s.editAddress),
		"POST /account/addresses/{id}/default":     s.customersOnly(s.defaultAddress),
		"GET /account/addresses/{id}/default":      s.backToAddresses,
		"GET /account/addresses/{id}/tags":         s.backToAddress,
		"GET /account/addresses/{id}/tags/remove":  s.backToAddress,
		"POST /account/addresses/{id}/tags":        s.customersOnly(s.addTag),
		"POST /account/addresses/{id}/tags/remove": s.customersOnly(s.removeTag),
		"GET /account/addresses/{id}/delete":       s.customersOnly(s.deleteAddress),
		"POST /account/addresses/{id}/delete":      s.customersOnly(s.deleteAddress),
		"GET /account/security":                    s.customersOnly(s.security),
		"GET /account/security/password":           s.customersOnly(s.changePassword),
		"POST /account/security/password":          s.customersOnly(s.changePassword),
		"GET /account/security/email":              s.customersOnly(s.changeEmail),
		"POST /account/security/email":             s.customersOnly(s.changeEmail),
		"POST /account/security/everywhere":        s.customersOnly(s.logoutEverywhere),
		"GET /account/company":                     s.customersOnly(s.company),
		"POST /account/company":                    s.customersOnly(s.company),
		"/":                                        s.nothingHere(mux),
	} {
		mux.HandleFunc(pattern, page)
	}
	s.routeAPI(mux)
	if s.tools != nil {
		mux.HandleFunc("GET /mailbox", s.mailbox)
		mux.HandleFunc("GET /desk", s.desk)
		mux.HandleFunc("POST /desk", s.desk)
	}

	outer := http.NewServeMux()
	outer.Handle("GET /static/{file}", cached(http.FileServerFS(files)))
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	if s.tools != nil {
		provider{tools: s.tools, callback: s.url + socialCallback}.route(outer)
	}
	outer.Handle("/", noStore(bounded(s.visits.Handler(mux))))
	return s.headers(s.guarded(s.oneName(outer)))
}

// oneName leads visitors who use another name of this machine, such as
// localhost, to the name that the identity provider sends them back to: a cookie
// belongs to a name.
func (s *shop) oneName(next http.Handler) http.Handler {
	own, err := url.Parse(s.url)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, port, _ := net.SplitHostPort(r.Host)
		if err == nil && reads(r) && !isAPI(r) &&
			r.Host != own.Host && port == own.Port() && isLoopback(name) {
			http.Redirect(w, r, own.Scheme+"://"+own.Host+r.URL.RequestURI(), http.StatusTemporaryRedirect) // #nosec G710 -- the shop itself
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headers sets what every answer needs. The pages use no script at all.
func (s *shop) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		// Links from mails carry a token in their address: it must not leave.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		if s.replica != "" {
			h.Set("X-Replica", s.replica)
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		next.ServeHTTP(w, r)
	})
}

// reads tells a page that is looked at from a form that is sent.
func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// pageTime is how long people wait before they are told that it did not work. A
// log-in, and whatever else gives the visitor a new cookie, is not cut short by
// that: it goes on for as long as its calls do.
const pageTime = 8 * time.Second

func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// noStore keeps pages about a person out of every cache, that of the browser's
// back button included.
func noStore(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		next.ServeHTTP(w, r)
	})
}

// home shows the visit in words. A guest's session begins here, as it would for
// the prices of a real shop; with a session that lives, it costs no call.
func (s *shop) home(w http.ResponseWriter, r *http.Request) {
	var info emporix.SessionInfo
	err := withSession(r, func(session *emporix.Session) (err error) {
		info, err = session.Info(r.Context())
		if err == nil && info.Kind == emporix.SessionNone {
			info, err = session.Auth.StartAnonymous(r.Context(), emporix.SessionContext{})
		}
		return err
	})
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "home", page{Title: "Good things for the house", Data: struct {
		Info  emporix.SessionInfo
		Guest bool
		Now   time.Time
	}{info, info.Kind != emporix.SessionCustomer, time.Now()}})
}

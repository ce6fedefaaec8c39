package main

import (
	"net/http"
	"net/url"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// account is a page for customers, with the session of the one who asks.
type account func(w http.ResponseWriter, r *http.Request, session *emporix.Session)

// customersOnly sends visitors who aren't logged in to the login page, and back
// after it. It costs no call.
func (s *shop) customersOnly(next account) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		info, err := bff.From(r).Info(r.Context())
		switch {
		case err != nil:
			s.failed(w, r, err)
			return
		case !isCustomer(info):
			s.sendToLogin(w, r)
			return
		}
		session, err := bff.From(r).Session(r.Context())
		if err != nil {
			s.failed(w, r, err)
			return
		}
		next(w, r, session)
	}
}

func isCustomer(info bff.Info) bool {
	return info.Kind == emporix.SessionCustomer && !info.Expired
}

// withSession does something with the visitor's session.
func withSession(r *http.Request, do func(session *emporix.Session) error) error {
	session, err := bff.From(r).Session(r.Context())
	if err != nil {
		return err
	}
	return do(session)
}

func (s *shop) sendToLogin(w http.ResponseWriter, r *http.Request) {
	done := "please-log-in"
	if info, err := bff.From(r).Info(r.Context()); err == nil && info.Expired {
		done = "log-in-again"
	}
	to(w, r, "/login?next="+url.QueryEscape(pageOf(r)), done)
}

// pageOf is the page of the account that the visitor was on: for a form, the
// one that it stood on. Its query goes, which told what was done last.
func pageOf(r *http.Request) string {
	at := r.URL
	if !reads(r) {
		from, err := url.Parse(r.Referer())
		if err != nil || from.Host != r.Host {
			return "/account"
		}
		at = from
	}
	if next := local(at.EscapedPath()); strings.HasPrefix(next, "/account") {
		return next
	}
	return "/account"
}

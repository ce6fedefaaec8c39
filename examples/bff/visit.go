package main

import (
	"errors"
	"net/http"
	"net/url"

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
		case info.Kind != emporix.SessionCustomer || info.Expired:
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
	next := "/account"
	if r.Method == http.MethodGet {
		next = r.URL.RequestURI()
	}
	to(w, r, "/login?next="+url.QueryEscape(next), done)
}

// refused answers for package bff what it does not let through.
func (s *shop) refused(w http.ResponseWriter, r *http.Request, _ int, err error) {
	if errors.Is(err, bff.ErrCrossOrigin) {
		s.log.Info("a request of another site was refused")
	}
	s.failed(w, r, err)
}

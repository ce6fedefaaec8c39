package emporixfake

import (
	"bytes"
	_ "embed" // of the page
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"time": func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	},
}).Parse(pageHTML))

// pageRows is how many mails, sessions and requests the page shows.
const pageRows = 100

// wantsPage reports whether a browser asks for the page, or sends one of its forms.
func wantsPage(r *http.Request) bool {
	if strings.TrimSuffix(r.URL.Path, "/") != controlPrefix {
		return false
	}
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") ||
		r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// servePage shows the state to a person, and does what its forms ask for.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	here := r.URL.Path // as the browser asked: Tenants changes the path
	if asked, err := url.ParseRequestURI(r.RequestURI); err == nil {
		here = asked.Path
	}
	if !strings.HasSuffix(here, "/") { // links on the page are relative
		w.Header().Set("Location", here+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	status, wrong := http.StatusOK, ""
	if r.Method == http.MethodPost {
		err := s.bufferBody(r)
		if err == nil {
			err = s.submit(r)
		}
		if err == nil {
			w.Header().Set("Location", here)
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		status, wrong = http.StatusBadRequest, err.Error()
	}
	var out bytes.Buffer
	err := page.Execute(&out, map[string]any{
		"Tenant": s.cfg.Tenant, "ClientID": s.cfg.ClientID, "BackendClientID": s.cfg.BackendClientID, "Wrong": wrong,
		"Links": []string{"customers", "sessions", "outbox", "faults", "journal", "coverage", "assumptions"},
		"Now":   s.Now(), "Customers": newest(s.Customers()), "Mails": first(s.Outbox(MailFilter{})), "Sessions": newest(s.Sessions()),
		"Faults": s.faultPointers(), "Operations": append(Operations(), tokenOperation), "Coverage": s.Coverage().String(), "Journal": newest(s.Journal()),
	})
	if err != nil {
		panic(err) // the page is a constant
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

// faultPointers is Faults for the page: what a fault does is said by its pointer.
func (s *Server) faultPointers() []*Fault {
	var all []*Fault
	for _, f := range s.Faults() {
		all = append(all, &f)
	}
	return all
}

func first[T any](list []T) []T { return list[:min(len(list), pageRows)] }

func newest[T any](list []T) []T {
	list = list[max(0, len(list)-pageRows):]
	slices.Reverse(list)
	return list
}

// submit does what a form of the page asks for.
func (s *Server) submit(r *http.Request) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return errors.New("the form is not encoded as it must be")
	}
	switch form.Get("do") {
	case "advance":
		d, err := ParseDuration(strings.TrimSpace(form.Get("duration")))
		if err != nil {
			return err
		}
		return s.advance(d)
	case "reset":
		s.Reset()
		return nil
	case "customer":
		_, err := s.AddCustomer(Customer{Email: form.Get("email"), Password: form.Get("password")})
		return err
	case "fault":
		status, err := strconv.Atoi(form.Get("status"))
		if err != nil {
			return fmt.Errorf("the status %q is no number", cutTo(form.Get("status"), 64))
		}
		times, err := strconv.Atoi(form.Get("times"))
		if err != nil {
			return fmt.Errorf("the number of calls %q is none", cutTo(form.Get("times"), 64))
		}
		return s.Fail(Fault{Operation: form.Get("operation"), Status: status, Times: times})
	case "clear":
		s.ClearFaults()
		return nil
	}
	return errors.New("the page has no such form")
}

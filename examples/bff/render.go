package main

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

//go:embed templates static
var files embed.FS

// pages holds one template for each page, each with the layout around it.
var pages = parsePages()

func parsePages() map[string]*template.Template {
	functions := template.FuncMap{
		"moment":  func(t time.Time) string { return t.UTC().Format("Monday 2 January 2006, 15:04") + " UTC" },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"short":   func(id string) string { return id[:min(len(id), 8)] },
		"country": countryName,
		"words":   strings.Fields,
		"initial": func(name string) string {
			for _, letter := range name {
				return strings.ToUpper(string(letter))
			}
			return "·"
		},
	}
	shared := template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/layout/*.html"))
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic(err)
	}
	all := map[string]*template.Template{}
	for _, name := range names {
		own := template.Must(template.Must(shared.Clone()).ParseFS(files, name))
		all[strings.TrimSuffix(path.Base(name), ".html")] = own
	}
	return all
}

// page is what the layout shows around the content.
type page struct {
	Title   string
	Section string // of the account's navigation; empty outside of the account
	Notice  string // what was just done, in words
	Data    any    // for the content

	LoggedIn bool
	Unknown  bool // whether somebody is logged in can't be told
	Failed   bool // something has to be looked at again: its title says so first
	Tools    bool // there is a fake, and pages about it
	Replica  string
}

// show renders a page. It is rendered before the first byte is sent, so that a
// mistake in a template is an error page and not half of a page.
func (s *shop) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	if visit, known := bff.FromContext(r.Context()); known {
		info, err := visit.Info(r.Context())
		p.LoggedIn, p.Unknown = err == nil && info.Kind == emporix.SessionCustomer, err != nil
	}
	if status < http.StatusBadRequest {
		p.Notice = notices[r.URL.Query().Get("done")]
	}
	s.render(w, status, name, p)
}

func (s *shop) render(w http.ResponseWriter, status int, name string, p page) {
	p.Failed = status >= http.StatusBadRequest
	p.Tools, p.Replica = s.tools != nil, s.replica
	var body bytes.Buffer
	if err := pages[name].ExecuteTemplate(&body, "page", p); err != nil {
		s.log.Error("a page can't be shown", slog.String("page", name), slog.Any("error", err))
		http.Error(w, "Something went wrong. Please try again.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	retryLater(w, status)
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}

// retryLater says when to come back to what is not available.
func retryLater(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "60")
	}
}

// notices are what pages say after something was done, by the name that the
// redirect to them carries: a text in the address would let anybody speak in
// the shop's name.
var notices = map[string]string{
	"logged-in":          "You are logged in. Welcome!",
	"logged-out":         "You are logged out. See you soon!",
	"logged-out-all":     "You are logged out here and on all your other devices.",
	"confirmed":          "Your account is confirmed. Welcome!",
	"confirmed-log-in":   "Your account is confirmed. You can log in now.",
	"mail-again":         "If that address waits for its confirmation, a new mail is on its way.",
	"profile":            "Your details are saved.",
	"address-added":      "The address is added.",
	"address-saved":      "The address is saved.",
	"address-default":    "That is your default address now.",
	"address-deleted":    "The address is deleted.",
	"tags":               "The labels are saved.",
	"password":           "Your password is changed.",
	"password-reset":     "Your password is changed. You can log in with it now.",
	"email-mail":         "Almost done: open the mail that we sent to your new address and follow its link.",
	"email":              "Your e-mail address is changed. Log in with the new one from now on.",
	"company":            "You act for another company now.",
	"company-none":       "You act for nobody in particular now.",
	"activated":          "The account is active. Its owner can log in now.",
	"please-log-in":      "Please log in to go on.",
	"log-in-again":       "Your session has ended. Log in again and carry on where you were.",
	"reset-mail":         "If there is an account for that address, a mail with a link is on its way.",
	"password-please":    "You are logged in. An employee chose your password: please choose your own now.",
	"social-did-nothing": "You came back without logging in. Nothing has changed.",
}

// to redirects after a form was handled, so that a reload does not send it
// again. done is a key of notices.
func to(w http.ResponseWriter, r *http.Request, where, done string) {
	if done != "" {
		mark := "?"
		if strings.Contains(where, "?") {
			mark = "&"
		}
		where += mark + "done=" + done
	}
	http.Redirect(w, r, where, http.StatusSeeOther) // #nosec G710 -- a path of this shop
}

// local takes the page to go on with from a query or form: a path of this shop
// or nothing.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, "\\") || strings.ContainsFunc(next, unicode.IsControl) || len(next) > 300 {
		return ""
	}
	return next
}

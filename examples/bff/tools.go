package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// tools reaches the fake's control interface, over HTTP like everything else:
// the fake may run in another process. Against a real tenant there are none.
type tools struct {
	base           string
	client         *http.Client
	confirmsByMail bool // the fake sends a mail at sign-up; else an employee activates

	newest atomic.Pointer[string] // customer number of the newest account, for the desk
}

// note keeps the customer number of a new account for the employee's desk. The
// person who signs up is not shown it: an address that has an account would get
// none.
func (t *tools) note(number string) { t.newest.Store(&number) }

// findTools asks base whether it is a fake.
func findTools(ctx context.Context, base string) (*tools, error) {
	t := &tools{base: strings.TrimSuffix(base, "/") + "/__fake/", client: &http.Client{Timeout: 5 * time.Second}}
	var table []emporixfake.Assumption
	if err := t.do(ctx, http.MethodGet, "assumptions", nil, &table); err != nil {
		return nil, err
	}
	for _, row := range table {
		if row.Name == "double-opt-in" {
			t.confirmsByMail = row.Value == "true"
		}
	}
	return t, nil
}

func (t *tools) do(ctx context.Context, method, what string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, t.base+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the fake's control interface answered %s", res.Status)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// letter is a mail of the fake with the link that its token belongs into. A
// real tenant's mails are templates that hold such links.
type letter struct {
	emporixfake.Mail
	To, Subject, Text, Link, Label string
}

func (t *tools) letters(ctx context.Context) ([]letter, error) {
	var mails []emporixfake.Mail
	if err := t.do(ctx, http.MethodGet, "outbox", nil, &mails); err != nil {
		return nil, err
	}
	letters := make([]letter, 0, len(mails))
	for _, m := range mails {
		l := letter{Mail: m, To: m.Email}
		token := "?token=" + url.QueryEscape(m.Token)
		switch m.Kind {
		case emporixfake.MailOptIn:
			l.Subject, l.Text = "Please confirm your account", "Welcome! One click, and your account is ready."
			l.Link, l.Label = "/signup/confirm"+token, "Confirm my account"
		case emporixfake.MailEmailChange:
			l.To = m.NewEmail
			l.Subject, l.Text = "Is this your new address?", "You asked us to use this address instead of "+m.Email+"."
			l.Link, l.Label = "/email/confirm"+token, "Use this address"
		case emporixfake.MailPasswordReset:
			l.Subject, l.Text = "Choose a new password", "You told us that you have forgotten your password."
			l.Link, l.Label = "/password/reset"+token, "Choose a new password"
		}
		letters = append(letters, l)
	}
	return letters, nil
}

func (s *shop) mailbox(w http.ResponseWriter, r *http.Request) {
	letters, err := s.tools.letters(r.Context())
	if err != nil {
		s.failed(w, r, fmt.Errorf("%w: %w", emporix.ErrUnavailable, err))
		return
	}
	s.show(w, r, http.StatusOK, "mailbox", page{Title: "Mailbox", Data: letters})
}

// desk is where an employee activates an account. It would be part of the
// tenant's own tools, behind a login of its own.
func (s *shop) desk(w http.ResponseWriter, r *http.Request) {
	f := &form{Action: "/desk", Submit: "Activate the account", Fields: []*field{
		{Name: "customerNumber", Label: "Customer number", Kind: "text", Required: true, Max: 40, Value: r.URL.Query().Get("customerNumber")},
	}}
	if newest := s.tools.newest.Load(); newest != nil && f.value("customerNumber") == "" {
		f.field("customerNumber").Value = *newest
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusUnprocessableEntity
		if f.read(r) {
			err := s.client.Customers.Activate(r.Context(), f.value("customerNumber"))
			switch {
			case err == nil:
				to(w, r, "/desk", "activated")
				return
			case errors.Is(err, emporix.ErrNotFound):
				status = http.StatusNotFound
				f.field("customerNumber").Error = "There is no customer with this number."
			case errors.Is(err, emporix.ErrNoEmployee):
				status = http.StatusNotImplemented
				f.Error = "No employee works here. Set " + emporix.EnvEmployeeID + " and " + emporix.EnvEmployeeSecret + ", and start again."
			default:
				status = f.fail(err)
			}
		}
	}
	s.show(w, r, status, "desk", page{Title: "Employee's desk", Data: formPage{f, ""}})
}

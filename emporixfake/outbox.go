package emporixfake

import (
	"fmt"
	"strings"
	"time"
)

// The kinds of mail.
const (
	MailPasswordReset = "password-reset"
	MailEmailChange   = "email-change"
	MailOptIn         = "opt-in"
)

const maxMails = 10_000

// Mail is a message that the tenant sent to a customer. Token is the secret in
// it, which works once and until ExpiresAt.
type Mail struct {
	Kind           string    `json:"kind"`
	Token          string    `json:"token"`
	Email          string    `json:"email"`              // the login e-mail when it was sent
	NewEmail       string    `json:"newEmail,omitempty"` // where an email-change mail goes
	Site           string    `json:"site,omitempty"`     // of a password reset
	CustomerNumber string    `json:"customerNumber"`
	At             time.Time `json:"at"`
	ExpiresAt      time.Time `json:"expiresAt"`
}

type mail struct {
	Mail
	customer         *customer
	syncContactEmail bool
}

// MailFilter chooses mails; an empty field chooses all. Email is the address
// that the mail is about or goes to.
type MailFilter struct {
	Kind  string
	Email string
}

// check refuses a kind of mail that there is not.
func (f MailFilter) check() error {
	switch f.Kind {
	case "", MailPasswordReset, MailEmailChange, MailOptIn:
		return nil
	}
	return fmt.Errorf("there is no kind of mail %q; there are %s, %s and %s", cutTo(f.Kind, 64), MailPasswordReset, MailEmailChange, MailOptIn)
}

func (f MailFilter) fits(m *mail) bool {
	return (f.Kind == "" || f.Kind == m.Kind) &&
		(f.Email == "" || strings.EqualFold(f.Email, m.Email) || strings.EqualFold(f.Email, m.NewEmail))
}

// Outbox lists the mails that were sent, the newest first. It keeps the newest
// 10,000. It panics if the filter names a kind that there is not.
func (s *Server) Outbox(filter MailFilter) []Mail {
	if err := filter.check(); err != nil {
		panic("emporixfake: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Mail{}
	for i := len(s.tenant.mails) - 1; i >= 0; i-- {
		if m := s.tenant.mails[i]; filter.fits(m) {
			found = append(found, m.Mail)
		}
	}
	return found
}

func (t *tenant) send(c *call, m *mail) {
	m.Token = randomText(64)
	m.CustomerNumber = m.customer.number
	m.At = c.now
	m.ExpiresAt = c.now.Add(t.cfg.Lifetimes.Mail)
	t.secrets.add(m.Token)
	for _, older := range t.mailTokens {
		if older.Kind == m.Kind && older.customer == m.customer {
			delete(t.mailTokens, older.Token)
		}
	}
	t.mailTokens[m.Token] = m
	t.mails = append(t.mails, m)
	if len(t.mails) > maxMails {
		delete(t.mailTokens, t.mails[0].Token)
		t.mails = t.mails[1:]
	}
}

// redeemMail uses up the token of a mail; nil means that it is not valid.
func (t *tenant) redeemMail(c *call, kind, token string) *mail {
	m := t.mailTokens[token]
	if m == nil || m.Kind != kind || !c.now.Before(m.ExpiresAt) {
		return nil
	}
	delete(t.mailTokens, token)
	return m
}

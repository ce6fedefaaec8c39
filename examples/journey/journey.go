package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// journey is what its steps share.
type journey struct {
	fake *fake // nil on a real tenant

	jo   *account // signs up, is activated by an employee, and stays for all the rest
	kim  *account // signs up and confirms by e-mail
	sam  *account // comes from an identity provider, with a code
	alex *account // comes from an identity provider, with a token

	company        string // ID
	version        int    // of Jo's profile
	updated        bool   // whether Jo's profile was
	address        string // the ID of the one that was added, "" for none
	mails          map[string]mail
	code, verifier string // of Sam's social login
	subjectToken   string // Alex's
}

func newJourney(target *target) *journey {
	return &journey{
		fake: target.fake,
		jo:   newJo(target.client),
		kim:  newAccount(target.client, "kim"),
		sam:  newAccount(target.client, "sam"),
		alex: newAccount(target.client, "alex"),

		company: "journey-" + strings.ToLower(rand.Text()[:10]),
		mails:   map[string]mail{},
		code:    rand.Text(), verifier: rand.Text(), subjectToken: rand.Text(),
	}
}

func (j *journey) people() []*account { return []*account{j.jo, j.kim, j.sam, j.alex} }

// leftBehind names what stays.
func (j *journey) leftBehind() []string {
	var left []string
	for _, p := range j.people() {
		if p.account != "" {
			left = append(left, "left behind, as no customer can delete it: "+p.account)
		}
	}
	return left
}

// walk does the steps and reports each. It goes on after one that failed.
func walk(ctx context.Context, report *report, chapters ...chapter) {
	for _, c := range chapters {
		report.out.chapter(c.title)
		for _, s := range c.steps {
			if ctx.Err() != nil {
				return
			}
			report.add(do(ctx, s))
		}
	}
}

// do does one step.
func do(ctx context.Context, s step) line {
	l := line{operation: s.operation}
	if s.prepare != nil {
		if err := s.prepare(ctx); err != nil {
			l.outcome, l.note = judge(ctx, err)
			return l
		}
	}
	began := time.Now()
	note, err := s.call(ctx)
	l.took, l.note, l.called = time.Since(began), note, true
	if err != nil {
		l.outcome, l.note = judge(ctx, err)
		l.called = l.outcome != skipped
	}
	return l
}

// lasting says how long a session goes on.
func lasting(info emporix.SessionInfo) string {
	return fmt.Sprintf("good for %s and renewable for %s", span(time.Until(info.AccessExpires)), span(time.Until(info.RefreshExpires)))
}

// continued says whether a visitor kept the session, and so the cart. Session
// IDs themselves are nothing to print.
func continued(before, after emporix.SessionInfo) string {
	if before.SessionID != after.SessionID {
		return "renewed, but it is another session"
	}
	return "renewed, still the same session"
}

func cart(login *emporix.LoginResult) string {
	if login.SessionChanged {
		return "the guest's session, and the cart, did not come along"
	}
	return "the guest's session goes on, and so does the cart"
}

// span is a duration as people say it.
func span(d time.Duration) string {
	switch d = d.Round(time.Minute); {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.0f hours", d.Hours())
	default:
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	}
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}

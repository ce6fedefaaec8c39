package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// fake is the control interface of a fake Emporix. It stands for what a shop's
// owner has besides the API: the mailboxes, the identity provider, the
// companies.
type fake struct {
	url             string
	Status          string `json:"status"`
	Tenant          string `json:"tenant"`
	ClientID        string `json:"clientId"`
	BackendClientID string `json:"backendClientId"`
}

var control = &http.Client{
	Timeout:       5 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// findFake tells a fake from anything else by its control interface.
func findFake(ctx context.Context, baseURL string) (*fake, error) {
	f := &fake{url: strings.TrimRight(baseURL, "/") + "/__fake/"}
	if err := f.do(ctx, http.MethodGet, "health", nil, f); err != nil {
		return nil, err
	}
	if f.Status != "ok" || f.Tenant == "" || f.ClientID == "" {
		return nil, errors.New("what answers is no emporix-fake")
	}
	return f, nil
}

// mailToken reads the newest mail of a kind to an address.
func (f *fake) mailToken(ctx context.Context, kind, email string) (string, error) {
	if f == nil {
		return "", needs("the mail that was sent to " + email + ", which only its owner can read")
	}
	var mails []emporixfake.Mail
	query := url.Values{"kind": {kind}, "email": {email}}
	if err := f.do(ctx, http.MethodGet, "outbox?"+query.Encode(), nil, &mails); err != nil {
		return "", err
	}
	if len(mails) == 0 {
		return "", fmt.Errorf("no %s mail was sent to %s", kind, email)
	}
	return mails[0].Token, nil
}

func (f *fake) addCompany(ctx context.Context, company emporixfake.Company) error {
	if f == nil {
		return needs("a company that the customer is assigned to")
	}
	return f.do(ctx, http.MethodPost, "companies", company, nil)
}

func (f *fake) addSocialIdentity(ctx context.Context, code string, identity emporixfake.Identity) error {
	if f == nil {
		return needs("a code of the tenant's identity provider")
	}
	return f.do(ctx, http.MethodPost, "social-identities", map[string]any{"code": code, "identity": identity}, nil)
}

func (f *fake) addSubjectToken(ctx context.Context, subject emporixfake.Subject) error {
	if f == nil {
		return needs("a token of an identity provider that the tenant trusts")
	}
	return f.do(ctx, http.MethodPost, "subject-tokens", subject, nil)
}

// coverage is how often each operation was done with success, as the fake counts.
func (f *fake) coverage(ctx context.Context) (map[string]int, error) {
	if f == nil {
		return nil, nil
	}
	var coverage emporixfake.Coverage
	if err := f.do(ctx, http.MethodGet, "coverage", nil, &coverage); err != nil {
		return nil, err
	}
	succeeded := map[string]int{}
	for _, o := range coverage.Operations {
		succeeded[o.Operation] = o.Succeeded
	}
	return succeeded, nil
}

// confirm holds what the journey counts against what the fake counted since: an
// operation that only the journey saw succeed has failed. It answers how many
// the fake counted.
func (f *fake) confirm(ctx context.Context, before map[string]int, r *report) (counted int, err error) {
	after, err := f.coverage(ctx)
	if err != nil {
		return 0, err
	}
	r.out.chapter("The fake's own count")
	for _, operation := range emporixfake.Operations() {
		switch {
		case after[operation] > before[operation]:
			counted++
		case r.succeeded(operation):
			r.add(line{operation: operation, outcome: failed, note: "the fake saw no success of it"})
		}
	}
	return counted, nil
}

// do makes a request of the control interface. Its errors don't repeat the URL,
// which a user may have put credentials into.
func (f *fake) do(ctx context.Context, method, path string, body, into any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, f.url+path, &content)
	if err != nil {
		return errors.New("it is no URL")
	}
	resp, err := control.Do(req)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return fmt.Errorf("it can't be reached: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	switch {
	case err != nil:
		return fmt.Errorf("its answer broke off: %w", err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s /__fake/%s answers %d", method, strings.SplitN(path, "?", 2)[0], resp.StatusCode)
	case into != nil && json.Unmarshal(answer, into) != nil:
		return errors.New("what answers is no emporix-fake")
	}
	return nil
}

package transport

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// scrubber knows the secrets of one call and takes them out of texts that
// others wrote: a server's message, a transport's error.
type scrubber struct {
	secrets []secret.Secret
}

const (
	// shortest is the length below which a value is no secret worth the damage
	// that removing it would do to a text.
	shortest = 4
	// A text of at least almostCut bytes may have been cut, in the midst of a
	// secret as well.
	almostCut = 500
	maxText   = 512
)

func (s *scrubber) add(v secret.Secret) {
	if !v.IsZero() {
		s.secrets = append(s.secrets, v)
	}
}

func (s *scrubber) addText(v string) { s.add(secret.New(v)) }

func (s scrubber) clean(text string) string {
	forms := s.forms()
	for _, form := range forms {
		text = strings.ReplaceAll(text, form, secret.Mask)
	}
	if len(text) < almostCut {
		return text
	}
	for _, form := range forms {
		for n := min(len(form), len(text)) - 1; n >= shortest; n-- {
			if start, found := strings.CutSuffix(text, form[:n]); found {
				return start + secret.Mask
			}
		}
	}
	return text
}

// forms lists how the secrets may be written, the longest first: one secret may
// be a part of another.
func (s scrubber) forms() []string {
	var forms []string
	for _, hidden := range s.secrets {
		value := strings.TrimPrefix(hidden.Reveal(), "Bearer ")
		quoted := strconv.Quote(value)
		inJSON, _ := json.Marshal(value)
		for _, form := range []string{
			value, strings.Join(strings.Fields(value), " "), url.QueryEscape(value), url.PathEscape(value),
			html.EscapeString(value), quoted[1 : len(quoted)-1], string(inJSON[1 : len(inJSON)-1]),
		} {
			if len(form) >= shortest && !slices.Contains(forms, form) {
				forms = append(forms, form)
			}
		}
	}
	slices.SortStableFunc(forms, func(a, b string) int { return len(b) - len(a) })
	return forms
}

// error returns err, or, if its text holds a secret, an error that tells the
// same without it.
func (s scrubber) error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := s.clean(text); clean != text {
		return hide(clean, err)
	}
	return err
}

// wireError is error for what the base transport says. It has seen the request
// with its secrets, so nothing of it may be printable but a clean text.
func (s scrubber) wireError(err error, req *http.Request, op string) error {
	var ue *url.Error
	for errors.As(err, &ue) { // its text holds the URL
		err = ue.Err
	}
	text := strings.ReplaceAll(err.Error(), req.URL.String(), op)
	if uri := req.URL.RequestURI(); len(uri) > 1 {
		text = strings.ReplaceAll(text, uri, op)
	}
	text = s.clean(text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return hide(text, err)
}

// CleanError returns what a transport's error says, without the bearer that the
// transport has seen.
func CleanError(err error, bearer secret.Secret) error {
	if err == nil {
		return nil
	}
	return hide(scrubber{[]secret.Secret{bearer}}.clean(err.Error()), err)
}

func hide(text string, err error) error {
	return &scrubbed{text: text, cause: func() error { return err }}
}

// scrubbed shows a clean text and answers errors.Is and errors.As for an error
// that nobody can print: the original may hold a request.
type scrubbed struct {
	text  string
	cause func() error
	ours  bool // not the end of the caller's context, whatever the cause says
}

func (e *scrubbed) Error() string { return e.text }

func (e *scrubbed) Is(target error) bool {
	if e.ours && (target == context.DeadlineExceeded || target == context.Canceled) {
		return false
	}
	return errors.Is(e.cause(), target)
}

func (e *scrubbed) As(target any) bool {
	if _, isURL := target.(**url.Error); isURL {
		return false
	}
	return errors.As(e.cause(), target)
}

// Timeout is what http.Client and url.Error ask for.
func (e *scrubbed) Timeout() bool { return isTimeout(e.cause()) }

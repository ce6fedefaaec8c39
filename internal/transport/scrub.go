package transport

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// scrubber knows the secrets of one call and takes them out of texts that
// others wrote: a server's message, a transport's error.
type scrubber struct {
	secrets []secret.Secret
}

// shortest is the length below which a value is no secret worth the damage
// that removing it would do to a text.
const shortest = 4

func (s *scrubber) add(v secret.Secret) {
	if !v.IsZero() {
		s.secrets = append(s.secrets, v)
	}
}

func (s *scrubber) addText(v string) { s.add(secret.New(v)) }

func (s scrubber) clean(text string) string {
	for _, hidden := range s.secrets {
		value := strings.TrimPrefix(hidden.Reveal(), "Bearer ")
		if len(value) < shortest {
			continue
		}
		for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			text = strings.ReplaceAll(text, form, secret.Mask)
		}
	}
	return text
}

// error returns err, or, if its text holds a secret, an error that tells the
// same without it.
func (s scrubber) error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := s.clean(text)
	if clean == text {
		return err
	}
	out := &scrubbed{text: clean}
	for _, keep := range []error{context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded} {
		if errors.Is(err, keep) {
			out.kept = append(out.kept, keep)
		}
	}
	return out
}

type scrubbed struct {
	text string
	kept []error
}

func (e *scrubbed) Error() string   { return e.text }
func (e *scrubbed) Unwrap() []error { return e.kept }

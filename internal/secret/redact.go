package secret

import (
	"errors"
	"strings"
)

// Redact returns err, or, if its text holds one of the values, an error that
// says the same without them. That one answers errors.Is and errors.As for err,
// but err cannot be printed through it.
func Redact(err error, values ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := text
	for _, value := range values {
		for _, form := range Forms(value) {
			clean = strings.ReplaceAll(clean, form, Mask)
		}
	}
	if clean == text {
		return err
	}
	return &redacted{text: clean, cause: func() error { return err }}
}

type redacted struct {
	text  string
	cause func() error
}

func (e *redacted) Error() string        { return e.text }
func (e *redacted) Is(target error) bool { return errors.Is(e.cause(), target) }
func (e *redacted) As(target any) bool   { return errors.As(e.cause(), target) }

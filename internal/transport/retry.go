package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
)

// Backoff between tries: full jitter below a ceiling that doubles.
const (
	firstCeiling = 100 * time.Millisecond
	lastCeiling  = 5 * time.Second
)

func ceiling(attempt int) time.Duration {
	attempt = min(max(attempt, 0), 16) // no attempt at all: a middleware refused it
	return min(firstCeiling<<attempt, lastCeiling)
}

// checkRetry is retryablehttp's question after each try. It never returns an
// error of its own: the last response or error is the call's.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	x := exchangeOf(ctx)
	if x == nil || ctx.Err() != nil {
		return false, nil //nolint:nilerr // the caller's end is in the call's own error
	}
	status := 0
	if err == nil {
		status = resp.StatusCode
	}
	x.retryAfter = 0
	if resp != nil {
		x.retryAfter = retryAfter(resp.Header, time.Now())
	}
	if !x.mayRepeat(status, err) || x.attempts >= x.private().pipeline.cfg.MaxAttempts {
		return false, nil
	}
	if x.retryAfter > x.private().pipeline.cfg.MaxRetryAfter {
		return false, nil
	}
	x.wait = rand.N(ceiling(x.attempts - 1)) // #nosec G404 -- jitter
	if x.retryAfter > 0 {
		x.wait = x.retryAfter
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= max(x.wait, ceiling(x.attempts-1)) {
		x.lateDeadline = true
		return false, nil
	}
	if !x.private().pipeline.budget.spend(err) {
		return false, nil
	}
	x.claimed.Store(false)
	if err == nil { // a response like 502 does not say what happened behind it
		x.sent = status != http.StatusTooManyRequests
	}
	return true, nil
}

// backoff is retryablehttp's second question. There is no way to the exchange
// when there is no response; the jitter is then drawn anew.
func backoff(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil && resp.Request != nil {
		if x := exchangeOf(resp.Request.Context()); x != nil {
			return x.wait
		}
	}
	return rand.N(ceiling(attempt)) // #nosec G404 -- jitter
}

// mayRepeat is the retry class of the operation, applied to one outcome.
func (x *exchange) mayRepeat(status int, err error) bool {
	if err != nil && isFinal(err) {
		return false
	}
	switch {
	case x.op.Retry.Repeatable():
		if err != nil {
			return true
		}
		return failure.IsRetryable(status)
	case x.op.Retry == operation.Unsent:
		if err != nil {
			return !x.sent
		}
		return status == http.StatusTooManyRequests
	default:
		return false
	}
}

// isFinal reports errors that another try can't mend.
func isFinal(err error) bool {
	var (
		ours        *unusable
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
		escape      url.EscapeError
		record      tls.RecordHeaderError
	)
	return errors.As(err, &ours) || errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &escape) || errors.As(err, &record)
}

// longest is the wait that an absurd Retry-After saturates at.
const longest = 365 * 24 * time.Hour

// retryAfter reads the header in seconds or as a date; 0 when it is absent,
// past, or makes no sense. A date is the server's, and so is the time that it is
// measured from, if the response says it: the two clocks may differ.
func retryAfter(h http.Header, now time.Time) time.Duration {
	values := h.Values("Retry-After")
	if len(values) != 1 {
		return 0
	}
	value := strings.TrimSpace(values[0])
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(longest/time.Second) {
			return longest
		}
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		if sent, err := http.ParseTime(strings.TrimSpace(h.Get("Date"))); err == nil {
			now = sent
		}
		return min(max(at.Sub(now), 0), longest)
	}
	return 0
}

package acceptance_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// passwords hold what encoders change.
var passwords = []string{
	`qu"ote-9`, `am&per-9`, `<tag>-9`, `back\slash-9`, `sp ace  s-9`, `pl+us%25-9`, `J` + "\u00f6" + `rg-9`, "\u65e5\u672c\u8a9e-9", "emoji-\U0001f600-9",
	`'apos'-9`, `all"&<>\ +%'9`, "del-\u2028-9", `slash/9/9`, `=?#;9`, `{"json":9}`, "fam-\U0001f469\u200d\U0001f467-9", "bell-\a-9", "soft\u00adhyphen-9", "plain-9-password", "correct horse", "Zauberw\u00f6rter", "Zauberwort",
}

// encodings are how a peer may repeat what it was sent.
var encodings = map[string]func(string) string{
	"as it is":   func(s string) string { return s },
	"in JSON":    func(s string) string { b, _ := json.Marshal(s); return string(b) },
	"quoted":     strconv.Quote,
	"ASCII":      strconv.QuoteToASCII,
	"in a query": url.QueryEscape,
	"in a path":  url.PathEscape,
	"in HTML":    html.EscapeString,
	"in hex":     func(s string) string { return hex.EncodeToString([]byte(s)) },
	"in HEX":     func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"in base64":  func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"in base64, inside": func(s string) string {
		return base64.URLEncoding.EncodeToString([]byte("x" + s + "yz"))
	},
	"in base64, further inside": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("jo:" + s + "!")) },
	"in capitals":               strings.ToUpper,
	"in small letters":          strings.ToLower,
	"in HTML, as numbers": func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, "&#%d;", r)
		}
		return b.String()
	},
	"in JSON, as numbers": func(s string) string {
		var b strings.Builder
		for _, c := range utf16.Encode([]rune(s)) {
			fmt.Fprintf(&b, "\\u%04x", c)
		}
		return b.String()
	},
	"in octal": func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, "\\%03o", c)
		}
		return b.String()
	},
	"every byte": func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, "%%%02x", c)
		}
		return b.String()
	},
	"read as ISO-8859-1": func(s string) string { // as Java does with what declares no charset
		var b strings.Builder
		for _, c := range []byte(s) {
			b.WriteRune(rune(c))
		}
		return b.String()
	},
	"in a query of ISO-8859-1": func(s string) string {
		if strings.ContainsFunc(s, func(r rune) bool { return r > 0xff }) {
			return url.QueryEscape(s)
		}
		return url.QueryEscape(latin1(s))
	},
}

// printable is a value in a text that was cleaned of what can't be printed.
func printable(value string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, value)
}

// shows reports whether a text shows a value in some spelling.
func shows(text, value string) string {
	for name, encode := range encodings {
		for other, again := range encodings {
			if encoded := again(encode(value)); strings.Contains(text, strings.Trim(encoded, `"=`)) {
				return name + ", " + other
			}
		}
	}
	if strings.Contains(text, printable(value)) {
		return "cleaned"
	}
	unescape := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\u0026`, "&", `\u003c`, "<", `\u003e`, ">")
	for range 4 {
		text = html.UnescapeString(unescape.Replace(text))
		if strings.Contains(text, value) {
			return "unescaped"
		}
	}
	return ""
}

// A peer repeats the request's body where a response's header belongs, and a
// server repeats a password in its message: no spelling of it is shown.
func TestScrub_NoSpellingOfASecret(t *testing.T) {
	for _, password := range passwords {
		t.Run(password, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				body, _ := io.ReadAll(r.Body)
				switch how := r.Header.Get("X-How"); {
				case strings.HasSuffix(r.URL.Path, "/anonymous/login"):
					_, _ = io.WriteString(w, outcomeGuest)
				case how == "status line", how == "header line", how == "quoted header line":
					conn, _, err := w.(http.Hijacker).Hijack()
					if !assert.NoError(t, err) {
						return
					}
					line := map[string]string{
						"status line": "HTTP/1.1 " + string(body), "header line": "HTTP/1.1 200 OK\r\n" + string(body),
						"quoted header line": "HTTP/1.1 200 OK\r\n" + strconv.Quote(string(body)),
					}[how]
					_, _ = io.WriteString(conn, line+"\r\n\r\n")
					_ = conn.Close()
				default:
					w.WriteHeader(http.StatusBadRequest)
					message, _ := json.Marshal("Not " + encodings[how](password) + " again")
					fmt.Fprintf(w, `{"status":400,"type":"bad_request","message":%s,"details":[{"field":"password","message":%s}]}`, message, message)
				}
			}))
			t.Cleanup(server.Close)
			var log bytes.Buffer
			var how string
			client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(server.URL),
				emporix.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
				emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
					return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
						r = r.Clone(r.Context())
						r.Header.Set("X-How", how)
						return next.RoundTrip(r)
					})
				}))
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
			ways := []string{"status line", "header line", "quoted header line"}
			for name := range encodings {
				ways = append(ways, name)
			}
			for _, how = range ways {
				log.Reset()
				_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: password})
				require.Error(t, err, how)
				if encodings[how] != nil && how != "every byte" && how != "ASCII" && how != "in octal" && !strings.HasSuffix(how, "as numbers") { // a usual spelling: the rest of the message stays
					assert.Contains(t, err.Error(), " again", how)
				}
				for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%q", err.Error()), log.String()} {
					assert.Empty(t, shows(text, password), "%s: %s", how, text)
				}
			}
		})
	}
}

// sentences are what servers say about passwords, none of which repeats one.
var sentences = []string{
	"The current password is wrong", "The current password is wrong.", "Invalid credentials", "Current password does not match",
	"Password must contain at least 8 characters", "The password is too short; use a longer password", "password: must not be empty",
	"Field 'password' is required", `"newPassword" must not be the same as "currentPassword"`, "Your account is locked, try again later",
	"Wrong email or password", "Customer not found", "Invalid value for field password", "The token has expired", "Passwords don't match",
	"Account disabled by administrator", `{"password":["is too weak"]}`, "An unexpected error occurred", "The request could not be processed",
}

// A password that is a word of the server's own sentence is not told by a gap in
// it: the error is the same as for any other password.
func TestScrub_AnOrdinaryWordIsNotTold(t *testing.T) {
	op := outcomeOperations["Credentials.ChangePassword"]
	client, server := outcomeClient(t)
	visitor := outcomeVisitor(t, client, server, op, "v")
	message := func(sentence, current string) string {
		server.arm(op.request, func() (*http.Response, error) {
			text, _ := json.Marshal(sentence)
			return outcomeReply(400, fmt.Sprintf(`{"status":400,"type":"invalid_password","message":%s,"details":[{"field":"password","type":"wrong_value","message":%s}]}`, text, text), false), nil
		})
		err := visitor.Credentials.ChangePassword(t.Context(), emporix.ChangePasswordRequest{CurrentPassword: current, NewPassword: "9-strong-9"})
		require.Error(t, err)
		return err.Error()
	}
	compared := 0
	for _, sentence := range sentences {
		want := message(sentence, "an other 9 one")
		assert.NotContains(t, want, "[redacted]")
		for _, word := range regexp.MustCompile(`[A-Za-z]{4,}`).FindAllString(sentence, -1) {
			for _, secret := range []string{word, strings.ToLower(word), word[:4]} {
				if secret == "pass" || secret == "Pass" {
					assert.Equal(t, want, message(sentence, secret), "a part of a word")
				}
				if sentence == "password: must not be empty" && secret != "password" {
					continue
				}
				assert.Equal(t, want, message(sentence, secret), "%s in %q", secret, sentence)
				compared++
			}
		}
	}
	t.Logf("%d words compared", compared)
}

// Where a server repeats a password, it is not shown, whatever word it is.
func TestScrub_AWordThatIsRepeated(t *testing.T) {
	op := outcomeOperations["Credentials.ChangePassword"]
	client, server := outcomeClient(t)
	visitor := outcomeVisitor(t, client, server, op, "v")
	for _, secret := range []string{"current", "wrong", "hunter", "hunter2", "a strong 9 one", "customer"} {
		for _, echo := range []string{"Value: %s", "password=%s", `Not '%s'`, `{"currentPassword":"%s"}`, "rejected value [password=%s]"} {
			if secret == "customer" && strings.Contains(echo, "'") {
				continue // in quotes it may be the name of a field
			}
			server.arm(op.request, func() (*http.Response, error) {
				text, _ := json.Marshal(fmt.Sprintf(echo, secret))
				return outcomeReply(400, fmt.Sprintf(`{"status":400,"type":"bad_request","message":%s}`, text), false), nil
			})
			err := visitor.Credentials.ChangePassword(t.Context(), emporix.ChangePasswordRequest{CurrentPassword: secret, NewPassword: "9-strong-9"})
			assert.ErrorContains(t, err, strings.ReplaceAll(echo, "%s", "[redacted]"), secret)
		}
	}
}

package bff_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// over sends a request through a real server, as HTTP/1.1.
func (b *browser) over(handler http.HandlerFunc) *http.Response {
	b.shop.t.Helper()
	return b.overAs("GET", "", handler)
}

// overAs is over with another method and a header.
func (b *browser) overAs(method, header string, handler http.HandlerFunc) *http.Response {
	t := b.shop.t
	t.Helper()
	server := httptest.NewServer(b.shop.b.Handler(handler))
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
	require.NoError(t, err)
	if name, value, found := strings.Cut(header, ": "); found {
		r.Header.Set(name, value)
	}
	if b.cookie != "" {
		r.Header.Set("Cookie", "__Host-emporix="+b.cookie)
	}
	resp, err := server.Client().Transport.RoundTrip(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func begins(t *testing.T, r *http.Request) {
	t.Helper()
	_, err := bff.From(r).Session(r.Context())
	assert.NoError(t, err)
}

func TestTheCookieIsInTheAnswerHoweverItBegins(t *testing.T) {
	s := newShop(t, setup{})
	for what, answer := range map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"text":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") },
		"stream": func(w http.ResponseWriter, _ *http.Request) {
			assert.NoError(t, http.NewResponseController(w).Flush())
			_, _ = io.WriteString(w, "data: x\n\n")
		},
		"file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "doc.go") },
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "x")
		},
		"error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", http.StatusTeapot) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "#", http.StatusTeapot) },
		"early hints, then the session": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			begins(t, r)
		},
	} {
		resp := s.browser().over(func(w http.ResponseWriter, r *http.Request) {
			if what != "early hints, then the session" {
				begins(t, r)
			}
			answer(w, r)
		})
		assert.Len(t, resp.Cookies(), 1, what)
		assert.Equal(t, []string{"no-store"}, resp.Header.Values("Cache-Control"), what)
	}
}

func TestWebSockets(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b := s.browser()
		b.login()
		upgrade := func(w http.ResponseWriter, r *http.Request) error {
			begins(t, r)
			hijacker, ok := w.(http.Hijacker) // as many libraries ask
			if !assert.True(t, ok) {
				return nil
			}
			conn, _, err := hijacker.Hijack()
			if err != nil {
				http.Error(w, "", http.StatusInternalServerError)
				return err
			}
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			assert.NoError(t, err)
			assert.ErrorIs(t, bff.From(r).Logout(r.Context()), bff.ErrTooLate)
			return conn.Close()
		}
		resp := b.over(func(w http.ResponseWriter, r *http.Request) { assert.NoError(t, upgrade(w, r)) })
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "hi", string(body))

		resp = s.browser().over(func(w http.ResponseWriter, r *http.Request) {
			assert.ErrorIs(t, upgrade(w, r), bff.ErrTooLate, "a cookie would be lost")
		})
		assert.Equal(t, 500, resp.StatusCode)
		assert.Len(t, resp.Cookies(), 1)
	})
}

// Every kind of answer that a visitor's session was used for says no-store, so
// that neither a cache nor the browser's back button shows it again.
func TestWhatASessionWasUsedForIsStoredNowhere(t *testing.T) {
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	content := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "a.txt", stamp, strings.NewReader("0123456789"))
	}
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b := s.browser()
		b.login()
		uses := map[string]func(r *http.Request){
			"Session": func(r *http.Request) { begins(t, r) },
			"Info": func(r *http.Request) {
				_, err := bff.From(r).Info(r.Context())
				assert.NoError(t, err)
			},
		}
		for how, use := range uses {
			for what, row := range map[string]struct {
				header string // of the request
				status int
				answer http.HandlerFunc
			}{
				"nothing": {"", 200, func(http.ResponseWriter, *http.Request) {}},
				"text":    {"", 200, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }},
				"JSON": {"", 200, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, "{}")
				}},
				"no content":    {"", 204, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
				"error":         {"", 418, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", http.StatusTeapot) }},
				"not found":     {"", 404, http.NotFound},
				"redirect":      {"", 303, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "#", http.StatusSeeOther) }},
				"file":          {"", 200, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "doc.go") }},
				"content":       {"", 200, content},
				"a range":       {"Range: bytes=1-2", 206, content},
				"no such range": {"Range: bytes=20-", 416, content},
				"not modified":  {`If-None-Match: "1"`, 304, content},
				"failed":        {`If-Match: "2"`, 412, content},
				"expired": {"", 200, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Expires", "Fri, 01 Jan 2100 00:00:00 GMT")
				}},
				"empty value": {"", 200, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "") }},
				"stream": {"", 200, func(w http.ResponseWriter, _ *http.Request) {
					w.(http.Flusher).Flush() //nolint:forcetypeassert // it is one
					_, _ = io.WriteString(w, "data: x\n\n")
				}},
				"copied": {"", 200, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("x")) }},
				"late headers": {"", 200, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusOK)
					w.Header().Set("Cache-Control", "public")
				}},
				"full duplex": {"", 200, func(w http.ResponseWriter, _ *http.Request) {
					assert.NoError(t, http.NewResponseController(w).EnableFullDuplex())
				}},
			} {
				for _, method := range []string{"GET", "HEAD"} {
					resp := b.overAs(method, row.header, func(w http.ResponseWriter, r *http.Request) {
						use(r)
						row.answer(w, r)
					})
					assert.Equal(t, row.status, resp.StatusCode, "%s %s", method, what)
					assert.Equal(t, []string{"no-store"}, resp.Header.Values("Cache-Control"), "%s: %s %s", how, method, what)
				}
			}
		}
	})
}

// The response that ends a customer's session in this browser has the browser
// forget the pages that it keeps.
func TestTheBrowserForgetsThePagesOfACustomerWhoLeaves(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		s.fake.AddCustomer(t, emporixtest.Customer{Email: "ann@example.com", Password: "quiet harbour", FirstName: "Ann"})
		b := s.browser()
		step := func(want string, work func(r *http.Request, v *bff.Visit) error) {
			t.Helper()
			w := b.serve(func(w http.ResponseWriter, r *http.Request) { assert.NoError(t, work(r, bff.From(r))) })
			assert.Equal(t, want, w.Header().Get("Clear-Site-Data"))
			for _, c := range w.Result().Cookies() {
				b.cookie = c.Value
			}
		}
		login := func(email, password string) func(*http.Request, *bff.Visit) error {
			return func(r *http.Request, v *bff.Visit) error {
				_, err := v.Login(r.Context(), emporix.LoginRequest{Email: email, Password: password})
				return err
			}
		}
		step("", func(r *http.Request, v *bff.Visit) error { _, err := v.Session(r.Context()); return err })
		step("", login(jo.Email, jo.Password))
		step("", func(r *http.Request, v *bff.Visit) error { _, err := v.Session(r.Context()); return err })
		step("", login(jo.Email, jo.Password))
		step(`"cache"`, login("ann@example.com", "quiet harbour"))
		step(`"cache"`, func(r *http.Request, v *bff.Visit) error { return v.Logout(r.Context()) })
		step("", login(jo.Email, jo.Password))
		w := b.serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Clear-Site-Data", `"storage"`)
			assert.NoError(t, bff.From(r).Logout(r.Context()))
		})
		assert.Equal(t, []string{`"storage"`}, w.Header().Values("Clear-Site-Data"), "a handler may know better")
		if !sealed {
			step("", login(jo.Email, jo.Password))
			step(`"cache"`, func(r *http.Request, v *bff.Visit) error { return v.LogoutEverywhere(r.Context()) })
		}
	})
}

func TestASessionThatIsUsedAfterTheAnswerBeganIsTold(t *testing.T) {
	var log bytes.Buffer
	s := newShop(t, setup{options: bff.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}})
	b := s.browser()
	b.login()
	serve := func(early bool) {
		b.serve(func(w http.ResponseWriter, r *http.Request) {
			if early {
				begins(t, r)
			}
			_, _ = io.WriteString(w, "<!doctype html>")
			begins(t, r)
		})
	}
	serve(true)
	assert.Empty(t, log.String())
	serve(false)
	assert.Contains(t, log.String(), "after the response had begun")
}

// plain is a ResponseWriter that can do nothing else.
type plain struct{ http.ResponseWriter }

func TestWhatTheServerCannotDoIsAnError(t *testing.T) {
	s := newShop(t, setup{})
	s.b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		assert.ErrorIs(t, control.Flush(), errors.ErrUnsupported)
		_, _, err := control.Hijack()
		assert.ErrorIs(t, err, errors.ErrUnsupported)
	})).ServeHTTP(plain{httptest.NewRecorder()}, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
}

func TestCachesKeepNoVisitorsPage(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b := s.browser()
		show := func(header string) http.Header {
			return b.serve(func(w http.ResponseWriter, r *http.Request) {
				_, err := bff.From(r).Info(r.Context())
				assert.NoError(t, err)
				name, value, _ := strings.Cut(header, ": ")
				w.Header().Set(name, value)
				_, _ = io.WriteString(w, "Hello, Jo")
			}).Header()
		}
		assert.Empty(t, show("X: y").Get("Cache-Control"), "a stranger's page is anybody's")
		b.login()
		assert.Equal(t, []string{"no-store"}, show("X: y")["Cache-Control"])
		for _, name := range []string{"CDN-Cache-Control", "Fastly-Cache-Control", "Surrogate-Control", "Edge-Control", "X-Accel-Expires"} {
			assert.Empty(t, show(name+": max-age=600").Get(name), name)
		}
		for _, own := range []string{"public, max-age=5", "private, no-cache", "max-age=0"} {
			assert.Equal(t, []string{own}, show("Cache-Control: " + own)["Cache-Control"], "a handler may know better")
		}

		w := s.browser().serve(func(w http.ResponseWriter, r *http.Request) {
			begins(t, r)
			w.Header().Set("Cache-Control", "public, max-age=600")
			w.Header().Set("CDN-Cache-Control", "max-age=600")
			w.Header().Set("Surrogate-Control", "max-age=600")
		})
		require.Len(t, w.Result().Cookies(), 1)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		assert.Empty(t, w.Header().Get("CDN-Cache-Control")+w.Header().Get("Surrogate-Control"), "nobody stores a cookie")
	})
	s := newShop(t, setup{})
	w := s.browser().serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "terms") })
	assert.Empty(t, w.Header().Get("Cache-Control"), "pages that look at no visitor are the shop's own business")
}

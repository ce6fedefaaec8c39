package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func TestTheTablesCoverEveryOperation(t *testing.T) {
	var all []string
	for name := range fixture.Writes {
		all = append(all, name)
	}
	for name := range fixture.Reads {
		all = append(all, name)
	}
	assert.ElementsMatch(t, emporixfake.Operations(), append(all, "Auth.StartAnonymous", "Auth.RefreshAnonymous"), "Reads and Writes in internal/fixture/calls.go")
}

// A write whose response was lost is sent once, over real sockets, and its caller
// is told to look.
func TestAWriteIsNeverDoubled(t *testing.T) {
	for name, call := range fixture.Writes {
		for _, cut := range []string{emporixfake.CutBefore, emporixfake.CutAfter} {
			t.Run(name+", cut "+cut, func(t *testing.T) {
				t.Parallel()
				fake := fixture.Fake(t, emporixtest.WithSocket())
				client := fake.Client(t)
				require.NoError(t, fixture.Login(t.Context(), client)) // and so the connection is a kept one
				before := fake.Calls(t, name)
				fake.Fail(t, emporixtest.Fault{Operation: name, Cut: cut, Times: -1})
				assert.ErrorIs(t, call(t.Context(), client), emporix.ErrOutcomeUnknown)
				fake.AssertCalls(t, name, before+1)
			})
		}
	}
}

func TestReadsAreTriedAgain(t *testing.T) {
	for name, call := range fixture.Reads {
		for failure, fault := range map[string]emporixtest.Fault{
			"cut before": {Cut: emporixfake.CutBefore}, "cut after": {Cut: emporixfake.CutAfter}, "truncated": {Body: emporixfake.BodyTruncated},
			"429": {Status: 429}, "503": {Status: 503}, "502, a page": {Status: 502, Body: emporixfake.BodyHTML},
		} {
			if failure == "truncated" && name == "Addresses.Delete" {
				continue // a 404 that breaks off confirms nothing
			}
			t.Run(name+", "+failure, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fake := emporixtest.New(t)
					fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse",
						Addresses: []map[string]any{{"id": "a1", "contactName": "Jo", "tags": []string{"T"}}}})
					client := fake.Client(t)
					require.NoError(t, fixture.Login(t.Context(), client))
					fault.Operation, fault.Times = name, 2
					fake.Fail(t, fault)
					require.NoError(t, call(t.Context(), client))
					fake.AssertCalls(t, name, 3)
					fault.Times = 3
					fake.Fail(t, fault)
					assert.Error(t, call(t.Context(), client))
					fake.AssertCalls(t, name, 6)
				})
			})
		}
	}
}

// A lost response to a delete, and then a 404: it is done. A 404 right away is not.
func TestADeleteThatFindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fixture.Fake(t)
		client := fake.Client(t)
		require.NoError(t, fixture.Login(t.Context(), client))
		fake.Fail(t, emporixtest.Fault{Operation: "Addresses.Delete", Cut: emporixfake.CutAfter})
		assert.NoError(t, fixture.DeleteAddress(t.Context(), client))
		fake.AssertCalls(t, "Addresses.Delete", 2)
		assert.ErrorIs(t, fixture.DeleteAddress(t.Context(), client), emporix.ErrNotFound)
		fake.Fail(t, emporixtest.Fault{Operation: "Addresses.Delete", Status: 429})
		assert.ErrorIs(t, fixture.DeleteAddress(t.Context(), client), emporix.ErrNotFound, "429 did nothing")
	})
}

// What an early try may have done stays so, whatever the tries after it met, also
// when the bearer had to be renewed in between.
func TestWhatMayBeDoneStaysSo(t *testing.T) {
	lost := func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
	status := func(status int, body string) func() (*http.Response, error) {
		return func() (*http.Response, error) { return fixture.Reply(status, body), nil }
	}
	for name, tt := range map[string]struct {
		answers []func() (*http.Response, error)
		is      []string
	}{
		"lost, busy, gone":             {[]func() (*http.Response, error){lost, status(429, ""), status(404, "")}, nil},
		"lost, 410":                    {[]func() (*http.Response, error){lost, status(410, "")}, nil},
		"410":                          {[]func() (*http.Response, error){status(410, "")}, []string{"not found"}},
		"lost, rejected, gone":         {[]func() (*http.Response, error){lost, status(401, fixture.GatewayFault), status(404, "")}, nil},
		"lost, busy, rejected, gone":   {[]func() (*http.Response, error){lost, status(429, ""), status(401, fixture.GatewayFault), status(404, "")}, nil},
		"busy, rejected, gone":         {[]func() (*http.Response, error){status(429, ""), status(401, fixture.GatewayFault), status(404, "")}, []string{"not found"}},
		"lost, the API's 404":          {[]func() (*http.Response, error){lost, status(404, `{"status":404,"type":"resource_not_found","message":"Address a1 not found."}`)}, nil},
		"502, a proxy's page":          {[]func() (*http.Response, error){status(502, ""), status(404, "<html>404 Not Found</html>")}, []string{"not found", "outcome unknown"}},
		"502, a proxy's text":          {[]func() (*http.Response, error){status(502, ""), status(404, "default backend - 404")}, []string{"not found", "outcome unknown"}},
		"502, no such route":           {[]func() (*http.Response, error){status(502, ""), status(404, `{"fault":{"faultstring":"Unable to identify proxy","detail":{"errorcode":"messaging.adaptors.http.flow.ApplicationNotFound"}}}`)}, []string{"not found", "outcome unknown"}},
		"lost, busy, busy":             {[]func() (*http.Response, error){lost, status(429, ""), status(429, "")}, []string{"rate limited", "outcome unknown"}},
		"busy, busy, busy":             {[]func() (*http.Response, error){status(429, ""), status(429, ""), status(429, "")}, []string{"rate limited"}},
		"502, busy, forbidden":         {[]func() (*http.Response, error){status(502, ""), status(429, ""), status(403, "")}, []string{"forbidden", "outcome unknown"}},
		"lost, rejected, rejected":     {[]func() (*http.Response, error){lost, status(401, fixture.GatewayFault), status(401, fixture.GatewayFault)}, []string{"unauthorized", "outcome unknown"}},
		"rejected, rejected":           {[]func() (*http.Response, error){status(401, fixture.GatewayFault), status(401, fixture.GatewayFault)}, []string{"unauthorized"}},
		"lost, no connection, nothing": {[]func() (*http.Response, error){lost, func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }, func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }}, []string{"unavailable", "outcome unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := tt.answers
				client := fixture.LoggedIn(t, func(r *http.Request) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "/refreshauthtoken") {
						return fixture.Reply(200, strings.Replace(fixture.CustomerTokens, "customer-access", "customer-renewed", 1)), nil
					}
					next := left[0]
					left = left[1:]
					return next()
				})
				err := fixture.DeleteAddress(t.Context(), client)
				assert.ElementsMatch(t, tt.is, fixture.Sentinels(err), "%v", err)
				assert.Equal(t, tt.is == nil, err == nil, err)
				assert.Empty(t, left)
			})
		})
	}
}

// What surely was not sent, or not taken, is sent again, whatever it is; except
// where once means once.
func TestUnsentRequestsAreSentAgain(t *testing.T) {
	for name, call := range fixture.Writes {
		for failure, fail := range map[string]func() (*http.Response, error){
			"no connection":  func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} },
			"stream refused": func() (*http.Response, error) { return nil, fmt.Errorf("sent: %w", streamError{3, 7, nil}) },
			"429":            func() (*http.Response, error) { return fixture.Reply(429, ""), nil },
		} {
			t.Run(name+", "+failure, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					seen := 0
					client := fixture.LoggedIn(t, func(*http.Request) (*http.Response, error) {
						mu.Lock()
						defer mu.Unlock()
						seen++
						if seen <= 2 {
							return fail()
						}
						return fixture.Reply(200, fixture.CustomerTokens[:len(fixture.CustomerTokens)-1]+`,"id":"1"}`), nil
					})
					err := call(t.Context(), client)
					if name == "Auth.Refresh" || name == "Auth.Logout" {
						assert.Error(t, err)
						assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
						assert.Equal(t, 1, seen)
						return
					}
					assert.NoError(t, err)
					assert.Equal(t, 3, seen)
				})
			})
		}
	}
}

// streamError fills in whatever has its fields, as net/http's own does.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "a stream error" }

func (e streamError) As(target any) bool {
	to := reflect.ValueOf(target).Elem()
	if to.Kind() != reflect.Struct || to.NumField() != 3 || to.Type().Field(1).Name != "Code" {
		return false
	}
	to.Field(1).SetUint(uint64(e.Code))
	return true
}

// What an error says is no proof: its words may be the server's. Only types are.
func TestWordsOfAnErrorProveNothing(t *testing.T) {
	refused := errors.New("stream error: stream ID 3; REFUSED_STREAM; received from peer")
	for name, failure := range map[string]error{
		"a stream refused":  refused,
		"net/http about it": fmt.Errorf("http2: Transport: cannot retry err [%w] after Request.Body was written; define Request.GetBody to avoid this error", refused),
		"a server leaving":  errors.New("http2: Transport received Server's graceful shutdown GOAWAY"),
		"no connection":     errors.New("http2: client conn could not be established"),
		"no rewinding":      errors.New("net/http: cannot rewind body after connection loss"),
		"a dial":            errors.New("dial tcp 127.0.0.1:443: connect: connection refused"),
		"a status line":     errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP version "REFUSED_STREAM"`),
		"another code":      streamError{3, 8, nil},
		"a read":            &net.OpError{Op: "read", Err: syscall.ECONNRESET},
	} {
		for op, call := range fixture.Writes {
			t.Run(op+", "+name, func(t *testing.T) {
				t.Parallel()
				seen := 0
				client := fixture.LoggedIn(t, func(*http.Request) (*http.Response, error) { seen++; return nil, failure })
				assert.ErrorIs(t, call(t.Context(), client), emporix.ErrOutcomeUnknown)
				assert.Equal(t, 1, seen)
			})
		}
	}
}

// A peer that does the work and says otherwise in its status line is believed
// nothing.
func TestAPeerThatClaimsToHaveRefused(t *testing.T) {
	for _, line := range []string{
		"HTTP/1.1 REFUSED_STREAM x", "REFUSED_STREAM", "HTTP/1.1 200 OK\r\nREFUSED_STREAM graceful shutdown GOAWAY",
		"http2: Transport: cannot retry err [stream error: stream ID 3; REFUSED_STREAM; received from peer] after Request.Body was written; define Request.GetBody to avoid this error",
		"net/http: cannot rewind body after connection loss", "client conn could not be established",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			done := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch {
				case strings.HasSuffix(r.URL.Path, "/anonymous/login"):
					_, _ = io.WriteString(w, fixture.AnonymousTokens)
				case strings.HasSuffix(r.URL.Path, "/login"):
					_, _ = io.WriteString(w, fixture.CustomerTokens)
				default:
					mu.Lock()
					done++
					mu.Unlock()
					conn, _, err := w.(http.Hijacker).Hijack()
					if assert.NoError(t, err) {
						_, _ = io.WriteString(conn, line+"\r\n\r\n")
						_ = conn.Close()
					}
				}
			}))
			t.Cleanup(server.Close)
			client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(server.URL))
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
			require.NoError(t, fixture.Login(t.Context(), client))
			assert.ErrorIs(t, fixture.Writes["Addresses.Add"](t.Context(), client), emporix.ErrOutcomeUnknown)
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, 1, done)
		})
	}
}

// A 401 renews the token once, if it is about the token; and not at all where it
// is the customer's mistake.
func TestL08_WhatA401Means(t *testing.T) {
	const message = `{"status":401,"type":"unauthorized","message":"No."}`
	for name, tt := range map[string]struct {
		call     func(context.Context, *emporix.Client) error
		op       string
		body     string
		times    int
		calls    int
		renewals int
		err      error
	}{
		"a fault, a read":           {fixture.Get, "Customers.Get", fixture.GatewayFault, 1, 2, 1, nil},
		"a fault, a write":          {fixture.Update, "Customers.Update", fixture.GatewayFault, 1, 2, 1, nil},
		"a fault, a password call":  {fixture.ChangePassword, "Credentials.ChangePassword", fixture.GatewayFault, 1, 2, 1, nil},
		"nothing, a read":           {fixture.Get, "Customers.Get", "", 1, 2, 1, nil},
		"nothing, a password call":  {fixture.ChangePassword, "Credentials.ChangePassword", "", 1, 1, 0, emporix.ErrInvalidCredentials},
		"a message, a read":         {fixture.Get, "Customers.Get", message, 1, 1, 0, emporix.ErrUnauthorized},
		"a message, a password":     {fixture.ChangePassword, "Credentials.ChangePassword", message, 1, 1, 0, emporix.ErrInvalidCredentials},
		"a page":                    {fixture.Get, "Customers.Get", fixture.GatewayPage, 1, 1, 0, emporix.ErrUnauthorized},
		"a fault, again and again":  {fixture.Get, "Customers.Get", fixture.GatewayFault, -1, 2, 1, emporix.ErrUnauthorized},
		"a fault, a write, forever": {fixture.Update, "Customers.Update", fixture.GatewayFault, -1, 2, 1, emporix.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := fixture.Fake(t)
				client := fake.Client(t)
				require.NoError(t, fixture.Login(t.Context(), client))
				fake.Fail(t, emporixtest.Fault{Operation: tt.op, Status: 401, RawBody: &tt.body, Times: tt.times})
				err := tt.call(t.Context(), client)
				if tt.err == nil {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, tt.err)
				}
				fake.AssertCalls(t, tt.op, tt.calls)
				fake.AssertCalls(t, "Auth.Refresh", tt.renewals)
				info, err := client.DefaultSession().Info(t.Context())
				require.NoError(t, err)
				assert.Equal(t, emporix.SessionCustomer, info.Kind)
			})
		})
	}
}

// Many visitors whose tokens are rejected at once don't storm the server.
func TestARejectionOfManyCallsRenewsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fixture.Fake(t)
		client := fake.Client(t)
		require.NoError(t, fixture.Login(t.Context(), client))
		fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Body: emporixfake.BodyGatewayFault, Times: -1})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { assert.ErrorIs(t, fixture.Get(t.Context(), client), emporix.ErrUnauthorized) })
		}
		all.Wait()
		fake.AssertCalls(t, "Auth.Refresh", 1)
		assert.LessOrEqual(t, fake.Calls(t, "Customers.Get"), 100)
	})
}

func TestRetriesCanBeLimited(t *testing.T) {
	for attempts := 1; attempts <= 5; attempts++ {
		synctest.Test(t, func(t *testing.T) {
			seen := 0
			client := fixture.LoggedIn(t, func(*http.Request) (*http.Response, error) { seen++; return nil, io.ErrUnexpectedEOF },
				emporix.WithRetries(emporix.Retries{MaxAttempts: attempts}))
			assert.Error(t, fixture.Get(t.Context(), client))
			assert.Equal(t, attempts, seen)
		})
	}
}

func TestWaitingAsLongAsTheServerAsks(t *testing.T) {
	for seconds, attempts := range map[int]int{5: 3, 29: 3, 31: 1, 86400: 1} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fixture.LoggedIn(t, fixture.Always(429, "", "Retry-After", fmt.Sprint(seconds)))
				began := time.Now()
				err := fixture.Get(t.Context(), client)
				var apiErr *emporix.APIError
				require.ErrorAs(t, err, &apiErr)
				assert.Equal(t, attempts, apiErr.Attempts)
				assert.Equal(t, time.Duration(seconds)*time.Second, apiErr.RetryAfter)
				assert.Equal(t, time.Duration((attempts-1)*seconds)*time.Second, time.Since(began))
			})
		})
	}
}

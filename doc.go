// Package emporix is a client of the Emporix Customer Service, as a storefront
// uses it: anonymous and customer sessions, sign-up, profile, addresses and
// credentials.
//
//	client, err := emporix.NewClient("mytenant", "storefront-client-id")
//	if err != nil { … }
//	defer client.Close(ctx)
//
//	me, err := client.Customers.Get(ctx) // obtains an anonymous session by itself
//
// # Sessions
//
// The SDK handles the tokens. The first call of a session obtains an anonymous one,
// Auth.Login upgrades it to the customer's, both are renewed before they end,
// and both live in the [TokenStore]. A Client has a session of its own, for
// scripts and tests; a BFF makes a [Session] for each visitor and request with
// [Client.Session]. Sessions of one key share one renewal: it is one request, however
// many callers wait for it. Each caller stops waiting when its own context ends, and
// the renewal goes on for the others.
//
// A customer's refresh token usually lives 24 hours and the access token 30
// days, so an active customer is renewed in the background about every twelve
// hours, and one who stays away goes on until the access token ends. A renewal
// that fails ends no session, unless the response is a definite no about the
// refresh token; see below. An anonymous session that ended is replaced by a new
// one, which the observer is told about (EventSessionReplaced: the cart is gone).
// A customer's session that ended is [ErrSessionExpired] until the next login or logout.
// Sessions are dropped one day (guest) or 30 days (customer) after their last token
// ended; the visitor then starts as a new guest.
//
// A definite no is a 400 or 401 of a refresh call whose body is an error in the
// API's own shape, and names the refresh token or nothing that is known to be
// something else; or the OAuth error invalid_grant; or a gateway's fault that
// names the refresh token. A fault about the key, the tenant, the product, a
// quota or the access token, another OAuth error, an empty response, another page,
// no response, and every other status decide nothing: a call that waits for the
// renewal fails with [ErrUnavailable], [ErrRateLimited] or what the table below
// says of lost responses, and the next call tries again.
//
// A refusal that decides nothing must not lock a visitor out for good. If the refresh is
// still refused when the access token has ended, the SDK tests it. A guest's session is
// replaced if the SDK gets a new anonymous session and a second refresh is refused as
// well. A customer's session ends when the same refusal has come three times over at
// least two minutes, each time while the SDK could get an anonymous token.
//
// # Operations
//
// An operation is one request of the API. Logs, errors and the fake name it by the
// service and the method that send it. Auth.RefreshAnonymous is what Auth.Refresh
// sends for a guest. Auth.SwitchLegalEntity sends Auth.Refresh. The SDK itself sends
// Auth.StartAnonymous and both refreshes when a call needs a token. The class says when
// a request is sent again.
//
//	operation                         request                                                            bearer                 class
//	Auth.StartAnonymous               GET /customerlogin/auth/anonymous/login                            none                   safe
//	Auth.RefreshAnonymous             GET /customerlogin/auth/anonymous/refresh                          none                   once
//	Auth.Login                        POST /customer/{tenant}/login                                      anonymous              unsent
//	Auth.SocialLogin                  POST /customer/{tenant}/socialLogin                                anonymous              unsent
//	Auth.ExchangeToken                POST /customer/{tenant}/exchangeauthtoken                          anonymous              unsent
//	Auth.Refresh                      GET /customer/{tenant}/refreshauthtoken                            anonymous              once
//	Auth.Validate                     GET /customer/{tenant}/validateauthtoken                           customer               safe
//	Auth.Logout                       GET /customer/{tenant}/logout                                      customer               once
//	Customers.SignUp                  POST /customer/{tenant}/signup                                     anonymous              unsent
//	Customers.ConfirmSignUp           GET /customer/{tenant}/signup/optin/{token}                        anonymous              unsent
//	Customers.ResendActivation        POST /customer/{tenant}/signup/optin/refresh_token                 anonymous              unsent
//	Customers.Get                     GET /customer/{tenant}/me                                          customer or anonymous  safe
//	Customers.Update                  PATCH /customer/{tenant}/me                                        customer               unsent
//	Customers.Activate                PATCH /customer/{tenant}/customers/{customerNumber}                employee               unsent
//	Addresses.List                    GET /customer/{tenant}/me/addresses                                customer               safe
//	Addresses.Get                     GET /customer/{tenant}/me/addresses/{addressId}                    customer               safe
//	Addresses.Add                     POST /customer/{tenant}/me/addresses                               customer               unsent
//	Addresses.Update                  PATCH /customer/{tenant}/me/addresses/{addressId}                  customer               unsent
//	Addresses.Delete                  DELETE /customer/{tenant}/me/addresses/{addressId}                 customer               repeatable
//	Addresses.AddTags                 POST /customer/{tenant}/me/addresses/{addressId}/tags              customer               repeatable
//	Addresses.RemoveTags              DELETE /customer/{tenant}/me/addresses/{addressId}/tags            customer               repeatable
//	Credentials.RequestPasswordReset  POST /customer/{tenant}/password/reset                             anonymous              unsent
//	Credentials.ResetPassword         POST /customer/{tenant}/password/reset/update                      anonymous              unsent
//	Credentials.ChangePassword        POST /customer/{tenant}/password/change                            customer               unsent
//	Credentials.RequestEmailChange    POST /customer/{tenant}/me/accounts/internal/email/change          customer               unsent
//	Credentials.ConfirmEmailChange    POST /customer/{tenant}/me/accounts/internal/email/change/confirm  anonymous              unsent
//
// The bearer of an employee comes from POST /oauth/token with
// [WithEmployeeCredentials], or from a function of yours with [WithEmployeeToken].
//
// # What is sent again
//
// Each operation has a retry class. The rules may be tuned from version to
// version.
//
//	class       operations                        sent again
//	safe        Get, List, Validate, anonymous    after connection errors, 408, 429, 502, 503, 504
//	            and employee tokens
//	repeatable  Addresses.Delete, AddTags,        the same; a Delete that then finds nothing is done
//	            RemoveTags
//	unsent      everything else that writes       only if the request surely never arrived, or after 429
//	once        refreshes, Logout                 never, but for the exceptions below
//
// The SDK decides by types that a request surely never arrived, such as a dial that
// failed or an HTTP/2 stream that was refused, and not by the text of an error or of a
// peer. A write that is under way when an HTTP/2 server sends GOAWAY has an unknown
// outcome.
//
// There are up to three tries with full jitter. Retry-After is honoured up to
// 30 seconds and otherwise returned with the error. No try outlives the caller's
// context, and a budget per client keeps an outage from doubling the load.
//
// There are three exceptions. A call whose bearer the server rejects is sent once
// more with a renewed bearer, because the server has refused the first
// unprocessed; a customer's refresh then once more with the customer's own. A
// guest's refresh whose response was lost is sent once more in a renewal of its own,
// because that risks a cart and no login. A guest's refresh that was refused for an
// unknown reason is sent once more in the test above.
//
// # Errors
//
// Errors branch with [errors.Is] on the sentinels below and with [errors.As] on
// [*APIError] (the server answered no), [*TransportError] (no usable response),
// [*AuthError] (a token call failed while another call needed its token) and
// [*ArgumentError] (refused before anything was sent). None holds a request, its
// URL, a header or a secret.
//
//	status, body                                     errors.Is
//	400, 413, 415, 422                               ErrInvalidRequest
//	401 with a message or an empty body, on Login,
//	    ChangePassword and RequestEmailChange        ErrInvalidCredentials, ErrUnauthorized
//	401 or 403 of a login that says that the
//	    account is not active or on hold             also ErrAccountInactive, ErrInvalidCredentials
//	the first, speaking of an outage, or with a
//	    status of 500 or more in the body            ErrUnauthorized
//	401, the gateway's fault about the access token,
//	    or else an empty body                        renewed once; then ErrUnauthorized
//	401 with anything else                           ErrUnauthorized
//	403                                              ErrForbidden
//	404, 410                                         ErrNotFound
//	409, 412                                         ErrConflict
//	429                                              ErrRateLimited, with RetryAfter
//	408, 500 to 599                                  ErrUnavailable
//	300 to 499 but those above: 400, 401, 403, 404,
//	    408, 409, 410, 412, 413, 415, 422, 429       ErrBadResponse
//	300 to 399, 408, 500 to 599 but 501, 503, 505,
//	    after something that changes something       also ErrOutcomeUnknown
//	a gateway's fault messaging.adaptors.http…,
//	    after the same                               also ErrOutcomeUnknown
//	200 to 299 that can't be used: HTML, an error,
//	    too large, or, where a result is due, empty
//	    or of another shape                          ErrBadResponse
//	the same, after something that changes
//	    something                                    also ErrOutcomeUnknown
//	no response, or a success that breaks off, to
//	    something that only reads                    ErrUnavailable
//	no response, and the request never arrived       ErrUnavailable
//	no response, or a success that breaks off, and
//	    the request may have arrived                 ErrOutcomeUnknown
//	the same, for what may be sent again             also ErrUnavailable
//	the caller's context ended                       context.Canceled, context.DeadlineExceeded;
//	                                                 for what may have arrived also ErrOutcomeUnknown
//	a definite no about a customer's refresh token   ErrSessionExpired, once the access token is over
//	a renewal that was refused for another reason    ErrUnavailable, and not what the status says
//	a renewal whose response was lost, for the call
//	    that needed it                               ErrUnavailable; that call was not processed
//	a new access token that has ended already        ErrBadResponse; no other is asked for in that call
//	nothing is sent: no customer, or one too many    ErrNotLoggedIn, ErrLoggedIn
//	    an input, an empty patch                     ErrInvalidRequest, ErrEmptyPatch
//	    no employee, no live refresh token           ErrNoEmployee, ErrNotRefreshable
//	    the client was closed                        ErrClosed
//	the token store failed, or its row is damaged    ErrStoreUnavailable, ErrStoreCorrupt
//
// # Responses
//
// A response is read member by member. A member that is missing, null or of
// another JSON type than the documented one costs no other: a number is taken for
// a string, and a string for a number, a bool or a date, where the meaning is
// clear, and anything else leaves the field zero. Of two members with one name the
// last counts. [WithRawResponse] gives a call's response as it was sent, also what
// has no field here.
//
// Bytes that are not UTF-8 are read as U+FFFD. A request that holds U+FFFD, other
// than in a password, a mail token or a mixin as the server sent it, is
// ErrInvalidRequest, and so is [SetMixin] with it: the bytes behind it would be lost.
// So is a request of more than 10 MiB. Nothing is sent then.
//
// # Secrets
//
// Tokens are of type [Secret], which no printer, logger or encoder shows. The
// API puts tokens into URLs; the SDK puts them in at the last moment, behind
// every logger and middleware. Request types hold passwords and mail tokens as
// plain strings, because that is how the program got them. These types mask the
// strings for every verb of fmt but %p and %w, also in slices, maps and exported fields
// of other structs, and as an attribute of slog. Exceptions show them in clear:
// json.Marshal, and thus slog's JSON handler for a request inside another value; fmt
// for an unexported field; and the verbs %p and %w, which are for pointers and errors.
// The SDK itself logs no request and no body.
//
// # Tests
//
// Package emporixtest gives a test a fake Emporix in memory, with a clock, an
// outbox and faults; it works inside [testing/synctest]. So does this package.
package emporix

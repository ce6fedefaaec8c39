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
// Nobody handles a token. The first call of a session obtains an anonymous one,
// Auth.Login upgrades it to the customer's, both are renewed before they end,
// and both live in the [TokenStore]. A Client has a session of its own, for
// scripts and tests; a BFF makes a [Session] for each visitor and request with
// [Client.Session]. Sessions of one key share one renewal: however many callers
// wait, one request is made, it belongs to none of them, and each leaves when
// its own context ends.
//
// A customer's refresh token usually lives 24 hours and the access token 30
// days, so an active customer is renewed in the background about every twelve
// hours, and one who stays away goes on until the access token ends. A renewal
// that fails changes nothing: only a definite no of the server ends a session.
// An anonymous session that ended is replaced by a new one, which the observer
// is told about (EventSessionReplaced: the cart is gone). A customer's is
// [ErrSessionExpired] until the next login or logout. Who stays away longer, a
// guest for a day and a customer for 30 days after the last token ended, is
// forgotten, and comes back as a new guest.
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
// There are up to three tries with full jitter. Retry-After is honoured up to
// 30 seconds and otherwise returned with the error. Nothing outlives the
// caller's context, and a budget per client keeps an outage from doubling the
// load.
//
// There are two exceptions. A call whose bearer the server rejects is sent once
// more with a renewed bearer, a customer's refresh as well: the server has
// refused the first unprocessed. And a guest's refresh whose answer was lost is
// sent once more in a renewal of its own, because that risks a cart and no login.
//
// # Errors
//
// Errors branch with [errors.Is] on the sentinels below and with [errors.As] on
// [*APIError] (the server answered no), [*TransportError] (no usable answer),
// [*AuthError] (a token call failed while another call needed its token) and
// [*ArgumentError] (refused before anything was sent). None holds a request, its
// URL, a header or a secret.
//
//	status, body                                     errors.Is
//	400, 413, 415, 422                               ErrInvalidRequest
//	401 with a message or an empty body, on Login,
//	    ChangePassword and RequestEmailChange        ErrInvalidCredentials, ErrUnauthorized
//	401, the gateway's fault, or else an empty body  renewed once; then ErrUnauthorized
//	401 with anything else                           ErrUnauthorized
//	403                                              ErrForbidden
//	404                                              ErrNotFound
//	409, 412                                         ErrConflict
//	429                                              ErrRateLimited, with RetryAfter
//	408, 500 to 599                                  ErrUnavailable
//	408, 502, 504 after something that writes        also ErrOutcomeUnknown
//	3xx and every other status                       ErrBadResponse
//	success, but HTML, cut, too large, or, where a
//	    result is due, empty or of another shape     ErrBadResponse
//	the same, after something that writes            also ErrOutcomeUnknown
//	no answer, to something that only reads,
//	    or surely never arrived                      ErrUnavailable
//	no answer, and it may have arrived               ErrOutcomeUnknown
//	the caller's context ended                       context.Canceled, context.DeadlineExceeded;
//	                                                 for what may have arrived also ErrOutcomeUnknown
//	a refresh token refused (400, 401)               ErrSessionExpired, once the access token is over
//	nothing is sent: no customer, or one too many    ErrNotLoggedIn, ErrLoggedIn
//	    an input, an empty patch                     ErrInvalidRequest, ErrEmptyPatch
//	    no employee, no live refresh token           ErrNoEmployee, ErrNotRefreshable
//	    the client was closed                        ErrClosed
//	the token store failed, or its row is damaged    ErrStoreUnavailable, ErrStoreCorrupt
//
// # Answers
//
// An answer is read member by member. A member that is missing, null or of
// another JSON type than the documented one costs no other: a number is taken for
// a string, and a string for a number, a bool or a date, where the meaning is
// clear, and anything else leaves the field zero. Of two members with one name the
// last counts. [WithRawResponse] gives a call's answer as it was sent, also what
// has no field here.
//
// Bytes that are not UTF-8 are read as U+FFFD. A request that holds U+FFFD, other
// than in a password or mail token, is ErrInvalidRequest: the bytes behind it
// would be lost. So is one of more than 10 MiB. Nothing is sent then.
//
// # Secrets
//
// Tokens are of type [Secret], which no printer, logger or encoder shows. The
// API puts tokens into URLs; the SDK puts them in at the last moment, behind
// every logger and middleware. Request types hold passwords and mail tokens as
// plain strings, because that is how the program got them. They mask them for
// every verb of fmt, also in slices, maps and exported fields of other structs,
// and as an attribute of slog. What doesn't ask a value how to print itself shows
// them: json.Marshal, and thus slog's JSON handler for a request inside another
// value, and fmt for an unexported field. The SDK itself logs no request and no
// body.
//
// # Tests
//
// Package emporixtest gives a test a fake Emporix in memory, with a clock, an
// outbox and faults; it works inside [testing/synctest]. So does this package.
package emporix

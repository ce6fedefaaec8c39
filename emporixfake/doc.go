// Package emporixfake is a fake Emporix: an [http.Handler] that plays the
// Customer Service of one tenant. It is a state machine, not canned answers. It
// issues, expires, rotates and revokes tokens, keeps a visitor's session over
// login, and knows customers, addresses, companies, mails and identities. It
// shares no code with the SDK, and any client of the API can be tested with it.
//
//	fake := emporixfake.New(emporixfake.Config{})
//	server := httptest.NewServer(fake)
//	defer server.Close()
//
// Package emporixtest is more comfortable in Go tests, and cmd/emporix-fake is
// the same as a program.
//
// # What it enforces
//
// All operations of the API and POST /oauth/token. Everything else is 404.
// The wrong kind of bearer is 401 with the gateway's fault; a missing scope is
// 403; a body, query or content type that the API's description does not allow
// is 400 in the API's error shape with details; a duplicate e-mail is 409.
//
// A query parameter or a body that an operation does not declare is 400 too. The
// API's schemas allow members that they do not declare, and the fake ignores
// them, as it ignores a bearer at the two anonymous operations. The switches
// UndeclaredQueryIsRefused, UndeclaredBodyIsRefused, UndeclaredMembersAreRefused
// and UndeclaredBearerIsRefused change each of these. Whatever the fake accepts
// beyond the description is a row of [Server.Assumptions] with Lenient set.
//
// A request may have 60 KiB of headers, 10 KiB of URL and 10 MiB of body, which
// must arrive within 30 seconds; the answer must be taken within a minute.
//
// # Documented and assumed
//
// Not everything is documented by the vendor. [Server.Assumptions] is the table
// of what is documented, what others measured and what is assumed, and
// [Assumptions] has a switch wherever a tenant may behave in another way:
// whether refresh tokens rotate, how long a rotated one still works, whether
// its reuse ends the session, whether accounts need activation, and more.
//
// # Web pages
//
// Pages of other origins may call the API from a browser: the fake answers their
// preflight requests (CORS), unless CrossOriginCallsAreAllowed is off. They can't
// call the control interface.
//
// # Time, faults, mails
//
// [Server.Advance] moves the fake's clock. [Server.Fail] makes chosen calls
// fail, before or after their effect. [Server.Outbox] has the mails that
// customers got, [Server.Journal] the requests with their secrets masked,
// [Server.Coverage] what was called, and [Server.Secrets] the secrets, to look
// for in output that must not have one.
//
// # Other services
//
// [Server.Handle] serves requests that are none of the API's, such as those to the
// cart service, with a handler of yours, and [Server.Identify] tells it whose bearer
// it got. [Server.Customers] and [Server.Sessions] show what the fake knows.
//
// # Control interface
//
// The same is there over HTTP and as JSON, under /__fake/. In a browser /__fake/ is a
// page with the customers, mails, sessions, faults and requests; for a program it is
// the list of all that the interface has, with examples, and /__fake/openapi.json
// describes it. These are most used:
//
//	GET    /__fake/outbox    mails, newest first; ?kind=password-reset|email-change|opt-in&email=…
//	POST   /__fake/clock     {"advance":"31d"}, or "-2h" for back; GET tells the time
//	POST   /__fake/faults    a Fault, or a list of them; GET lists and DELETE clears
//	GET    /__fake/journal   the requests, oldest first; ?operation=…&secrets=show
//	POST   /__fake/customers a Customer; GET lists them
//	POST   /__fake/reset     back to the seed
//
// It has no password, and shows mail tokens: listen on loopback only. Requests
// with an Origin or a Sec-Fetch-Site of another origin are 403, and so are those
// under a Host that is neither loopback nor the address that it listens on.
//
// # Identities
//
// Social login accepts the code "fake-code:jo@example.com", and exchange the
// subject token "fake-subject:jo@example.com", for any address; the customer is
// found by the address or made. A code works once: add a suffix for another,
// as in "fake-code:jo@example.com:2".
//
// # Bounds
//
// It remembers at most 200,000 tokens of each kind and as many secrets, 10,000
// mails and journal entries, of which the oldest go first, and 100,000
// customers with 1,000 addresses each. Sign-ups make at most 10,000 companies,
// 100 each.
package emporixfake

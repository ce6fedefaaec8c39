// Package sentinel holds the errors that callers branch on with errors.Is.
// They are constants, so no program can overwrite them.
package sentinel

// Error is a sentinel error.
type Error string

func (e Error) Error() string { return string(e) }

// The sentinels; the root package exports and documents each.
const (
	Unauthorized       Error = "emporix: unauthorized"
	Forbidden          Error = "emporix: forbidden"
	NotFound           Error = "emporix: not found"
	Conflict           Error = "emporix: conflict"
	InvalidRequest     Error = "emporix: invalid request"
	RateLimited        Error = "emporix: rate limited"
	Unavailable        Error = "emporix: unavailable"
	NotLoggedIn        Error = "emporix: not logged in"
	LoggedIn           Error = "emporix: a customer is logged in"
	SessionExpired     Error = "emporix: session expired"
	InvalidCredentials Error = "emporix: invalid credentials" // #nosec G101 -- a text
	AccountInactive    Error = "emporix: account inactive"
	NotRefreshable     Error = "emporix: no live refresh token"
	OutcomeUnknown     Error = "emporix: outcome unknown"
	BadResponse        Error = "emporix: bad response"
	StoreUnavailable   Error = "emporix: token store unavailable"
	StoreCorrupt       Error = "emporix: token store row unreadable"
	EmptyPatch         Error = "emporix: empty patch"
	Closed             Error = "emporix: client closed"
	RowLocked          Error = "emporix: the key of a sealed row is missing" // internal: Logout may discard the row
	NotTheCustomer     Error = "emporix: refused for the shop itself"        // internal: a gateway's 401 about its key, client or product
	DeadToken          Error = "emporix: the access token is not valid"      // #nosec G101 -- internal: a 401 that says so, or that says nothing
	NoEmployee         Error = "emporix: no employee credentials"            // #nosec G101 -- a text
)

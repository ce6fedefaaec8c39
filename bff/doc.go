// Package bff gives every visitor of a web shop a session of their own, on a
// backend that serves browsers: the browser holds one cookie, and no token that
// it could read. It is net/http middleware, so chi, echo and gin take it as it is
// (gin.Engine and echo.Echo are http.Handlers: wrap them).
//
//	client, err := emporix.NewClient(tenant, clientID, emporix.WithTokenStore(store))
//	b, err := bff.New(client, bff.Options{})
//	http.ListenAndServe(addr, b.Handler(mux))
//
//	func account(w http.ResponseWriter, r *http.Request) {
//		session, err := bff.From(r).Session(r.Context())
//		if err != nil {
//			b.Error(w, r, err)
//			return
//		}
//		me, err := session.Customers.Get(r.Context())
//		…
//	}
//
// # The cookie
//
// __Host-emporix holds 256 random bits and is HttpOnly, Secure and SameSite=Lax.
// It is written when a handler first asks for the session, and at each login,
// logout, password change and company switch, which give the visitor a new one
// and make the old one worthless. It is not written when tokens are renewed, and
// every response that writes it says Cache-Control: no-store. The store has a hash
// of it: who reads the store finds no cookie. An ID that is in no record of ours
// names no visitor, and is replaced rather than adopted.
//
// # What it costs
//
// A request that does not ask for the session costs nothing. One that does costs
// one read of the store for the visitor, and one for the session when that is
// first used; neither calls the API while the session's token is good. A first
// contact costs a write for the visitor and one for the session. A visit is noted by
// a write at most once an hour, or in a thirtieth of Options.Idle if that is less.
//
// # Sessions in cookies
//
// Without any store of its own, a [CookieStore] as the client's token store
// keeps sessions in the visitors' cookies, sealed; see there for its limits.
//
// # Cross-site requests
//
// Unsafe requests from other sites are refused with [net/http.CrossOriginProtection].
// It lets GET through, so nothing may be changed by GET; the one login that comes
// by GET, a social one, is bound to the visitor by its state. Options.StrictOrigin
// also refuses what says nothing about its origin.
//
// # Outages
//
// While the store fails, Session returns emporix.ErrStoreUnavailable, which
// [BFF.Error] answers with 503: no new session is begun in place of one that
// could not be read, and no row is written that was not read. The same goes for
// rows and cookies of a newer version of this package, while a roll-out is under
// way.
package bff

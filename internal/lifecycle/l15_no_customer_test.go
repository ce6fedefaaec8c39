package lifecycle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL15_ACustomersCallNeedsACustomer(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		_, err := w.m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		assert.Empty(t, w.tokenServer.calls)
		w.token(v, WantAnonymous)
		_, err = w.m.at(v).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		require.ErrorIs(t, w.m.at(v).Logout(t.Context(), nil), sentinel.NotLoggedIn)
		entity := "company"
		require.ErrorIs(t, w.m.at(v).Refresh(t.Context(), &entity), sentinel.NotLoggedIn)
		assert.Len(t, w.tokenServer.calls, 1)
	})
}

// A customer who logged in through another process is one here at once, also for a value
// that has seen the guest.
func TestL15_ALoginElsewhereCounts(t *testing.T) {
	for name, use := range map[string]func(w *fixture, v *Visitor){
		"a call":   func(w *fixture, v *Visitor) { assert.Equal(t, "C2", w.token(v, WantCustomer)) },
		"a logout": func(w *fixture, v *Visitor) { assert.NoError(t, w.m.at(v).Logout(w.t.Context(), noCall)) },
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := visitor("jo")
				w.token(v, WantAnonymous)
				time.Sleep(time.Millisecond)
				newFixture(t, w.tokenServer, w.fakeStore).logIn(visitor("jo"))
				use(w, v)
			})
		})
	}
}

// A session serves the same calls whether its token is at hand or is read first.
func TestL15_WhatASessionServes(t *testing.T) {
	type serves struct {
		token string
		err   error
	}
	for name, tt := range map[string]struct {
		begin func(t *testing.T, w *fixture, v *Visitor)
		wants map[Want]serves
	}{
		"a guest": {
			func(*testing.T, *fixture, *Visitor) {},
			map[Want]serves{WantAnonymous: {token: "A1"}, WantAny: {token: "A1"}, WantCustomer: {err: sentinel.NotLoggedIn}},
		},
		"a customer": {
			func(_ *testing.T, w *fixture, v *Visitor) { w.logIn(v) },
			map[Want]serves{WantAnonymous: {token: "A3"}, WantAny: {token: "C2"}, WantCustomer: {token: "C2"}},
		},
		"a guest after a customer whose session ended": {
			func(t *testing.T, w *fixture, v *Visitor) {
				w.logIn(v)
				time.Sleep(customerLife + time.Second)
				for range 2 { // and it takes no call to know it the second time
					require.ErrorIs(t, w.m.at(v).Refresh(t.Context(), nil), sentinel.SessionExpired)
				}
				assert.Len(t, w.tokenServer.calls, 2)
			},
			map[Want]serves{WantAnonymous: {token: "A3"}, WantAny: {err: sentinel.SessionExpired}, WantCustomer: {err: sentinel.SessionExpired}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := visitor("jo")
				tt.begin(t, w, v)
				w.token(v, WantAnonymous)
				for want, is := range tt.wants {
					for _, value := range []*Visitor{v, visitor("jo")} {
						token, err := w.m.at(value).Token(t.Context(), want)
						require.ErrorIs(t, err, is.err, want)
						if err == nil {
							assert.Equal(t, is.token, token.Access.Reveal(), want)
						}
					}
				}
				err := w.m.at(v).Refresh(t.Context(), nil)
				assert.ErrorIs(t, err, tt.wants[WantAny].err)
				assert.Equal(t, 1, w.tokenServer.count(refreshAnonymous)+w.tokenServer.count(refreshCustomer), "whatever it is, it is renewed")
			})
		})
	}
}

// A good token at hand is handed out without an allocation.
func TestAGoodTokenCostsNothing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		guest, customer := visitor("mo"), w.customer("jo")
		for name, tt := range map[string]struct {
			v    *Visitor
			want Want
		}{
			"a guest's": {guest, WantAnonymous}, "a guest's for any call": {guest, WantAny},
			"a customer's": {customer, WantCustomer}, "a customer's for any call": {customer, WantAny},
			"the employee's": {guest, WantEmployee},
		} {
			w.token(tt.v, tt.want)
			assert.Zero(t, testing.AllocsPerRun(10, func() { _, _ = w.m.at(tt.v).Token(t.Context(), tt.want) }), name)
		}
	})
}

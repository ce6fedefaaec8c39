package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Rows of a newer SDK may have anything in them but the version in its place.
func newerRows() map[string]string {
	whole := string(full().encode())
	with := func(old, next string) string { return strings.Replace(whole, old, next, 1) }
	return map[string]string{
		"the same members":               with(`"v":1`, `"v":2`),
		"much newer":                     with(`"v":1`, `"v":41`),
		"a huge version":                 with(`"v":1`, `"v":18446744073709551616`),
		"members of other types":         with(`"v":1,"g":1767225600123456,"k":2,"e":true`, `"v":2,"g":"CANARY","k":"customer","e":[1]`),
		"members that are gone":          `{"v":2}`,
		"unknown members":                with(`"v":1`, `"v":2,"tokens":[{"CANARY":1}]`),
		"a kind too many":                strings.Replace(with(`"v":1`, `"v":2`), `"k":2`, `"k":9`, 1),
		"the version comes last":         `{"g":"CANARY","v":2}`,
		"spaces":                         " {\n \"v\" : 2 } ",
		"names that differ in case only": `{"V":"CANARY","v":2,"G":{}}`,
	}
}

// A row of a newer SDK is no damage: a roll-out is under way.
func TestRowsOfANewerVersionAreUnavailable(t *testing.T) {
	for name, data := range newerRows() {
		t.Run(name, func(t *testing.T) {
			r, err := decode([]byte(data))
			require.ErrorIs(t, err, sentinel.StoreUnavailable)
			require.NotErrorIs(t, err, sentinel.StoreCorrupt)
			assert.Nil(t, r)
			assert.Contains(t, err.Error(), "newer version")
			assert.Contains(t, err.Error(), "nothing is lost")
			assert.NotContains(t, err.Error(), "CANARY")
		})
	}
}

// What only looks like a version is damage.
func TestVersionsThatAreNone(t *testing.T) {
	for _, v := range []string{"0", "-1", "-2", "1.5", "2.5", `"2"`, "null", "true", "[2]", "{}", "1e400", "0.9"} {
		_, err := decode([]byte(`{"v":` + v + `,"g":1}`))
		require.ErrorIs(t, err, sentinel.StoreCorrupt, v)
		require.NotErrorIs(t, err, sentinel.StoreUnavailable, v)
	}
}

// No operation of an older process changes a newer row, or goes on without it.
func TestNewerRowsStayAsTheyAre(t *testing.T) {
	ctx := context.Background()
	login := func(w *fixture, v *Visitor) error {
		_, err := w.m.at(v).Login(ctx, func(context.Context, Token) (Grant, error) { return Grant{}, errors.New("no call is to be made") })
		return err
	}
	operations := map[string]func(w *fixture, v *Visitor) error{
		"an anonymous token": func(w *fixture, v *Visitor) error { _, err := w.m.at(v).Token(ctx, WantAnonymous); return err },
		"a customer's token": func(w *fixture, v *Visitor) error { _, err := w.m.at(v).Token(ctx, WantCustomer); return err },
		"any token":          func(w *fixture, v *Visitor) error { _, err := w.m.at(v).Token(ctx, WantAny); return err },
		"info":               func(w *fixture, v *Visitor) error { _, err := w.m.at(v).Info(ctx); return err },
		"due":                func(w *fixture, v *Visitor) error { return w.m.at(v).RenewIfDue(ctx) },
		"login":              login,
		"logout":             func(w *fixture, v *Visitor) error { return w.m.at(v).Logout(ctx, noCall) },
		"move":               func(w *fixture, v *Visitor) error { return w.m.at(v).MoveTo(ctx, w.m.at(visitor("another"))) },
		"move onto it": func(w *fixture, v *Visitor) error {
			w.customer("ann")
			return w.m.at(visitor("ann")).MoveTo(ctx, w.m.at(v))
		},
	}
	for operation, do := range operations {
		for _, conditionally := range []bool{true, false} {
			t.Run(fmt.Sprint(operation, ", conditional ", conditionally), func(t *testing.T) {
				inVirtualTime(t, func(t *testing.T, w *fixture) {
					if !conditionally {
						w.m.store = conditional(plainStore{w.fakeStore})
					}
					data := []byte(newerRows()["members of other types"])
					require.NoError(t, w.fakeStore.Save(ctx, rowOf("jo"), data, 7, 100*24*time.Hour))
					err := do(w, visitor("jo"))
					require.ErrorIs(t, err, sentinel.StoreUnavailable)
					require.NotErrorIs(t, err, sentinel.StoreCorrupt)
					assert.Equal(t, 1, strings.Count(err.Error(), string(sentinel.StoreUnavailable)), err.Error())
					assert.True(t, bytes.Equal(data, w.fakeStore.rows[rowOf("jo")].data))
				})
			})
		}
	}
}

// A newer replica takes a visitor over whom an older one has in its memory: the
// older one says so, and writes nothing over it.
func TestARowThatBecameNewerIsLeftAlone(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		newer := []byte(newerRows()["unknown members"])
		require.NoError(t, w.fakeStore.Save(t.Context(), rowOf("jo"), newer, 7, 100*24*time.Hour))
		time.Sleep(20 * time.Hour) // the refresh token is due
		err := w.m.at(v).RenewIfDue(t.Context())
		require.ErrorIs(t, err, sentinel.StoreUnavailable)
		require.NotErrorIs(t, err, sentinel.StoreCorrupt)
		time.Sleep(2 * time.Minute)
		assert.True(t, bytes.Equal(newer, w.fakeStore.rows[rowOf("jo")].data))
	})
}

type plainStore struct{ Store }

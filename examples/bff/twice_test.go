package main

import (
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var addressPath = regexp.MustCompile(`/account/addresses/[0-9a-f]+`)

var josProfile = []string{"firstName", "Joanna", "lastName", "Marsh", "version", "1"}

func TestASecondClickOnSaveHasSaved(t *testing.T) {
	v := open(t).visitor(t)
	v.logIn("jo@example.com")
	require.Equal(t, "/account?done=profile", v.post("/account/profile", josProfile...).where)
	assert.Equal(t, "/account?done=profile", v.post("/account/profile", josProfile...).where)

	home := addressPath.FindString(v.get("/account/addresses").body)
	moved := []string{"contactName", "Jo", "street", "Quay", "zipCode", "1", "city", "Kiel", "country", "DE", "version", "1"}
	require.Equal(t, "/account/addresses?done=address-saved", v.post(home, moved...).where)
	assert.Equal(t, "/account/addresses?done=address-saved", v.post(home, moved...).where)

	other := append([]string{"city", "Bonn"}, moved[:6]...)
	got := v.post(home, append(other, "country", "DE", "version", "1")...)
	assert.Equal(t, http.StatusConflict, got.status)
	assert.Contains(t, got.body, `<td data-label="Saved meanwhile">Kiel</td>`)
}

// inBetween does something just before the first request for a change of an address.
type inBetween struct {
	http.RoundTripper
	done atomic.Bool
	do   func()
}

func (b *inBetween) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/addresses/") {
		if b.done.CompareAndSwap(false, true) {
			b.do()
		}
	}
	return b.RoundTripper.RoundTrip(r)
}

func TestAChangeJustBeforeOnesOwnIsShownAsItIs(t *testing.T) {
	meanwhile := &inBetween{RoundTripper: http.DefaultTransport}
	p := open(t, emporix.WithTransport(meanwhile))
	first, second := p.visitor(t), p.visitor(t)
	first.logIn("jo@example.com")
	second.logIn("jo@example.com")
	home := addressPath.FindString(first.get("/account/addresses").body)
	save := func(v *visitor, city string) seen {
		return v.post(home, "contactName", "Jo", "street", "Quay", "zipCode", "1", "city", city, "country", "DE", "version", "1")
	}
	meanwhile.do = func() { assert.Equal(t, "/account/addresses?done=address-saved", save(second, "Kiel").where) }
	got := save(first, "Bonn")
	assert.Equal(t, http.StatusConflict, got.status)
	assert.Contains(t, got.body, `<td data-label="Saved meanwhile">Kiel</td>`)
	assert.NotContains(t, got.body, `name="version" value="1"`, "the next click saves")
}

func TestAFormOfAnAddressOpenedAsAPageLeadsBack(t *testing.T) {
	v := open(t).visitor(t)
	assert.Equal(t, "/login?next=%2Faccount%2Faddresses%2F1&done=please-log-in", v.get("/account/addresses/1/tags").where)
	v.logIn("jo@example.com")
	home := addressPath.FindString(v.get("/account/addresses").body)
	require.Equal(t, http.StatusUnprocessableEntity, v.post(home+"/tags", "tag", "a,b").status)
	for path, want := range map[string]string{home + "/tags": home, home + "/tags/remove": home, home + "/default": "/account/addresses"} {
		got := v.get(path)
		assert.Equal(t, http.StatusOK, got.status, path)
		assert.Equal(t, want, got.where, path)
	}
	got := v.get("/account/addresses/a%2F..%2Fb/tags")
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.Equal(t, "/account/addresses/a%2F..%2Fb", got.where, "a page of this address and no other")
}

func TestALabelThatCantBeOneStaysToBeMended(t *testing.T) {
	v := open(t).visitor(t)
	v.logIn("jo@example.com")
	home := addressPath.FindString(v.get("/account/addresses").body)
	for tag, typed := range map[string]string{"": `value=""`, "a,b": `value="a,b"`, "..": `value=".."`, "a\tb": "value=\"a\tb\"", strings.Repeat("x", 41): strings.Repeat("x", 41)} {
		got := v.post(home+"/tags", "tag", tag)
		assert.Equal(t, http.StatusUnprocessableEntity, got.status, "%q", tag)
		assert.Contains(t, got.body, `id="tag-error"`, "%q", tag)
		assert.Contains(t, got.body, typed, "%q", tag)
	}
}

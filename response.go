package emporix

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/transport"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// decode reads a success.
func decode(op *operation.Operation, resp *transport.Response, into any) error {
	body, media := bytes.TrimSpace(resp.Body), contentType(resp.Header)
	err := foreignBody(body, media)
	switch {
	case err != nil:
	case into != nil:
		err = decodeInto(body, media, into)
	case wire.IsError(body):
		err = errors.New("the response is an error, with the status of a success")
	}
	if err != nil {
		return badResponse(op, resp, err)
	}
	return nil
}

// badResponse is the error of a success that can't be read. What it answers was
// probably done. A status that the API doesn't document is part of the error.
func badResponse(op *operation.Operation, resp *transport.Response, why error) error {
	if slices.Contains(op.Success, resp.Status) {
		f := &failure.Failure{Op: op, Kind: failure.KindUnreadable, Attempts: resp.Attempts, Err: why}
		return publicError(f.Judged())
	}
	f := resp.Failure(op)
	if len(bytes.TrimSpace(resp.Body)) > 0 {
		f.Err = why
	}
	return publicError(f)
}

// foreignBody refuses what another server than the API answered, with a status
// that looks like success.
func foreignBody(body []byte, media string) error {
	switch {
	case bytes.HasPrefix(body, []byte("<")), len(body) > 0 && strings.Contains(media, "html"):
		return errors.New("the response is a web page; something between here and the API answered, such as a login page or a firewall")
	case wire.IsFault(body):
		return errors.New("the response is an error of the API's gateway, with the status of a success")
	}
	return nil
}

func decodeInto(body []byte, media string, into any) error {
	switch {
	case len(body) == 0:
		return errors.New("the response is empty")
	case bytes.Equal(body, []byte("null")):
		return errors.New("the response is null")
	case body[0] == '{' && bytes.Equal(bytes.TrimSpace(body[1:]), []byte("}")):
		return errors.New("the response is {}")
	case wire.Decode(body, into) != nil:
		return fmt.Errorf("the response is not the JSON that the API promises (%d bytes of %s)", len(body), media)
	}
	if resp, ok := into.(interface{ tidy() }); ok {
		resp.tidy()
	}
	if resp, ok := into.(interface{ missing() string }); ok {
		if what := resp.missing(); what != "" {
			return fmt.Errorf("the response is not what the API promises: %s", what)
		}
	}
	return nil
}

// missing tells a profile from JSON of another shape, which decodes into any struct: a
// profile has at least one of the members that say who the customer is.
func (in *customerResponse) missing() string {
	if in.ID == "" && in.CustomerNumber == "" && in.ContactEmail == "" && in.FirstName == "" && in.LastName == "" && len(in.Accounts) == 0 {
		return "it says nothing about a customer"
	}
	return ""
}

// missing takes an address without an ID: a list of them is no less usable.
func (a *Address) missing() string {
	if a.ID == "" && reflect.ValueOf(*a).IsZero() {
		return "it has no member of an address"
	}
	return ""
}

// addressList is the response of Addresses.List.
type addressList []Address

// missing tells a list of other things, which tidy has emptied, from an empty list.
func (l *addressList) missing() string {
	if len(*l) == 0 && cap(*l) > 0 {
		return "it has no member of an address"
	}
	return ""
}

// tidy drops list elements that were null or of another shape.
func (in *customerResponse) tidy() {
	in.Accounts = slices.DeleteFunc(in.Accounts, func(a Account) bool { return a == Account{} })
	in.B2B.LegalEntities = slices.DeleteFunc(in.B2B.LegalEntities, func(e LegalEntity) bool { return e == LegalEntity{} })
	(*addressList)(&in.Addresses).tidy()
	if in.DefaultAddress != nil {
		in.DefaultAddress.tidy()
	}
}

func (a *Address) tidy() {
	a.Tags = slices.DeleteFunc(a.Tags, func(tag string) bool { return tag == "" })
}

func (l *addressList) tidy() {
	*l = slices.DeleteFunc(*l, func(a Address) bool { return a.missing() != "" })
	for i := range *l {
		(*l)[i].tidy()
	}
}

func (d *TokenDetails) missing() string {
	if d.TokenType == "" && d.ExpiresIn == 0 && d.Scopes == nil && d.SessionID == "" && d.Email == "" && d.LegalEntityID == "" {
		return "it says nothing about a token"
	}
	return ""
}

func contentType(h http.Header) string {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	media = strings.TrimSpace(media)
	if media == "" || headerText(media, 64) != "" {
		return "unknown type"
	}
	return media
}

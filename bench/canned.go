package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

const (
	tenant   = "acme"
	clientID = "storefront"
)

// profileJSON is a business customer's profile of 700 bytes.
var profileJSON = []byte(`{"id":"13869000","customerNumber":"13869000","title":"MRS","firstName":"Johanna","middleName":"Marie-Luise","lastName":"Bergmann",` +
	`"contactEmail":"johanna.bergmann@example.com","contactPhone":"+49 711 5550142","company":"Bergmann Werkzeugbau GmbH",` +
	`"preferredLanguage":"de","preferredCurrency":"EUR","preferredSite":"main","accounts":[{"id":"johanna.bergmann@example.com"}],` +
	`"businessModel":"B2B","b2b":{"companyRegistrationId":"123-456-789","legalEntities":[{"id":"D165356","name":"Bergmann Werkzeugbau","contactAssignmentId":"D436432"}]},` +
	`"mixins":{"loyalty":{"level":3,"points":1200}},"metadata":{"version":4,"mixins":{"loyalty":"https://example.com/loyalty.json"}},"lastLogin":"2026-03-02T09:41:07Z"}`)

// addressesJSON is a list of 50 addresses, 20 KB.
var addressesJSON = func() []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range 50 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"66f1c0de5d2e4b%010d","contactName":"Johanna Bergmann","companyName":"Bergmann Werkzeugbau GmbH","street":"Industriestrasse","streetNumber":"%d",`+
			`"zipCode":"70565","city":"Stuttgart","country":"DE","state":"Baden-Wuerttemberg","contactPhone":"+49 711 5550142",`+
			`"isDefault":%t,"tags":["BILLING","SHIPPING"],"metadata":{"version":1},"mixins":{"delivery":{"floor":2,"note":"Anlieferung bis 16 Uhr"}}}`, i, 100+i, i == 0)
	}
	b.WriteByte(']')
	return b.Bytes()
}()

// Lengths as the API has them: opaque tokens of 32 characters, a SaaS token of
// 200 and a session ID of 36.
var (
	accessToken = strings.Repeat("aB3", 11)[:32]
	anonJSON    = `{"access_token":"` + strings.Repeat("nO7", 11)[:32] + `","refresh_token":"` + strings.Repeat("nR7", 11)[:32] +
		`","expires_in":3599,"refresh_token_expires_in":86399,"token_type":"Bearer","sessionId":"` + sessionID + `"}`
	customerJSON = `{"access_token":"` + accessToken + `","refresh_token":"` + strings.Repeat("cR5", 11)[:32] + `","saas_token":"` + strings.Repeat("sT9_", 50) +
		`","expires_in":2591999,"refresh_token_expires_in":2591999,"token_type":"Bearer","session_id":"` + sessionID + `"}`
)

const sessionID = "0d3c61a2-8b0f-4a51-9a35-6f1d7c2b9e40"

// answerFor is the whole API, as far as the benchmarks go.
func answerFor(path string) (status int, body []byte) {
	switch {
	case strings.HasSuffix(path, "/me"):
		return http.StatusOK, profileJSON
	case strings.HasSuffix(path, "/me/addresses"):
		return http.StatusOK, addressesJSON
	case strings.HasSuffix(path, "/anonymous/login"), strings.HasSuffix(path, "/refreshauthtoken"):
		return http.StatusOK, []byte(anonJSON)
	case strings.HasSuffix(path, "/login"):
		return http.StatusOK, []byte(customerJSON)
	}
	return http.StatusNotFound, []byte(`{"status":404,"code":"NOT_FOUND","message":"not found"}`)
}

// canned is a network without a network: what a call costs over it is what the
// client costs.
type canned struct{}

func (canned) RoundTrip(req *http.Request) (*http.Response, error) {
	status, body := answerFor(req.URL.Path)
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"4bf92f3577b34da6"}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: req,
	}, nil
}

// handler is the same over a socket.
func handler(w http.ResponseWriter, req *http.Request) {
	status, body := answerFor(req.URL.Path)
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// loggedIn returns a client whose own session is a customer's, as everybody
// gets it: retries, deadlines, secrets bound late.
func loggedIn(opts ...emporix.Option) (*emporix.Client, error) {
	client, err := emporix.NewClient(tenant, clientID, opts...)
	if err != nil {
		return nil, err
	}
	return client, asCustomer(client.DefaultSession())
}

func closeClient(client *emporix.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = client.Close(ctx)
}

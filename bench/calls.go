package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/oauth2"

	emporix "github.com/emporix-community/emporix-go"
)

// callSides are the ways to make one call; the first is ours, the second the
// yardstick.
type callSides struct {
	sides []side
	names []string
	close func()
}

// profileCanned is Customers.Get over a canned network, beside net/http by hand
// and two libraries under the same hand-written code.
func profileCanned() (callSides, error) {
	client, err := loggedIn(emporix.WithTransport(canned{}))
	if err != nil {
		return callSides{}, err
	}
	byHand := &handwritten{client: &http.Client{Transport: canned{}}, baseURL: emporix.DefaultBaseURL, token: accessToken}
	withOAuth := *byHand
	withOAuth.client = oauth2.NewClient(
		context.WithValue(context.Background(), oauth2.HTTPClient, byHand.client),
		oauth2.StaticTokenSource(&oauth2.Token{AccessToken: accessToken}))
	retrying := retryablehttp.NewClient()
	retrying.Logger, retrying.HTTPClient = nil, byHand.client
	withRetries := *byHand
	withRetries.client = retrying.StandardClient()
	return callSides{
		sides: []side{calls(sdkProfile(client)), calls(profileBy(byHand)), calls(profileBy(&withOAuth)), calls(profileBy(&withRetries))},
		names: []string{"emporix", "net-http", "oauth2-transport", "go-retryablehttp"},
		close: func() { closeClient(client) },
	}, nil
}

// addressesCanned is Addresses.List with 50 addresses.
func addressesCanned() (callSides, error) {
	client, err := loggedIn(emporix.WithTransport(canned{}))
	if err != nil {
		return callSides{}, err
	}
	byHand := &handwritten{client: &http.Client{Transport: canned{}}, baseURL: emporix.DefaultBaseURL, token: accessToken}
	ours := func() error {
		list, err := client.Addresses.List(context.Background())
		return wrong(err, len(list) == 50)
	}
	theirs := func() error {
		list, err := byHand.addresses(context.Background())
		return wrong(err, len(list) == 50)
	}
	return callSides{
		sides: []side{calls(ours), calls(theirs)}, names: []string{"emporix", "net-http"},
		close: func() { closeClient(client) },
	}, nil
}

// profileLoopback is Customers.Get over a socket, one caller, each side with
// the transport that it would have by itself.
func profileLoopback() (callSides, error) {
	server := httptest.NewServer(http.HandlerFunc(handler))
	client, err := loggedIn(emporix.WithBaseURL(server.URL))
	if err != nil {
		server.Close()
		return callSides{}, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	byHand := &handwritten{client: &http.Client{Transport: transport}, baseURL: server.URL, token: accessToken}
	return callSides{
		sides: []side{calls(sdkProfile(client)), calls(profileBy(byHand))}, names: []string{"emporix", "net-http"},
		close: func() {
			closeClient(client)
			transport.CloseIdleConnections()
			server.Close()
		},
	}, nil
}

func sdkProfile(client *emporix.Client) func() error {
	return func() error {
		p, err := client.Customers.Get(context.Background())
		return wrong(err, err == nil && p.LastName == "Bergmann" && !p.LastLogin.IsZero())
	}
}

func profileBy(h *handwritten) func() error {
	return func() error {
		p, err := h.profile(context.Background())
		return wrong(err, p.LastName == "Bergmann" && !p.LastLogin.IsZero())
	}
}

var errWrong = errors.New("the answer is not what was asked for")

// wrong makes sure that what is measured works.
func wrong(err error, ok bool) error {
	if err == nil && !ok {
		return errWrong
	}
	return err
}

// callRows measures rows 1 to 3.
func callRows(cfg config) ([]row, error) {
	get, err := measureCalls(cfg, profileCanned)
	if err != nil {
		return nil, fmt.Errorf("profile, canned: %w", err)
	}
	list, err := measureCalls(cfg, addressesCanned)
	if err != nil {
		return nil, fmt.Errorf("addresses, canned: %w", err)
	}
	loop, err := measureCalls(cfg, profileLoopback)
	if err != nil {
		return nil, fmt.Errorf("profile, loopback: %w", err)
	}
	rows := []row{
		counted("1", "Customers.Get, canned: allocations", get, allocs, 0.96, count),
		counted("1", "Customers.Get, canned: bytes", get, byteCount, 0.70, size),
		counted("2", "Addresses.List, 50, canned: allocations", list, allocs, 1.00, count),
		counted("2", "Addresses.List, 50, canned: bytes", list, byteCount, 0.50, size),
		timed("3", "Customers.Get, canned: time", get, wallTime, 1.00),
		timed("3", "Addresses.List, 50, canned: time", list, wallTime, 1.00),
		timed("3", "Customers.Get, loopback: time", loop, wallTime, 1.02),
	}
	if cpuTime() > 0 {
		rows = append(rows,
			timed("3", "Customers.Get, canned: CPU", get, usedCPU, 1.00),
			timed("3", "Addresses.List, 50, canned: CPU", list, usedCPU, 1.00),
			timed("3", "Customers.Get, loopback: CPU, with the server's", loop, usedCPU, 1.02))
	}
	for i, name := range get.names {
		if i >= 2 { // other libraries, for information
			other := measured{results: []results{get.results[i], get.results[1]}}
			rows = append(rows,
				informative(counted("", "by hand over "+name+": allocations", other, allocs, 0, count)),
				informative(timed("", "by hand over "+name+": time", other, wallTime, 0)))
		}
	}
	return rows, nil
}

type measured struct {
	results []results
	names   []string
}

func measureCalls(cfg config, open func() (callSides, error)) (measured, error) {
	c, err := open()
	if err != nil {
		return measured{}, err
	}
	defer c.close()
	r, err := paired(cfg, c.sides...)
	return measured{r, c.names}, err
}

func counted(goal, what string, m measured, of metric, limit float64, unit func(float64) string) row {
	ours, base := m.results[0].least(of), m.results[1].least(of)
	return compared(goal, what, ours, base, ours/base, limit, unit)
}

func timed(goal, what string, m measured, of metric, limit float64) row {
	ours, base := m.results[0], m.results[1]
	return compared(goal, what, ours.median(of), base.median(of), ours.ratio(base, of), limit, lasting)
}

func informative(r row) row {
	r.limit, r.verdict = "", noLimit
	return r
}

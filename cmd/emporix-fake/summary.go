package main

import (
	"fmt"
	"io"
	"regexp"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// tenantRule is the API's own rule for names of tenants.
var tenantRule = regexp.MustCompile(`^[a-z][a-z0-9]{2,15}$`)

// printSummary shows the backend's secret too: it is no secret of anybody, and
// a client needs it.
func printSummary(w io.Writer, baseURL string, cfg emporixfake.Config, anyTenant bool) {
	control := baseURL + "/__fake"
	if anyTenant {
		control += "/tenants/" + cfg.Tenant
	}
	customers := fmt.Sprintf("%d from the seed", len(cfg.Seed.Customers))
	switch {
	case len(cfg.Seed.Customers) == 0:
		customers = "none"
	case cfg.Seed.Customers[0].Email == sample.Email && cfg.Seed.Customers[0].Password == sample.Password && len(cfg.Seed.Customers) == 1:
		customers = sample.Email + ", password " + sample.Password
	}
	fmt.Fprintf(w, `emporix-fake is listening on %s

For a client, export:

export EMPORIX_API_HOST=%s
export EMPORIX_TENANT=%s
export EMPORIX_API_CREDENTIALS_STOREFRONT_CLIENT_ID=%s
export EMPORIX_API_CREDENTIALS_BACKEND_CLIENT_ID=%s
export EMPORIX_API_CREDENTIALS_BACKEND_SECRET=%s

Control interface:  %s/   (a page in a browser, and a list for programs)
Mails:              curl %s/outbox
Move the clock:     curl -d '{"advance":"31d"}' %s/clock
Customers:          %s

`, baseURL, baseURL, quoted(cfg.Tenant), quoted(cfg.ClientID), quoted(cfg.BackendClientID), quoted(cfg.BackendSecret),
		control, control, control, customers)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_.,:/@%+=-]+$`)

// quoted makes a value one word of a shell.
func quoted(value string) string {
	if plainWord.MatchString(value) {
		return value
	}
	word := "'"
	for _, r := range value {
		if r == '\'' {
			word += `'\''`
			continue
		}
		word += string(r)
	}
	return word + "'"
}

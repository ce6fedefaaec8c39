package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// startFake runs a fake tenant with a few customers on a loopback port of its
// own, and answers its address.
func startFake(ctx context.Context, byEmployee bool, lives emporixfake.Lifetimes) (cfg emporixfake.Config, base string, err error) {
	assumptions := emporixfake.DefaultAssumptions()
	assumptions.DoubleOptIn = !byEmployee
	fake := emporixfake.New(emporixfake.Config{Assumptions: &assumptions, Seed: seed(), Lifetimes: lives})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return cfg, "", err
	}
	server := &http.Server{ // the fake bounds bodies itself
		Handler: fake, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 60 << 10,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return fake.Config(), "http://" + listener.Addr().String(), nil
}

const seedPassword = "correct horse" // of every seeded customer

func seed() emporixfake.Seed {
	return emporixfake.Seed{
		Customers: []emporixfake.Customer{
			{Email: "jo@example.com", Password: seedPassword, FirstName: "Jo", LastName: "Marsh", ContactPhone: "+49 30 5550123",
				PreferredLanguage: "en", PreferredCurrency: "EUR", Addresses: []map[string]any{
					{"contactName": "Jo Marsh", "street": "Lindenallee", "streetNumber": "12", "zipCode": "10115", "city": "Berlin", "country": "DE", "tags": []string{"SHIPPING", "BILLING"}},
					{"contactName": "Jo Marsh", "companyName": "Boathouse No. 4", "street": "Hafenweg", "streetNumber": "3a", "zipCode": "18055", "city": "Rostock", "country": "DE", "tags": []string{"SUMMER"}},
				}},
			{Email: "bea@example.com", Password: seedPassword, FirstName: "Bea", LastName: "Okafor", Company: "Okafor Interiors",
				CompanyRegistrationID: "HRB 40121", PreferredCurrency: "EUR"},
			{Email: "ines@example.com", Password: seedPassword, FirstName: "Ines", LastName: "Costa", InitialPassword: true},
		},
		Companies: []emporixfake.Company{
			{ID: "okafor-interiors", Name: "Okafor Interiors GmbH", Contacts: []emporixfake.Contact{{Email: "bea@example.com"}}},
			{ID: "okafor-retail", Name: "Okafor Retail BV", Contacts: []emporixfake.Contact{{Email: "bea@example.com"}}},
		},
	}
}

package emporixfake

import (
	"fmt"
	"math"
	"time"
)

// Config describes the tenant that a [Server] plays. The zero value works.
type Config struct {
	Tenant          string // "acme" if empty
	ClientID        string // the storefront's client ID; "storefront" if empty
	BackendClientID string // for POST /oauth/token; "backend" if empty
	BackendSecret   string // "backend-secret-for-tests" if empty

	Lifetimes Lifetimes

	// Assumptions are the answers to what the vendor does not document; nil
	// means DefaultAssumptions.
	Assumptions *Assumptions

	// Seed is the state to start with, and to go back to on Reset.
	Seed Seed

	// ControlHosts are names under which the control interface answers beside the
	// loopback addresses and the address that it listens on, such as the fake's name
	// in a network of containers.
	ControlHosts []string

	// Now is the clock, time.Now if nil. Advance adds to it.
	Now func() time.Time
}

// MaxLifetime is the longest that anything the fake issues can be valid: what
// 32 bits of seconds hold, as clients in other languages read them.
const MaxLifetime = math.MaxInt32 * time.Second

// Lifetimes says how long what the fake issues is valid, at most MaxLifetime.
// Zero values are the documented lifetimes. Answers carry them in whole seconds.
type Lifetimes struct {
	Anonymous        time.Duration // 3599 s
	AnonymousRefresh time.Duration // 86399 s
	Customer         time.Duration // 2591999 s
	CustomerRefresh  time.Duration // 86399 s
	Exchange         time.Duration // 14399 s
	ExchangeRefresh  time.Duration // 15551999 s
	Employee         time.Duration // 14399 s
	Mail             time.Duration // tokens sent by mail; 24 h, assumed
}

// session_idle_time of the answers that carry one, in seconds, as in the
// vendor's examples. The fake does not enforce it.
const (
	socialIdleSeconds   = 3600
	exchangeIdleSeconds = 120
)

func (c Config) withDefaults() Config {
	setDefault(&c.Tenant, "acme")
	setDefault(&c.ClientID, "storefront")
	setDefault(&c.BackendClientID, "backend")
	setDefault(&c.BackendSecret, "backend-secret-for-tests")
	l := &c.Lifetimes
	setDefault(&l.Anonymous, 3599*time.Second)
	setDefault(&l.AnonymousRefresh, 86399*time.Second)
	setDefault(&l.Customer, 2591999*time.Second)
	setDefault(&l.CustomerRefresh, 86399*time.Second)
	setDefault(&l.Exchange, 14399*time.Second)
	setDefault(&l.ExchangeRefresh, 15551999*time.Second)
	setDefault(&l.Employee, 14399*time.Second)
	setDefault(&l.Mail, 24*time.Hour)
	for _, life := range []time.Duration{
		l.Anonymous, l.AnonymousRefresh, l.Customer, l.CustomerRefresh, l.Exchange, l.ExchangeRefresh, l.Employee, l.Mail,
	} {
		if life < 0 || life > MaxLifetime {
			panic(fmt.Sprintf("emporixfake: a lifetime of %s; it must be positive, and at most %s", life, MaxLifetime))
		}
	}
	if c.Assumptions == nil {
		assumptions := DefaultAssumptions()
		c.Assumptions = &assumptions
	}
	c.Assumptions = c.Assumptions.withStatuses()
	if c.Now == nil {
		c.Now = time.Now
	}
	return c.clone()
}

// clone shares nothing with c that could be changed.
func (c Config) clone() Config {
	assumptions := *c.Assumptions
	c.Assumptions = &assumptions
	c.Seed = c.Seed.clone()
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

package main

import (
	"context"

	emporix "github.com/emporix-community/emporix-go"
)

// cleanUp undoes what the API lets a customer undo.
func (s *story) cleanUp(ctx context.Context) {
	s.out.chapter("Cleaning up")
	for _, p := range []*person{s.jo, s.kim, s.sam, s.alex} {
		info, err := p.Info(ctx)
		if err != nil || info.Kind != emporix.SessionCustomer || info.Expired {
			continue
		}
		if p == s.jo {
			s.deleteAddresses(ctx, p)
		}
		s.step(ctx, "Auth.Logout", func() (string, error) { return p.email, p.Auth.Logout(ctx) })
	}
}

func (s *story) deleteAddresses(ctx context.Context, p *person) {
	var list []emporix.Address
	s.step(ctx, "Addresses.List", func() (_ string, err error) {
		list, err = p.Addresses.List(ctx)
		return addresses(len(list)) + " left", err
	})
	for _, a := range list {
		s.step(ctx, "Addresses.Delete", func() (string, error) {
			return "address " + a.ID, p.Addresses.Delete(ctx, a.ID)
		})
	}
}

// leftBehind names what stays.
func (s *story) leftBehind() []string {
	var left []string
	for _, p := range []*person{s.jo, s.kim, s.sam, s.alex} {
		if p.account != "" {
			left = append(left, "left behind, as no customer can delete it: "+p.account)
		}
	}
	return left
}

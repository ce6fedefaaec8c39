package main

import (
	"context"
	"crypto/rand"
	"fmt"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// comeFromElsewhere logs people in whom an identity provider knows. A shop gets
// the code with the redirect from there, and the token from its own backend.
func (s *story) comeFromElsewhere(ctx context.Context) {
	s.out.chapter("Sam and Alex come from an identity provider")
	sam, alex := s.sam, s.alex

	code, verifier := rand.Text(), rand.Text()
	missing := s.fake.addSocialIdentity(ctx, code, emporixfake.Identity{
		Email: sam.email, FirstName: "Sam", LastName: "Roe", CodeVerifier: verifier,
	})
	s.stepGiven(ctx, missing, "Auth.SocialLogin", func() (string, error) {
		result, err := sam.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{
			Code: code, RedirectURI: "https://shop.example.com/callback", CodeVerifier: verifier,
		})
		if err != nil {
			return "", err
		}
		sam.account = "the account " + sam.email
		return fmt.Sprintf("logged in, may be idle for %s; %s", span(result.SessionIdleTime), cart(&result.LoginResult)), nil
	})

	token := rand.Text()
	missing = s.fake.addSubjectToken(ctx, emporixfake.Subject{
		Token: token, Identity: emporixfake.Identity{Email: alex.email, FirstName: "Alex", LastName: "Poe"},
	})
	s.stepGiven(ctx, missing, "Auth.ExchangeToken", func() (string, error) {
		result, err := alex.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: token})
		if err != nil {
			return "", err
		}
		alex.account = "the account " + alex.email
		return "logged in; " + cart(&result.LoginResult), nil
	})
}

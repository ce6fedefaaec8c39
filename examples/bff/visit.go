package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"sync"

	emporix "github.com/emporix-community/emporix-go"
)

// visits stands in for package bff.
type visits struct {
	client *emporix.Client
	social social

	mu    sync.Mutex
	known map[string]*pending
}

type pending struct{ state, verifier, next string }

type social struct{ authorize, clientID, callback string }

type visit struct {
	b  *visits
	w  http.ResponseWriter
	id string
}

type visitKey struct{}

const cookieName = "shop"

func newVisits(client *emporix.Client, so social) *visits {
	return &visits{client: client, social: so, known: map[string]*pending{}}
}

func (b *visits) Handler(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{b: b, w: w}
		if c, err := r.Cookie(cookieName); err == nil {
			b.mu.Lock()
			if b.known[c.Value] != nil {
				v.id = c.Value
			}
			b.mu.Unlock()
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	}))
}

func visitOf(r *http.Request) *visit { return r.Context().Value(visitKey{}).(*visit) }

func (v *visit) fresh() string {
	id := rand.Text()
	v.b.mu.Lock()
	v.b.known[id] = &pending{}
	v.b.mu.Unlock()
	http.SetCookie(v.w, &http.Cookie{Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return id
}

func key(id string) string { sum := sha256.Sum256([]byte(id)); return hex.EncodeToString(sum[:]) }

func (v *visit) Session() *emporix.Session {
	if v.id == "" {
		v.id = v.fresh()
	}
	return v.b.client.Session(key(v.id))
}

func (v *visit) move(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	id := v.fresh()
	if _, err := v.Session().MoveTo(ctx, key(id)); err != nil {
		return err
	}
	v.id = id
	return nil
}

func (v *visit) Login(ctx context.Context, req emporix.LoginRequest) (*emporix.LoginResult, error) {
	res, err := v.Session().Auth.Login(ctx, req)
	return res, v.move(ctx, err)
}

func (v *visit) ConfirmSignUp(ctx context.Context, token string) (*emporix.LoginResult, error) {
	res, err := v.Session().Customers.ConfirmSignUp(ctx, token)
	return res, v.move(ctx, err)
}

func (v *visit) Logout(ctx context.Context) error {
	err := v.Session().Auth.Logout(ctx)
	v.id = v.fresh()
	return err
}

func (v *visit) LogoutEverywhere(ctx context.Context) error { return v.Logout(ctx) }

func (v *visit) SwitchLegalEntity(ctx context.Context, id string) error {
	_, err := v.Session().Auth.SwitchLegalEntity(ctx, id)
	return v.move(ctx, err)
}

func (v *visit) ChangePassword(ctx context.Context, req emporix.ChangePasswordRequest) error {
	return v.move(ctx, v.Session().Credentials.ChangePassword(ctx, req))
}

// BeginSocialLogin answers where to send the visitor.
func (v *visit) BeginSocialLogin(ctx context.Context, next string) (string, error) {
	v.Session()
	p := &pending{state: rand.Text(), verifier: rand.Text() + rand.Text(), next: next}
	v.b.mu.Lock()
	v.b.known[v.id] = p
	v.b.mu.Unlock()
	sum := sha256.Sum256([]byte(p.verifier))
	return v.b.social.authorize + "?" + url.Values{
		"response_type": {"code"}, "client_id": {v.b.social.clientID}, "redirect_uri": {v.b.social.callback}, "state": {p.state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), nil
}

var errState = errors.New("the social login was not begun here")

func (v *visit) FinishSocialLogin(ctx context.Context, query url.Values) (next string, err error) {
	v.Session()
	v.b.mu.Lock()
	p := v.b.known[v.id]
	v.b.known[v.id] = &pending{}
	v.b.mu.Unlock()
	if p.state == "" || p.state != query.Get("state") {
		return "", errState
	}
	_, err = v.Session().Auth.SocialLogin(ctx, emporix.SocialLoginRequest{
		Code: query.Get("code"), RedirectURI: v.b.social.callback, CodeVerifier: p.verifier,
	})
	return p.next, v.move(ctx, err)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
)

const (
	password = "correct horse"
	whoPath  = "/fleet/who" // says whose bearer it got
)

// tokenServer is the fake, and a list of every token that it issues.
type tokenServer struct {
	fake   *emporixfake.Server
	server *http.Server
	url    string

	mu      sync.Mutex
	access  map[string]access
	refresh map[string]*generation
	calls   int
}

type access struct {
	owner string
	until time.Time
}

// generation is one refresh token, and what became of it.
type generation struct {
	owner    string // the session's ID, or the customer's e-mail address
	redeemed int    // with success
	refused  int    // because it was not good any more
	unread   int    // because the bearer beside it was not: it may be sent again
	uses     []use
}

type use struct {
	by     string // the replica
	at     time.Time
	served bool
}

func openTokenServer(ctx context.Context, s settings) (*tokenServer, error) {
	rules := emporixfake.DefaultAssumptions()
	rules.AnonymousRefreshRotates, rules.CustomerRefreshRotates = true, true
	rules.ReuseKillsFamily, rules.RotationGrace = true, s.grace
	o := &tokenServer{
		fake: emporixfake.New(emporixfake.Config{Assumptions: &rules, Lifetimes: emporixfake.Lifetimes{
			Anonymous: s.life, Customer: s.life, AnonymousRefresh: 10 * time.Minute, CustomerRefresh: 10 * time.Minute,
		}}),
		access: map[string]access{}, refresh: map[string]*generation{},
	}
	for i := 1; i < s.visitors; i += 2 {
		if _, err := o.fake.AddCustomer(emporixfake.Customer{Email: email(i), Password: password, FirstName: fmt.Sprint("Visitor ", i)}); err != nil {
			return nil, err
		}
	}
	for _, op := range []string{"Auth.RefreshAnonymous", "Auth.Refresh"} {
		if err := o.fake.Fail(emporixfake.Fault{Operation: op, Times: -1, Delay: s.delay}); err != nil {
			return nil, err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o.url = "http://" + listener.Addr().String()
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 60 << 10}
	go func() { _ = o.server.Serve(listener) }() // ends with close
	return o, nil
}

func (o *tokenServer) close() { _ = o.server.Close() }

func email(i int) string { return fmt.Sprintf("visitor%d@example.com", i) }

// responseCopy keeps a response for the list while it goes out.
type responseCopy struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (k *responseCopy) WriteHeader(status int) {
	k.status = status
	k.ResponseWriter.WriteHeader(status)
}

func (k *responseCopy) Write(data []byte) (int, error) {
	k.body.Write(data)
	return k.ResponseWriter.Write(data)
}

// ServeHTTP is the fake's; it writes the tokens down before it sends them.
func (o *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == whoPath {
		o.who(w, r)
		return
	}
	query := r.URL.Query()
	sent := query.Get("refresh_token") + query.Get("refreshToken")
	owner := o.loginName(r)
	keep := &responseCopy{ResponseWriter: w, status: http.StatusOK}
	o.fake.ServeHTTP(keep, r)

	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	if old := o.refresh[sent]; old != nil {
		owner = old.owner
		done := use{by: replicaOf(r), at: time.Now(), served: keep.status == http.StatusOK}
		old.uses = append(old.uses, done)
		switch {
		case done.served:
			old.redeemed++
		case strings.Contains(keep.body.String(), `"fault"`): // about the bearer beside it
			old.unread++
		default:
			old.refused++
		}
	}
	if keep.status == http.StatusOK {
		o.note(owner, keep.body.Bytes())
	}
}

// note writes the tokens of an answer down.
func (o *tokenServer) note(owner string, body []byte) {
	var token struct {
		Access, Refresh, Session string
		Life                     json.Number
	}
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&fields) != nil {
		return
	}
	for name, value := range fields {
		text := fmt.Sprint(value)
		switch strings.ReplaceAll(strings.ToLower(name), "_", "") {
		case "accesstoken":
			token.Access = text
		case "refreshtoken":
			token.Refresh = text
		case "sessionid":
			token.Session = text
		case "expiresin":
			token.Life = json.Number(text)
		}
	}
	if owner == "" {
		owner = token.Session
	}
	if token.Access == "" || owner == "" {
		return
	}
	life, _ := token.Life.Int64()
	o.access[token.Access] = access{owner: owner, until: time.Now().Add(time.Duration(life) * time.Second)}
	if token.Refresh != "" && o.refresh[token.Refresh] == nil {
		o.refresh[token.Refresh] = &generation{owner: owner}
	}
}

// loginName returns who logs in, "" if nobody does, and leaves the body as it was.
func (o *tokenServer) loginName(r *http.Request) string {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/login") {
		return ""
	}
	var in struct{ Email string }
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	_ = json.Unmarshal(body.Bytes(), &in)
	r.Body = http.NoBody
	if body.Len() > 0 {
		r.Body = readCloser{bytes.NewReader(body.Bytes())}
	}
	return in.Email
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// who answers with the owner of the bearer.
func (o *tokenServer) who(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	found := o.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	o.mu.Unlock()
	if found.owner == "" || time.Now().After(found.until) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"fault":{"faultstring":"Access Token expired","detail":{"errorcode":"keymanagement.service.access_token_expired"}}}`))
		return
	}
	_, _ = w.Write([]byte(found.owner))
}

// replicaOf reads the name that each replica puts into its User-Agent.
func replicaOf(r *http.Request) string {
	_, name, _ := strings.Cut(r.UserAgent(), " ")
	return name
}

// Package simplejwt is the dialect of djangorestframework-simplejwt 5.5.1:
// pairs of signed tokens, and sliding ones, by the endpoints and in the words
// that its clients know (rest_framework_simplejwt: views.py, serializers.py,
// tokens.py, exceptions.py).
//
// Tokens of this dialect are the core's: the package says by which names they
// carry what ([Shape]), and which rules its settings make for their families.
// It does not look at tokens that come with other requests: they open every
// door that takes a Bearer token.
package simplejwt

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/dialect"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// DefaultPath is where the package's documentation puts its views.
const DefaultPath = "/api/token/"

// Passwords tells whom a user name and a password stand for; the service of
// the package accounts is one. It throttles attempts and writes them down.
type Passwords interface {
	Login(ctx context.Context, username string, password secret.Text) (*identity.Identity, error)
}

// Tokens makes pairs and ends them; [tokens.Service] is one.
type Tokens interface {
	IssuePair(ctx context.Context, caller *identity.Identity, r tokens.PairRequest) (tokens.Pair, error)
	RefreshPair(ctx context.Context, r tokens.RefreshRequest) (tokens.Pair, error)
	Inspect(ctx context.Context, text string) (tokens.Signed, error)
	RevokeSecret(ctx context.Context, text string) error
}

// Lives are how long tokens live. The zero value has the original's defaults.
type Lives struct {
	Access  time.Duration // default 5 minutes
	Refresh time.Duration // default a day

	Sliding        time.Duration // default 5 minutes
	SlidingRefresh time.Duration // for how long a sliding token can be renewed; default a day
}

func (l Lives) withDefaults() Lives {
	for _, d := range []struct {
		life      *time.Duration
		otherwise time.Duration
	}{{&l.Access, 5 * time.Minute}, {&l.Refresh, day}, {&l.Sliding, 5 * time.Minute}, {&l.SlidingRefresh, day}} {
		if *d.life == 0 {
			*d.life = d.otherwise
		}
	}
	return l
}

const day = 24 * time.Hour

// Options say where the endpoints are and what their tokens are like. The zero
// value is good, and the original's.
type Options struct {
	// Path is where logins go, and below it the others; default [DefaultPath].
	// All are served with and without the slash at their ends.
	Path string

	UsernameField string // by which a login names the user; default "username"

	// HeaderTypes are the schemes by which tokens are sent (AUTH_HEADER_TYPES);
	// the first is named in challenges; default "Bearer". Bearer counts at the
	// doors in any case.
	HeaderTypes []string

	Names Names
	Lives Lives

	// Leeway is how far clocks may differ, at most a minute (LEEWAY).
	Leeway time.Duration

	// Rotate gives a new refresh token at each refresh, and ends the old one
	// (ROTATE_REFRESH_TOKENS with BLACKLIST_AFTER_ROTATION).
	Rotate bool

	// Whole bounds a family that rotates, from its login to its end; 0: 30
	// days. No refreshing prolongs it.
	Whole time.Duration

	// Again is for how long a used refresh token gets the same successor once
	// more; 0: never.
	Again time.Duration
}

func (o Options) withDefaults() Options {
	if o.Path == "" {
		o.Path = DefaultPath
	}
	if o.UsernameField == "" {
		o.UsernameField = "username"
	}
	if o.Whole == 0 {
		o.Whole = 30 * day
	}
	if len(o.HeaderTypes) == 0 {
		o.HeaderTypes = []string{"Bearer"}
	}
	o.Names, o.Lives = o.Names.withDefaults(), o.Lives.withDefaults()
	return o
}

// Reloaded is what becomes of the options when others are read while the server
// runs: what tokens are like, where the endpoints are and how long keys are
// kept stays.
func (o Options) Reloaded(next Options) Options {
	o.UsernameField, o.HeaderTypes = next.UsernameField, next.HeaderTypes
	o.Rotate, o.Whole, o.Again = next.Rotate, next.Whole, next.Again
	return o
}

// Longest is the longest life of a token that is signed by these options.
func (o Options) Longest() time.Duration {
	l := o.withDefaults().Lives
	return max(l.Access, l.Refresh, l.Sliding)
}

// Handler is the endpoints.
type Handler struct {
	passwords Passwords
	tokens    Tokens
	opts      Options
	views     map[string]*dialect.View // by path
}

// New returns the endpoints.
func New(opts Options, passwords Passwords, core Tokens, log *slog.Logger) *Handler {
	h := &Handler{passwords: passwords, tokens: core, opts: opts.withDefaults(), views: map[string]*dialect.View{}}
	base := strings.TrimRight(h.opts.Path, "/")
	for path, view := range h.endpoints() {
		view.Authenticators = []dialect.Authenticator{challenge(h.opts.HeaderTypes[0])}
		view.Log = log
		for _, form := range dialect.BothSlashes(base + path) {
			h.views[form] = view
		}
	}
	return h
}

// endpoints are the views by what follows the path of logins, described to
// people in the original's words.
func (h *Handler) endpoints() map[string]*dialect.View {
	login := []dialect.Field{
		{Name: h.opts.UsernameField, Label: label(h.opts.UsernameField)},
		{Name: "password", Label: "Password"},
	}
	refresh, token := dialect.Field{Name: "refresh", Label: "Refresh"}, dialect.Field{Name: "token", Label: "Token"}
	view := func(name, description string, post dialect.Method, fields ...dialect.Field) *dialect.View {
		return &dialect.View{
			Name: name, Description: description, Fields: fields,
			Methods: map[string]dialect.Method{http.MethodPost: post},
		}
	}
	return map[string]*dialect.View{
		"": view("Token Obtain Pair",
			"Takes a set of user credentials and returns an access and refresh JSON web\ntoken pair to prove the authentication of those credentials.",
			h.obtain, login...),
		"/refresh": view("Token Refresh",
			"Takes a refresh type JSON web token and returns an access type JSON web\ntoken if the refresh token is valid.",
			h.refresh, refresh, dialect.Field{Name: "access", Label: "Access", ReadOnly: true}),
		"/verify": view("Token Verify",
			"Takes a token and indicates if it is valid.  This view provides no\ninformation about a token's fitness for a particular use.",
			h.verify, token),
		"/blacklist": view("Token Blacklist",
			"Takes a token and blacklists it. Must be used with the\n`rest_framework_simplejwt.token_blacklist` app installed.",
			h.blacklist, refresh),
		"/sliding": view("Token Obtain Sliding",
			"Takes a set of user credentials and returns a sliding JSON web token to\nprove the authentication of those credentials.",
			h.obtainSliding, login...),
		"/sliding/refresh": view("Token Refresh Sliding",
			"Takes a sliding JSON web token and returns a new, refreshed version if the\ntoken's refresh period has not expired.",
			h.refreshSliding, token),
	}
}

// label words a field's name for people as the framework does.
func label(name string) string {
	words := strings.TrimSpace(strings.ReplaceAll(name, "_", " "))
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + strings.ToLower(words[1:])
}

// Paths names the paths to serve the handler at.
func (h *Handler) Paths() []string {
	list := make([]string, 0, len(h.views))
	for path := range h.views {
		list = append(list, path)
	}
	return list
}

// ServeHTTP answers a request at one of the paths.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if view := h.views[r.URL.Path]; view != nil {
		view.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// challenge is that of the original's views, which look at no Authorization
// header: whoever sends a stale token can still log in.
type challenge string // the scheme

func (challenge) Authenticate(*http.Request) (*identity.Identity, error) { return nil, nil }
func (c challenge) Challenge() string                                    { return string(c) + ` realm="api"` }

type pair struct {
	Refresh string `json:"refresh"`
	Access  string `json:"access"`
}

// refreshed has the members in the order of the original, which is another one.
type refreshed struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh,omitempty"`
}

type single struct {
	Token string `json:"token"`
}

func (h *Handler) obtain(r *dialect.Request) (dialect.Response, error) {
	p, err := h.login(r, h.pairTerms())
	return dialect.Response{Body: pair{p.Refresh.Reveal(), p.Access.Reveal()}}, err
}

func (h *Handler) obtainSliding(r *dialect.Request) (dialect.Response, error) {
	p, err := h.login(r, h.slidingTerms())
	return dialect.Response{Body: single{p.Access.Reveal()}}, err
}

func (h *Handler) refresh(r *dialect.Request) (dialect.Response, error) {
	p, err := h.renew(r, "refresh", h.pairTerms())
	return dialect.Response{Body: refreshed{p.Access.Reveal(), p.Refresh.Reveal()}}, err
}

func (h *Handler) refreshSliding(r *dialect.Request) (dialect.Response, error) {
	p, err := h.renew(r, "token", h.slidingTerms())
	return dialect.Response{Body: single{p.Access.Reveal()}}, err
}

// verify says whether a token of any kind counts. Unlike the original it always
// knows of those that were ended, with the answer that the original has when
// it looks.
func (h *Handler) verify(r *dialect.Request) (dialect.Response, error) {
	in, err := r.Validated()
	if err != nil {
		return dialect.Response{}, err
	}
	_, err = h.tokens.Inspect(r.Context(), in["token"])
	err = h.refused(r.Context(), in["token"], err)
	if errors.Is(err, errEnded) || errors.Is(err, errNoAccount) {
		err = errEndedAtVerify
	}
	return dialect.Response{Body: struct{}{}}, err
}

// blacklist ends a refresh token, and unlike the original all that was born
// from the same login.
func (h *Handler) blacklist(r *dialect.Request) (dialect.Response, error) {
	in, err := r.Validated()
	if err != nil {
		return dialect.Response{}, err
	}
	text := in["refresh"]
	said, err := h.tokens.Inspect(r.Context(), text)
	switch err := h.refused(r.Context(), text, err); {
	case errors.Is(err, errNoAccount): // there is nothing to be kept from ending
	case err != nil:
		return dialect.Response{}, err
	}
	if said.Kind != tokens.SignedRefresh {
		return dialect.Response{}, errType
	}
	return dialect.Response{Body: struct{}{}}, h.tokens.RevokeSecret(r.Context(), text)
}

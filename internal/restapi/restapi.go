// Package restapi serves Latchkey's native REST API. It is thin: each handler
// turns a request of package api into a call of the core or of the accounts,
// and the result into an answer. What every request needs (a credential, the
// right for the route, strict reading, errors as problems) is done once, in
// [API.serve], for all routes of the table in routes.go.
package restapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Options are what the API is made of; all are needed but Now and Stopping.
type Options struct {
	Tokens      *tokens.Service
	Accounts    *accounts.Service
	SigningKeys *keyring.Service
	Audit       *audit.Log
	Chain       *auditchain.Chain
	Check       *credential.Checker
	Keys        *serverkey.Ring // seals cursors
	Doors       Doors           // explain what they decide; nil: there are none
	Log         *slog.Logger
	Realm       string           // named in challenges
	Now         func() time.Time // default time.Now

	// Stopping is closed when the server begins to stop: then answers that
	// would go on for long end too.
	Stopping <-chan struct{}
}

// API is the handler of everything under [api.Prefix].
type API struct {
	Options
	mux    *http.ServeMux
	byPath map[string]map[string]Route // by pattern and method
	origin *http.CrossOriginProtection
}

// callTime bounds how long a call may take, so that none hangs on a database.
const callTime = 30 * time.Second

// New returns the handler.
func New(opts Options) *API {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Doors == nil {
		opts.Doors = noDoors{}
	}
	byPath := map[string]map[string]Route{}
	a := &API{Options: opts, mux: http.NewServeMux(), byPath: byPath, origin: http.NewCrossOriginProtection()}
	for _, r := range Routes() {
		if byPath[r.Path] == nil {
			byPath[r.Path] = map[string]Route{}
		}
		byPath[r.Path][r.Method] = r
	}
	for path, methods := range byPath {
		a.mux.HandleFunc(api.Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			route, ok := methods[r.Method]
			if !ok {
				a.wrongMethod(w, methods)
				return
			}
			a.serve(w, r, route)
		})
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		a.fail(w, fault.NotFoundf("there is nothing at this path of the API"))
	})
	return a
}

// ServeHTTP answers a request under [api.Prefix]. Paths that are not clean
// find nothing; they are never redirected. URLs with a token in them go no
// further, so that no database and no log of one gets to see it (S69).
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, clean := scope.CleanPath(r.URL.EscapedPath()); !clean {
		a.fail(w, fault.NotFoundf("there is nothing at this path of the API"))
		return
	}
	if secret.Scrub(r.URL.RawQuery) != r.URL.RawQuery || secret.Scrub(r.URL.EscapedPath()) != r.URL.EscapedPath() {
		a.fail(w, fault.Invalidf("", "there is the secret of a token in the URL, which others can see; a token is named by its id, and revoked by its secret with POST %s/revoke", api.Prefix))
		return
	}
	a.mux.ServeHTTP(w, r)
}

// call is one request on its way through a handler.
type call struct {
	*API
	ctx    context.Context
	w      http.ResponseWriter
	r      *http.Request
	caller *identity.Identity // nil only on public routes
	query  query
}

// answer is what a handler returns when nothing went wrong. A zero status is
// 204.
type answer struct {
	status int
	body   any

	// stream, if not nil, writes the whole answer and is not bounded by the
	// time of a call. A handler that returns it has done all that can fail.
	stream func(http.ResponseWriter, *http.Request)
}

func ok(body any) (answer, error)      { return answer{status: http.StatusOK, body: body}, nil }
func created(body any) (answer, error) { return answer{status: http.StatusCreated, body: body}, nil }

func (a *API) serve(w http.ResponseWriter, r *http.Request, route Route) {
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	c := &call{API: a, ctx: ctx, w: w, r: r.WithContext(ctx)}
	result, err := c.run(route)
	if err != nil {
		a.fail(w, err)
		return
	}
	if result.stream != nil {
		result.stream(w, r)
		return
	}
	if result.status == 0 {
		web.NoStore(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return
	}
	web.WriteJSON(w, result.status, result.body)
}

func (c *call) run(route Route) (answer, error) {
	if c.origin.Check(c.r) != nil { // a page elsewhere, with credentials that the browser added (S20)
		return answer{}, c.refused(route, fault.Forbiddenf("requests from pages of another origin are not taken"))
	}
	if !route.Needs.public {
		var err error
		if c.caller, err = c.Check.Request(c.r); err != nil {
			return answer{}, err
		}
		if c.caller == nil {
			return answer{}, c.refused(route, errNoCredential)
		}
		if err := route.Needs.check(c.caller, c.r.PathValue("id")); err != nil {
			return answer{}, c.refused(route, err)
		}
	}
	var err error
	if c.query, err = parseQuery(c.r.URL.RawQuery, route.Query); err != nil {
		return answer{}, err
	}
	return route.handle(c)
}

// refused writes the event of a call that the core does not get to see (S109),
// and returns the error.
func (c *call) refused(route Route, err error) error {
	return c.Audit.Refused(c.ctx, c.Now(), c.caller, "api.call", route.Method+" "+route.Path, err)
}

// read reads the request's JSON into v.
func (c *call) read(v any) error { return web.ReadJSON(c.w, c.r, v, false) }

// readOptional is read, but an empty body will do.
func (c *call) readOptional(v any) error { return web.ReadJSON(c.w, c.r, v, true) }

var (
	errNoCredential = fault.Unauthenticatedf("a credential is needed: a token as Bearer, or a user name and password as Basic")
	errBadToken     = fault.Unauthenticatedf("the token is not valid")
)

// fail answers with a problem. A 401 comes with a challenge, which names an
// error only when a token was sent (RFC 6750 section 3).
func (a *API) fail(w http.ResponseWriter, err error) {
	challenge := `Bearer realm="` + a.Realm + `"`
	var refusal *tokens.Refusal
	if errors.As(err, &refusal) {
		err = errBadToken
		challenge += `, error="invalid_token"`
	}
	f := fault.Of(err)
	if f.Kind == fault.Forbidden && f.Missing != "" {
		w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+f.Missing+`"`)
	}
	if f.Kind == fault.Unauthenticated {
		w.Header()["Www-Authenticate"] = []string{challenge, `Basic realm="` + a.Realm + `", charset="UTF-8"`}
	}
	web.WriteProblem(w, a.Log, err)
}

func (a *API) wrongMethod(w http.ResponseWriter, methods map[string]Route) {
	allowed := make([]string, 0, len(methods))
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if _, ok := methods[m]; ok {
			allowed = append(allowed, m)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	web.WriteProblem(w, a.Log, web.ErrMethod)
}

// routeOf finds the route of a call, and the id in its path, if there is one.
func (a *API) routeOf(method, target string) (Route, string, error) {
	none := fault.Invalidf("path", "is none of this API's")
	path, _, _ := strings.Cut(target, "?")
	clean, ok := scope.CleanPath(path)
	if !ok {
		return Route{}, "", none
	}
	r := &http.Request{Method: method, URL: &url.URL{Path: clean}, Host: "supposed"}
	_, pattern := a.mux.Handler(r)
	name, ours := strings.CutPrefix(pattern, api.Prefix)
	route, known := a.byPath[name][method]
	if !ours || !known {
		return Route{}, "", none
	}
	if id, found := strings.CutPrefix(route.Path, "/tokens/{id}"); found {
		return route, strings.TrimSuffix(strings.TrimPrefix(clean, api.Prefix+"/tokens/"), id), nil
	}
	return route, "", nil
}

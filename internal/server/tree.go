package server

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/extauthz"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Paths of our own. Everything under ownPrefix is ours, whatever stands behind
// the gateway.
const (
	ownPrefix  = "/latchkey/"
	verifyPath = ownPrefix + "verify"
	alivePath  = ownPrefix + "healthz"
	readyPath  = ownPrefix + "readyz"
)

// tree chooses the handler of a request. It does not use [http.ServeMux],
// which redirects paths that it would rather have otherwise; a door must not.
type tree struct {
	exact map[string]door // by the decoded path
	api   door
	envoy door // below extauthz.Prefix
	rest  door // without a handler: nothing is behind us
	none  door // says that there is nothing
}

// ServeHTTP hands the request on.
func (t *tree) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch d, ok := t.exact[path]; {
	case strings.HasPrefix(path, extauthz.Prefix+"/"):
		t.envoy.ServeHTTP(w, r)
	case r.Method == http.MethodTrace && path != verifyPath: // S112; there the method is another request's
		t.none.ServeHTTP(w, r)
	case ok:
		d.ServeHTTP(w, r)
	case strings.HasPrefix(path, api.Prefix+"/"):
		t.api.ServeHTTP(w, r)
	case t.rest.Handler != nil && !ours(path):
		t.rest.ServeHTTP(w, r)
	default:
		t.none.ServeHTTP(w, r)
	}
}

// serve puts a door at some paths.
func (t *tree) serve(d door, paths ...string) {
	for _, path := range paths {
		t.exact[path] = d
	}
}

func ours(path string) bool {
	return strings.HasPrefix(path, ownPrefix) || path == strings.TrimSuffix(ownPrefix, "/")
}

// panicked answers a request whose handler panicked.
func (s *Server) panicked(w http.ResponseWriter, _ *http.Request) {
	web.WriteProblem(w, s.log, fault.Of(nil))
}

// nothing answers where nothing is served.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodTrace {
		web.WriteProblem(w, s.log, web.ErrMethod)
		return
	}
	web.WriteProblem(w, s.log, fault.NotFoundf("there is nothing at this path"))
}

// alive says that the process answers.
func (s *Server) alive(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "alive\n") }

// ready says whether the server does its work: the database answers, the
// change log is followed, and nobody told it to stop.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	switch {
	case s.draining.Load():
		plain(w, http.StatusServiceUnavailable, "stopping\n")
	case s.ping(ctx) != nil:
		plain(w, http.StatusServiceUnavailable, "the database does not answer\n")
	case !s.tokens.Ready():
		plain(w, http.StatusServiceUnavailable, "the change log is not being followed\n")
	default:
		plain(w, http.StatusOK, "ready\n")
	}
}

// pinged is the last answer of the database to whether it works.
type pinged struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// ping asks the database whether it works, once a second at most: it has to
// write to know.
func (s *Server) ping(ctx context.Context) error {
	s.pinged.mu.Lock()
	defer s.pinged.mu.Unlock()
	if time.Since(s.pinged.at) >= time.Second {
		s.pinged.err = s.store.Ping(ctx)
		s.pinged.at = time.Now()
	}
	return s.pinged.err
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	web.NoStore(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client may be gone
}

// anonymousFor is how long the rules for requests without a credential are
// kept before they are read again.
const anonymousFor = time.Second

// anonymousRules are those of the group "anonymous", read at most once in a
// while.
type anonymousRules struct {
	mu    sync.Mutex
	rules scope.Set
	read  time.Time
}

// anonymous returns what requests without a credential may do.
func (s *Server) anonymous(ctx context.Context) (scope.Set, error) {
	s.nobody.mu.Lock()
	defer s.nobody.mu.Unlock()
	if time.Since(s.nobody.read) < anonymousFor {
		return s.nobody.rules, nil
	}
	rules, err := tokens.GroupGrants(ctx, s.store, store.GroupAnonymous)
	if err != nil {
		return nil, err
	}
	rules = rules.For("")
	s.nobody.rules, s.nobody.read = rules, time.Now()
	return rules, nil
}

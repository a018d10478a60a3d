// Package registry is the dialect of container registries: the realm at which
// docker, podman, skopeo, containerd and the like get the tokens that a
// registry sends them for, by the distribution specification of tokens
// (https://distribution.github.io/distribution/spec/auth/token/ and
// .../oauth/).
//
// What a token may do, its claims and the refresh tokens of clients are the
// core's. The package reads requests, words answers, and knows which registries
// there are. Answers are JSON always, also about mistakes, in the form that
// clients show to people.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/dialect"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// DefaultPath is where Pulp has its realm.
const DefaultPath = "/token/"

// DefaultLife is how long tokens live when nothing else is said.
const DefaultLife = 5 * time.Minute

// callTime bounds how long a request may take.
const callTime = 30 * time.Second

// KeyHint is how a token tells its registry which key it was signed by.
type KeyHint string

// Key hints.
const (
	// Libtrust names the key by libtrust's id: docker-registry 2 finds it in its
	// rootcertbundle, distribution 3 in our JWKS, and Pulp does not look.
	Libtrust KeyHint = ""

	// Thumbprint names the key by RFC 7638, for distribution 3 with a
	// rootcertbundle or a JWKS of ours.
	Thumbprint KeyHint = "thumbprint"

	// Certificate sends the key's certificate along (x5c), which must be in the
	// registry's rootcertbundle, of either generation.
	Certificate KeyHint = "certificate"
)

// Service is a registry that this realm gives tokens for.
type Service struct {
	Name string // its "service", which becomes the "aud" of its tokens
	Key  KeyHint

	// Relayed says that the registry has a token server of its own, which
	// decides: requests for it go to [Options.Relay].
	Relayed bool

	// Renamed says that the registry knows accounts by the names that
	// [Options.Names] gives them, rather than by their own.
	Renamed bool
}

// Namer says by which name a registry is told of an account, and makes sure that
// the registry knows it. The error is a fault, and there is no token then.
// [pulpaccounts.Accounts] is one.
type Namer interface {
	NameOf(id *identity.Identity) string
	Ensure(ctx context.Context, id *identity.Identity) error
}

// Checker tells whom a credential stands for; [credential.Checker] is one. It
// throttles attempts and writes them down.
type Checker interface {
	Check(ctx context.Context, found credential.Credential) (*identity.Identity, error)
}

// Tokens makes tokens for registries; [tokens.Service] is one.
type Tokens interface {
	IssueRegistry(ctx context.Context, caller *identity.Identity, r tokens.RegistryRequest) (tokens.RegistryToken, error)
	RefuseRegistry(ctx context.Context, caller *identity.Identity, service string, err error) error
	IssueOffline(ctx context.Context, caller *identity.Identity, name string, labels map[string]string) (tokens.Issued, error)
	CheckOffline(ctx context.Context, p tokens.Presented) (*identity.Identity, error)
}

// Options say where the realm is and for which registries. Check, Tokens and
// Log are needed, and so is Issuer.
type Options struct {
	Check  Checker
	Tokens Tokens
	Log    *slog.Logger

	Path     string        // default [DefaultPath]; served with and without the slash at its end
	Issuer   string        // the "iss" of tokens
	Life     time.Duration // of tokens; default [DefaultLife]
	Services []Service     // without any, no registry is known
	Names    Namer         // for services that are Renamed
	Realm    string        // named in challenges for a password; default "latchkey"

	// Anonymous returns what requests without a credential may do. Without it,
	// or with NoAnonymous, there are no tokens for them.
	Anonymous   func(context.Context) (scope.Set, error)
	NoAnonymous bool

	// Relay answers for registries with a token server of their own, and for
	// those that are not among Services; nil: there is none. It gets the request
	// as it came.
	Relay http.Handler

	Now func() time.Time // default time.Now
}

// Handler is the realm.
type Handler struct {
	opts     Options
	services map[string]Service
}

// New returns the realm.
func New(opts Options) (*Handler, error) {
	if opts.Check == nil || opts.Tokens == nil || opts.Log == nil || opts.Issuer == "" {
		return nil, errors.New("registry: Check, Tokens, Log and Issuer are needed")
	}
	if opts.Path == "" {
		opts.Path = DefaultPath
	}
	if opts.Life == 0 {
		opts.Life = DefaultLife
	}
	if opts.Realm == "" {
		opts.Realm = "latchkey"
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	h := &Handler{opts: opts, services: make(map[string]Service, len(opts.Services))}
	for _, s := range opts.Services {
		if _, twice := h.services[s.Name]; twice || s.Name == "" {
			return nil, fmt.Errorf("registry: the service %q has no name, or one that another has", s.Name)
		}
		if s.Relayed && opts.Relay == nil {
			return nil, fmt.Errorf("registry: there is nobody to relay requests for %q to", s.Name)
		}
		if s.Renamed && opts.Names == nil {
			return nil, fmt.Errorf("registry: there is nobody to name accounts to %q", s.Name)
		}
		h.services[s.Name] = s
	}
	return h, nil
}

// Paths names the paths to serve the handler at.
func (h *Handler) Paths() []string { return dialect.BothSlashes(h.opts.Path) }

// ServeHTTP answers a request, whatever its path is.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ask, err := read(w, r)
	if err != nil {
		h.fail(w, r, ask, err)
		return
	}
	service, known := h.services[ask.service]
	if h.opts.Relay != nil && (service.Relayed || !known && ask.service != "") {
		ask.restore(r)
		h.opts.Relay.ServeHTTP(w, r)
		return
	}
	from := audit.FromContext(r.Context())
	from.Door = doorName
	ctx, cancel := context.WithTimeout(audit.NewContext(r.Context(), from), callTime)
	defer cancel()
	r = r.WithContext(ctx)
	answer, err := h.answer(ctx, ask, service, known)
	if err != nil {
		h.fail(w, r, ask, err)
		return
	}
	write(w, http.StatusOK, answer)
}

// doorName is what events call the realm.
const doorName = "registry"

// answer decides. The service is looked at after the credential, so that nobody
// without one learns which there are.
func (h *Handler) answer(ctx context.Context, ask *question, service Service, known bool) (*answer, error) {
	who, err := h.identify(ctx, ask)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, h.opts.Tokens.RefuseRegistry(ctx, who, ask.service, errService(ask.service))
	}
	subject := who.Name
	if service.Renamed {
		if err := h.opts.Names.Ensure(ctx, who); err != nil {
			return nil, h.opts.Tokens.RefuseRegistry(ctx, who, service.Name, err)
		}
		subject = h.opts.Names.NameOf(who)
	}
	t, err := h.opts.Tokens.IssueRegistry(ctx, who, tokens.RegistryRequest{
		Terms: tokens.RegistryTerms{
			Issuer: h.opts.Issuer, Service: service.Name, Life: h.opts.Life,
			Form: keyring.Form{Libtrust: service.Key == Libtrust, Certificate: service.Key == Certificate},
		},
		Resources: ask.resources, Client: ask.client, Subject: subject,
	})
	if err != nil {
		return nil, err
	}
	a := answerOf(t)
	if ask.post {
		a.Scope = scopeOf(t)
	}
	if a.RefreshToken, err = h.refreshToken(ctx, ask, who); err != nil {
		return nil, err
	}
	return a, nil
}

// identify finds out who asks. A request without a credential is nobody's,
// where something is public, and refused elsewhere.
func (h *Handler) identify(ctx context.Context, ask *question) (*identity.Identity, error) {
	if ask.refresh.Reveal() != "" {
		from := audit.FromContext(ctx)
		who, err := h.opts.Tokens.CheckOffline(ctx, tokens.Presented{Token: ask.refresh, Addr: from.Addr, Agent: from.Agent})
		return h.matched(ctx, ask, who, err)
	}
	who, err := h.opts.Check.Check(ctx, ask.credential)
	if err != nil || who != nil {
		return h.matched(ctx, ask, who, err)
	}
	if ask.account != "" {
		return nil, h.opts.Tokens.RefuseRegistry(ctx, nil, ask.service, errAccount)
	}
	return h.nobody(ctx)
}

// nobody returns who asks without a credential, where something is public.
func (h *Handler) nobody(ctx context.Context) (*identity.Identity, error) {
	if h.opts.Anonymous == nil || h.opts.NoAnonymous {
		return nil, errNobody
	}
	rules, err := h.opts.Anonymous(ctx)
	if err != nil {
		return nil, err
	}
	if !anythingPublic(rules) {
		return nil, errNobody
	}
	return &identity.Identity{Grants: rules, Effective: rules, EffectiveText: rules.String()}, nil
}

// matched refuses a credential that is another account's than the one that the
// client names (S98). Clients name it by the user name that they were given,
// which a source may spell in another way, and which does not matter beside a
// token in the place of the password.
func (h *Handler) matched(ctx context.Context, ask *question, who *identity.Identity, err error) (*identity.Identity, error) {
	if err != nil {
		return nil, err
	}
	if ask.account == "" || ask.account == who.Name || ask.account == ask.credential.Username {
		return who, nil
	}
	return nil, h.opts.Tokens.RefuseRegistry(ctx, who, ask.service, errAccount)
}

// anythingPublic reports whether there is a repository that nobody in
// particular may pull from.
func anythingPublic(rules scope.Set) bool {
	everything, err := scope.Parse(scope.TypeRepository + ":*:" + scope.Pull)
	return err == nil && rules.Touches(everything)
}

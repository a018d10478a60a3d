package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// supposed is the outcome of a check that took place elsewhere.
type supposed struct{ asked explain.Asked }

// Check returns what the asker knows already.
func (s supposed) Check(context.Context, credential.Credential) (*identity.Identity, error) {
	if s.asked.Credential == explain.NoCredential {
		return nil, nil
	}
	if s.asked.Err != nil {
		return nil, s.asked.Err
	}
	return s.asked.Identity, nil
}

// header returns a header with a credential of the kind that is asked about.
// What it says is not looked at.
func header(kind explain.Credential) http.Header {
	r := http.Request{Header: http.Header{}}
	switch kind {
	case explain.ByToken:
		r.Header.Set("Authorization", "Bearer supposed")
	case explain.ByPassword:
		r.SetBasicAuth("supposed", "supposed")
	}
	return r.Header
}

// Explain tells what [Gateway.ServeHTTP] decides about a request, and why,
// without passing anything on or writing anything down.
func (g *Gateway) Explain(ctx context.Context, a explain.Asked) explain.Decision {
	ctx = audit.NewContext(ctx, audit.Request{}) // events are about the asker's request, not this one
	judging := *g
	judging.check = supposed{a}
	in := &http.Request{Method: a.Method, RequestURI: a.Target, Header: header(a.Credential)}
	x := &exchange{g: &judging, in: in.WithContext(ctx)}
	refused := x.find()
	d := explain.Decision{Door: explain.Gateway}
	d.Readings, _ = readingsOf(pathOf(a.Target)) // a path without one is refused
	d.Readings = distinct(d.Readings)
	if refused != nil && refused.status == http.StatusNotFound {
		d.Steps = append(d.Steps, explain.Step{Check: explain.Route, Result: explain.No, Text: "no route of the gateway has this path"})
		return decided(d, refused)
	}
	d.Steps = append(d.Steps, pathStep(d.Readings, pathOf(a.Target), refused))
	if refused == nil {
		d.Steps = append(d.Steps, x.routeSteps()...)
		refused = x.admit()
		d.Steps = append(d.Steps, x.credentialSteps(a)...)
		d.Request, d.GrantsOnly = x.request(), x.route.RegistryTokens && x.identity.Narrowed()
	}
	return decided(d, refused)
}

// Explain tells what the verifier answers to a listed proxy, and why.
func (v *Verifier) Explain(ctx context.Context, a explain.Asked) explain.Decision {
	ctx = audit.NewContext(ctx, audit.Request{}) // events are about the asker's request, not this one
	asker := netip.IPv6Loopback()
	judging := &Verifier{
		check: supposed{a}, anonymous: v.anonymous, challenge: v.challenge, log: v.log, now: v.now,
		peers: web.Peers{netip.PrefixFrom(asker, asker.BitLen())},
	}
	q := &Question{Peer: asker, Method: a.Method, Target: a.Target, Header: header(a.Credential), Asked: a.Scope}
	id, refused := judging.decide(ctx, q)
	d := explain.Decision{Door: explain.ForwardAuth}
	if q.described() {
		d.Readings, _ = readingsOf(q.path())
		d.Readings = distinct(d.Readings)
		d.Steps = append(d.Steps, pathStep(d.Readings, q.path(), judging.believe(q)))
		if id != nil {
			request := scope.PathRequest(q.Method, q.path())
			d.Request = &request
		}
	}
	if a.Credential == explain.NoCredential {
		d.Steps = append(d.Steps, anonymousStep(refused == nil))
	}
	if id != nil {
		d.Steps = append(d.Steps, nameStep(id.Name))
	}
	return decided(d, refused)
}

// decided completes a decision with what is answered.
func decided(d explain.Decision, refused *refusal) explain.Decision {
	d.Allowed = refused == nil
	if refused != nil {
		d.Status, d.Detail = refused.status, refused.detail
	}
	return d
}

func pathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

func distinct(texts []string) []string {
	var list []string
	for _, t := range texts {
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list
}

// pathStep tells how a path is read.
func pathStep(readings []string, path string, refused *refusal) explain.Step {
	step := explain.Step{Check: explain.Path, Result: explain.When(refused == nil)}
	clean, ok := scope.CleanPath(path)
	switch {
	case refused != nil:
		step.Text = refused.detail
	case ok && clean == path:
		step.Text = "the path has one reading"
	case ok:
		step.Text = "the path is judged as " + clean
	default:
		step.Text = "servers read the path in different ways, so only a rule for every path allows it: " + strings.Join(readings, ", ")
	}
	return step
}

// routeSteps tell on which route the request falls and what that wants.
func (x *exchange) routeSteps() []explain.Step {
	r := x.route
	steps := []explain.Step{{
		Check: explain.Route, Result: explain.Yes,
		Text: "the request falls on the route " + r.Name + ", for " + r.Prefix,
	}}
	demand := explain.Step{Check: explain.Demand, Result: explain.Yes}
	switch {
	case r.Auth == Off:
		demand.Text = "the route looks at no credential: the service behind judges by itself"
		return append(steps, demand)
	case x.isOpen():
		demand.Text = "the path may be read by anybody: a credential is not looked at"
		return append(steps, demand)
	case r.Auth == Required:
		demand.Text = "the route needs a credential, or a rule for anonymous requests"
	case r.Auth == Writes:
		demand.Text = "the route needs a credential for all but GET, HEAD and OPTIONS"
	default:
		demand.Text = "the route needs no credential, but one that is offered must be good"
	}
	return append(steps, demand)
}

// credentialSteps tell what becomes of the credential, and what would become of
// others.
func (x *exchange) credentialSteps(a explain.Asked) []explain.Step {
	if x.route.Auth == Off || x.isOpen() {
		return nil
	}
	var steps []explain.Step
	steps = append(steps, x.passwordStep(a.Credential == explain.ByPassword))
	bare := &exchange{g: x.g, in: x.in, target: x.target, path: x.path, route: x.route}
	without := anonymousStep(bare.admitAnonymous() == nil)
	if a.Credential != explain.NoCredential {
		without.Result = explain.Note
	}
	steps = append(steps, without)
	if x.identity != nil {
		steps = append(steps, nameStep(x.name))
	}
	if x.identity.Narrowed() && x.route.RegistryTokens && headerSafe(x.name) {
		steps = append(steps, x.registryStep())
	}
	return steps
}

func (x *exchange) passwordStep(offered bool) explain.Step {
	step := explain.Step{Check: explain.Password, Result: explain.Note}
	switch x.route.Passwords {
	case PassPasswords:
		step.Text = "a password is passed on to the service behind, which judges it"
	case RefusePasswords:
		step.Text = "a password is not taken, a token is"
	default:
		step.Text = "a password is checked here"
	}
	if offered {
		step.Result = explain.When(x.route.Passwords != RefusePasswords)
	}
	return step
}

func anonymousStep(allowed bool) explain.Step {
	step := explain.Step{Check: explain.Anonymous, Result: explain.When(allowed), Text: "without a credential the request goes on"}
	if !allowed {
		step.Text = "without a credential the request is refused"
	}
	return step
}

func nameStep(name string) explain.Step {
	if headerSafe(name) {
		return explain.Step{Check: explain.Name, Result: explain.Yes, Text: "the service behind is told the name " + name}
	}
	return explain.Step{Check: explain.Name, Result: explain.No, Text: unsafeName().detail}
}

// registryStep tells whether the token's own scope covers the registry token
// that is asked for.
func (x *exchange) registryStep() explain.Step {
	missing, ok := x.covered()
	if granted := x.identity.Grants.Allows(scope.PathRequest(x.in.Method, x.path)); !ok && !granted {
		return explain.Step{Check: explain.Scope, Result: explain.Note, Text: "the token's own scope is asked once the grants allow the path"}
	}
	if ok {
		return explain.Step{Check: explain.Scope, Result: explain.Yes, Text: "the token's own scope covers the registry token that is asked for"}
	}
	return explain.Step{Check: explain.Scope, Result: explain.No, Rule: missing, Text: "the token's own scope does not cover " + missing + ", which the registry token is asked for"}
}

// request is what the rules of a known caller are asked for.
func (x *exchange) request() *scope.Request {
	if x.identity == nil || !headerSafe(x.name) {
		return nil
	}
	q := scope.PathRequest(x.in.Method, x.path)
	return &q
}

package registry

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// About reports whether a question is about one thing in a registry, rather
// than about all that a pattern matches.
func About(rules scope.Set) bool {
	if len(rules) != 1 {
		return false
	}
	r, err := scope.ParseResource(rules.String())
	return err == nil && (r.Type == scope.TypeRepository || r.Type == scope.TypeRegistry) && !strings.Contains(r.Name, scope.Anything)
}

// Relays reports whether requests at a path may be answered by somebody else.
func (h *Handler) Relays(path string) bool {
	return h != nil && h.opts.Relay != nil && slices.Contains(h.Paths(), path)
}

// Explain tells which of the actions asked for would be in a token, and why the
// others not. By which rules somebody known may do what they may, the core
// tells. The answer to a client has no error for what is denied, so there is a
// status only where there is no token at all.
func (h *Handler) Explain(ctx context.Context, a explain.Asked) explain.Decision {
	d := explain.Decision{Door: explain.Registry}
	asked, err := scope.ParseResource(a.Scope.String())
	if err != nil {
		d.Steps = []explain.Step{{Check: explain.Form, Result: explain.No, Text: "a registry's client asks for one thing, such as repository:prod/app:pull"}}
		return d
	}
	d.Steps = append(d.Steps, formSteps(asked)...)
	who := a.Identity
	if a.Credential == explain.NoCredential {
		nobody, step := h.nobodyStep(ctx, asked)
		d.Steps = append(d.Steps, step)
		who = nobody
		if nobody == nil {
			d.Status, d.Detail = http.StatusUnauthorized, step.Text
		}
	}
	if a.Err != nil || who == nil {
		if a.Err != nil {
			d.Status = http.StatusUnauthorized
		}
		return d
	}
	allowed, denied := tokens.RegistryAccess(who, asked)
	d.Allowed = len(denied.Actions) == 0 && len(allowed.Actions) > 0
	all := asked // with "*" written out
	all.Actions = slices.Concat(allowed.Actions, denied.Actions)
	if r, err := scope.Parse(all.String()); err == nil {
		d.Rules = scope.Set{r}
	}
	if len(allowed.Actions) > 0 && len(denied.Actions) > 0 {
		d.Steps = append(d.Steps, explain.Step{
			Check: explain.Answer, Result: explain.Note,
			Text: "the token has " + allowed.String() + " and leaves out " + strings.Join(denied.Actions, ", "),
		})
	}
	return d
}

// formSteps tell of what nobody can be granted.
func formSteps(asked scope.Resource) []explain.Step {
	var steps []explain.Step
	if asked.Odd {
		steps = append(steps, explain.Step{
			Check: explain.Form, Result: explain.No,
			Text: asked.Name + " is no name of a repository: parts of lower-case letters and digits, with . _ or - between them, and slashes between the parts",
		})
	}
	everything := &identity.Identity{AccountID: "all", Grants: scope.Set{everythingRule()}}
	plain := asked
	plain.Odd = false
	if _, unknown := tokens.RegistryAccess(everything, plain); len(unknown.Actions) > 0 {
		steps = append(steps, explain.Step{
			Check: explain.Form, Result: explain.No,
			Text: "registries know pull, push, delete and * of a repository, and registry:catalog:*; " + unknown.String() + " is none of that",
		})
	}
	return steps
}

func everythingRule() scope.Rule {
	r, _ := scope.Parse("*:*:*")
	return r
}

// nobodyStep tells what requests without a credential may do.
func (h *Handler) nobodyStep(ctx context.Context, asked scope.Resource) (*identity.Identity, explain.Step) {
	step := explain.Step{Check: explain.Anonymous, Result: explain.No}
	who, err := h.nobody(ctx)
	if err != nil {
		step.Text = "requests without a credential get no token: " + err.Error()
		if h.opts.NoAnonymous {
			step.Text = "requests without a credential get no token: registry.anonymous is off"
			return nil, step
		}
	}
	if who == nil {
		who = &identity.Identity{}
	}
	_, denied := tokens.RegistryAccess(who, asked)
	switch {
	case len(denied.Actions) == 0 && len(asked.Actions) > 0:
		step.Result, step.Text = explain.Yes, "nobody in particular may, by a grant to the group anonymous"
	case slices.ContainsFunc(denied.Actions, func(a string) bool { return a != scope.Pull }) || asked.Type != scope.TypeRepository:
		step.Text = "without a credential there is pulling and nothing else, whatever the group anonymous was granted"
	default:
		step.Rule = denied.String()
		step.Text = "the group anonymous has not been granted " + step.Rule
		step.Fix = "latchkey grant add " + step.Rule + " --group anonymous"
	}
	if err != nil {
		return nil, step
	}
	return who, step
}

package tokens

import (
	"context"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// ExplainRequest tells by which of its rules an identity may make a request, or
// which are missing: the token's own, then its owner's. The identity must come
// from [Service.Explain], which has decided that the caller may know.
func (s *Service) ExplainRequest(ctx context.Context, id *identity.Identity, q scope.Request) ([]explain.Step, error) {
	d := id.Decide(q)
	missing := q.String()
	exact := ""
	if r, ok := scope.Exactly(q); ok {
		exact = r.String()
	}
	if q.Odd {
		missing += " (a path with several readings: only a rule for every path allows it)"
	}
	own := explain.Step{Check: explain.Scope, Result: explain.When(d.Within)}
	switch {
	case id.TokenScope == nil:
		own.Text = "the token has no scope of its own: it may do all that its owner may"
	case d.Within:
		own.Rule = d.Own.String()
		own.Text = "the token's own rule " + own.Rule + " allows it"
	default:
		own.Rule = exact
		own.Text = "no rule of the token's own allows " + missing + "; it has " + id.TokenScope.String()
		if exact != "" {
			own.Fix = tokenCommand(id, exact)
		}
	}
	if id.Method != identity.Token {
		own.Text = "a password may do all that the account may"
	}
	grant := explain.Step{Check: explain.Grants, Result: explain.When(d.Granted)}
	if d.Granted {
		return s.granted(ctx, id, scope.Set{d.Grant}, own, grant)
	}
	grant.Rule = exact
	grant.Text = "neither " + id.Name + " nor a group of theirs has been granted " + missing
	if exact != "" {
		grant.Fix = command("grant", "add", exact, "--account", id.Name)
	}
	return []explain.Step{own, grant}, nil
}

// ExplainScope is ExplainRequest for a rule that must be covered.
func (s *Service) ExplainScope(ctx context.Context, id *identity.Identity, r scope.Rule) ([]explain.Step, error) {
	own := explain.Step{Check: explain.Scope, Result: explain.Yes, Text: "the token has no scope of its own: it may do all that its owner may"}
	if id.Method != identity.Token {
		own.Text = "a password may do all that the account may"
	}
	if id.TokenScope != nil {
		by, missing, ok := id.TokenScope.FindCover(r)
		own.Result = explain.When(ok)
		if ok {
			own.Rule = by.String()
			own.Text = "the token's own scope covers it by " + own.Rule
		} else {
			own.Rule = missing.String()
			own.Text = "no rule of the token's own covers " + own.Rule + "; it has " + id.TokenScope.String()
			own.Fix = tokenCommand(id, own.Rule)
		}
	}
	by, missing, ok := id.Grants.FindCover(r)
	grant := explain.Step{Check: explain.Grants, Result: explain.When(ok)}
	if ok {
		return s.granted(ctx, id, by, own, grant)
	}
	grant.Rule = missing.String()
	grant.Text = "neither " + id.Name + " nor a group of theirs has been granted " + grant.Rule
	grant.Fix = command("grant", "add", grant.Rule, "--account", id.Name)
	return []explain.Step{own, grant}, nil
}

// granted says who was granted the rules that decide.
func (s *Service) granted(ctx context.Context, id *identity.Identity, by scope.Set, own, grant explain.Step) ([]explain.Step, error) {
	grant.Rule = by.String()
	var parts []string
	for _, r := range by {
		whose, err := s.grantedTo(ctx, id, r.String())
		if err != nil {
			return nil, err
		}
		parts = append(parts, r.String()+" of "+whose)
	}
	grant.Text = id.Name + " may, by the grant " + strings.Join(parts, " and the grant ")
	return []explain.Step{own, grant}, nil
}

// asFor returns a rule as it was written and as it is for an account; "" if it
// is nothing for it.
func asFor(text, account string) (written, named string) {
	r, err := scope.Parse(text)
	if err != nil {
		return text, ""
	}
	return r.String(), scope.Set{r}.For(account).String()
}

// grantedTo tells whether an account's rule is its own or of which group.
func (s *Service) grantedTo(ctx context.Context, id *identity.Identity, rule string) (string, error) {
	queries := []store.GrantQuery{{AccountID: id.AccountID}}
	for _, g := range append(slices.Clone(id.Groups), store.GroupEveryone) {
		queries = append(queries, store.GrantQuery{Group: g})
	}
	for _, q := range queries {
		grants, err := s.store.Grants(ctx, q)
		if err != nil {
			return "", fault.FromStore(err)
		}
		for _, g := range grants {
			written, named := asFor(g.Scope, id.Name)
			if named != rule {
				continue
			}
			whose := "the account itself"
			if q.Group != "" {
				whose = "the group " + q.Group
			}
			if written != named {
				whose += ", which says " + written
			}
			return whose, nil
		}
	}
	return "somebody who had it a moment ago", nil
}

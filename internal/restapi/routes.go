package restapi

import (
	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// Route is one row of the table of what the API can do.
type Route struct {
	Method string
	Path   string // below api.Prefix, as net/http's patterns have it
	Needs  Right
	Query  []string // the names of the query's parameters; others are refused
	handle func(*call) (answer, error)
}

// Right is what a route needs of its caller: the verb on any of the parts of
// the API that are named, as a scope of the type "latchkey". The core decides
// once more, on the very thing that is asked for.
type Right struct {
	public bool // no credential at all
	itself bool // a token needs no right to name itself
	verb   string
	parts  []string
}

func read(parts ...string) Right   { return Right{verb: scope.Read, parts: parts} }
func write(parts ...string) Right  { return Right{verb: scope.Write, parts: parts} }
func remove(parts ...string) Right { return Right{verb: scope.Delete, parts: parts} }

func orItself(n Right) Right {
	n.itself = true
	return n
}

// Scopes returns the scopes of which one is needed; none for a public route.
func (n Right) Scopes() []string {
	var scopes []string
	for _, part := range n.parts {
		scopes = append(scopes, scope.TypeLatchkey+":"+part+":"+n.verb)
	}
	return scopes
}

// Public reports whether the route needs no credential.
func (n Right) Public() bool { return n.public }

func (n Right) check(caller *identity.Identity, id string) error {
	if n.itself && caller.Method == identity.Token && caller.TokenID == id {
		return nil
	}
	for _, part := range n.parts {
		if caller.May(part, n.verb) {
			return nil
		}
	}
	return fault.Needs(n.Scopes()[0])
}

var (
	pageQuery  = []string{"limit", "cursor"}
	ofTokens   = []string{tokens.OwnTokens, tokens.AllTokens}
	tokenQuery = append([]string{"owner", "class", "state", "name", "prefix", "label", "group",
		"created_since", "created_before", "unused_since", "never_used", "last_addr", "scope"}, pageQuery...)
	auditQuery = append([]string{"action", "outcome", "actor", "token", "target", "request_id", "correlation_id", "since", "until"}, pageQuery...)
)

// Routes is the table of all routes with the scope that each needs (S77).
func Routes() []Route {
	return []Route{
		{"POST", "/tokens", write(ofTokens...), nil, (*call).createToken},
		{"GET", "/tokens", read(ofTokens...), tokenQuery, (*call).listTokens},
		{"POST", "/tokens/revoke", remove(ofTokens...), nil, (*call).revokeMatching},
		{"GET", "/tokens/{id}", read(ofTokens...), nil, (*call).showToken},
		{"PATCH", "/tokens/{id}", write(ofTokens...), nil, (*call).updateToken},
		{"DELETE", "/tokens/{id}", orItself(remove(ofTokens...)), nil, (*call).revokeToken},
		{"POST", "/tokens/{id}/rotate", write(ofTokens...), nil, (*call).rotateToken},
		{"POST", "/token-pairs", write(ofTokens...), nil, (*call).createPair},
		{"POST", "/token-pairs/refresh", Right{public: true}, nil, (*call).refreshPair},
		{"POST", "/revoke", Right{public: true}, nil, (*call).revokeSecret},

		{"GET", "/whoami", read(accounts.Self), nil, (*call).whoAmI},
		{"POST", "/password", write(accounts.Self), nil, (*call).changePassword},

		{"GET", "/accounts", read(accounts.Accounts), append([]string{"kind", "source", "name", "disabled"}, pageQuery...), (*call).listAccounts},
		{"POST", "/accounts", write(accounts.Accounts), nil, (*call).createAccount},
		{"GET", "/accounts/{name}", read(accounts.Accounts, accounts.Self), nil, (*call).showAccount},
		{"PATCH", "/accounts/{name}", write(accounts.Accounts), nil, (*call).updateAccount},
		{"DELETE", "/accounts/{name}", remove(accounts.Accounts), nil, (*call).deleteAccount},
		{"POST", "/accounts/{name}/revoke-tokens", remove(ofTokens...), nil, (*call).revokeAll},
		{"POST", "/accounts/{name}/password", write(accounts.Accounts), nil, (*call).setPassword},

		{"GET", "/groups", read(accounts.Groups), nil, (*call).listGroups},
		{"POST", "/groups", write(accounts.Groups), nil, (*call).createGroup},
		{"GET", "/groups/{name}", read(accounts.Groups), nil, (*call).showGroup},
		{"DELETE", "/groups/{name}", remove(accounts.Groups), nil, (*call).deleteGroup},
		{"PUT", "/groups/{name}/members/{account}", write(accounts.Groups), nil, (*call).addMember},
		{"DELETE", "/groups/{name}/members/{account}", write(accounts.Groups), nil, (*call).removeMember},

		{"GET", "/grants", read(accounts.Grants), []string{"account", "group"}, (*call).listGrants},
		{"POST", "/grants", write(accounts.Grants), nil, (*call).createGrant},
		{"DELETE", "/grants/{id}", remove(accounts.Grants), nil, (*call).deleteGrant},

		{"GET", "/keys", read(keyring.Resource), nil, (*call).listKeys},
		{"POST", "/keys/rotate", write(keyring.Resource), nil, (*call).rotateKeys},
		{"POST", "/keys/import", write(keyring.Resource), nil, (*call).importKey},
		{"DELETE", "/keys/{id}", remove(keyring.Resource), nil, (*call).revokeKey},

		{"POST", "/check", read(tokens.Checks), nil, (*call).checkToken},
		{"GET", "/changes", read(tokens.Checks), []string{"after"}, (*call).followChanges},
		{"POST", "/explain", read(tokens.OwnTokens, tokens.Explanations), nil, (*call).explain},
		{"GET", "/audit", read(audit.Resource), auditQuery, (*call).listEvents},
		{"GET", "/audit/head", read(audit.Resource), nil, (*call).auditHead},
		{"GET", "/audit/verify", read(audit.Resource), []string{"head"}, (*call).verifyAudit},
		{"GET", "/audit/export", read(audit.Resource), []string{"since", "until"}, (*call).exportAudit},

		{"GET", "/openapi.json", Right{public: true}, nil, (*call).describe},
	}
}

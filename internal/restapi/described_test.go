package restapi_test

import "github.com/latchkey-auth/latchkey/api"

// describedRoute is what the description of the API says of a route beyond the
// table of routes.
type describedRoute struct {
	route   string // "GET /tokens"
	id      string // a name for programs
	summary string

	in       any  // a value of the request's type; nil: no body
	optional bool // the body may be left out

	out   any    // a value of the answer's type; nil: no body
	media string // of the answer; "": JSON

	missing   bool // it can be 404 besides for what its path names
	refuses   bool // it can be 401 although it is public
	conflicts bool // it can be 409: among others, for a name that two accounts have
}

const (
	eventStream = "text/event-stream"
	jsonLines   = "application/jsonl"
)

// describedRoutes are all, in the order of the description.
var describedRoutes = []describedRoute{
	{route: "POST /tokens", id: "createToken", summary: "Make a token; the answer is the only place where its secret is shown", in: api.CreateToken{}, out: api.NewToken{}, conflicts: true, missing: true},
	{route: "GET /tokens", id: "listTokens", summary: "List tokens, newest first", out: api.Page[api.Token]{}, missing: true, conflicts: true},
	{route: "POST /tokens/revoke", id: "revokeTokens", summary: "End all tokens that a query selects, or count them", in: api.RevokeTokens{}, out: api.RevokedTokens{}, conflicts: true, missing: true},
	{route: "GET /tokens/{id}", id: "showToken", summary: "Show a token", out: api.Token{}},
	{route: "PATCH /tokens/{id}", id: "updateToken", summary: "Rename, label, narrow or shorten a token", in: api.UpdateToken{}, out: api.Token{}, conflicts: true},
	{route: "DELETE /tokens/{id}", id: "revokeToken", summary: "End a token", in: api.RevokeReason{}, optional: true},
	{route: "POST /tokens/{id}/rotate", id: "rotateToken", summary: "Give a token a new secret", in: api.RotateToken{}, optional: true, out: api.NewToken{}, conflicts: true},
	{route: "POST /token-pairs", id: "createTokenPair", summary: "Make a signed access token and a refresh token, and begin a family", in: api.CreateTokenPair{}, out: api.TokenPair{}, conflicts: true, missing: true},
	{route: "POST /token-pairs/refresh", id: "refreshTokenPair", summary: "Use a refresh token for the next pair", in: api.RefreshTokenPair{}, out: api.TokenPair{}, refuses: true},
	{route: "POST /revoke", id: "revokeSecret", summary: "End the token whose secret is sent", in: api.Revoke{}},

	{route: "GET /whoami", id: "whoAmI", summary: "Show who the caller is and what its credential may do", out: api.WhoAmI{}},
	{route: "POST /password", id: "changePassword", summary: "Change one's own password", in: api.SetPassword{}, conflicts: true},

	{route: "GET /accounts", id: "listAccounts", summary: "List accounts by name", out: api.Page[api.Account]{}},
	{route: "POST /accounts", id: "createAccount", summary: "Make a user or a robot", in: api.CreateAccount{}, out: api.Account{}, conflicts: true},
	{route: "GET /accounts/{name}", id: "showAccount", summary: "Show an account with its groups and grants", out: api.Account{}, conflicts: true},
	{route: "PATCH /accounts/{name}", id: "updateAccount", summary: "Change or disable an account", in: api.UpdateAccount{}, out: api.Account{}, conflicts: true},
	{route: "DELETE /accounts/{name}", id: "deleteAccount", summary: "Delete an account with its tokens", conflicts: true},
	{route: "POST /accounts/{name}/revoke-tokens", id: "revokeAccountTokens", summary: "End all tokens of an account", in: api.RevokeReason{}, optional: true, out: api.Revoked{}, conflicts: true},
	{route: "POST /accounts/{name}/password", id: "setPassword", summary: "Set the password of a local user", in: api.SetPassword{}, conflicts: true},

	{route: "GET /groups", id: "listGroups", summary: "List groups", out: api.Page[api.Group]{}},
	{route: "POST /groups", id: "createGroup", summary: "Make a group", in: api.CreateGroup{}, out: api.Group{}, conflicts: true},
	{route: "GET /groups/{name}", id: "showGroup", summary: "Show a group with its members and grants", out: api.Group{}},
	{route: "DELETE /groups/{name}", id: "deleteGroup", summary: "Delete a group with its grants", conflicts: true},
	{route: "PUT /groups/{name}/members/{account}", id: "addMember", summary: "Put an account into a group", conflicts: true},
	{route: "DELETE /groups/{name}/members/{account}", id: "removeMember", summary: "Take an account out of a group", conflicts: true},

	{route: "GET /grants", id: "listGrants", summary: "List grants", out: api.Page[api.Grant]{}, missing: true, conflicts: true},
	{route: "POST /grants", id: "createGrant", summary: "Give a scope to an account or a group", in: api.CreateGrant{}, out: api.Grant{}, conflicts: true, missing: true},
	{route: "DELETE /grants/{id}", id: "deleteGrant", summary: "Take a grant back"},

	{route: "GET /keys", id: "listKeys", summary: "List the keys that sign tokens", out: api.Page[api.SigningKey]{}},
	{route: "POST /keys/rotate", id: "rotateKeys", summary: "Publish the next signing key now", out: api.SigningKey{}},
	{route: "POST /keys/import", id: "importKey", summary: "Take over a key of another issuer, so that the tokens that it signed count until its end", in: api.ImportKey{}, out: api.SigningKey{}, conflicts: true},
	{route: "DELETE /keys/{id}", id: "revokeKey", summary: "Withdraw a signing key: nothing that it signed counts any more", in: api.RevokeKey{}, optional: true, out: api.SigningKey{}},

	{route: "POST /check", id: "checkToken", summary: "Ask, as a service, whom a presented token stands for", in: api.Check{}, out: api.Checked{}},
	{route: "GET /changes", id: "followChanges", summary: "Follow what changes: server-sent events, whose data are Change", media: eventStream},

	{route: "POST /explain", id: "explain", summary: "Tell whether something is allowed, and by which rule", in: api.Explain{}, out: api.Explanation{}, missing: true, conflicts: true},

	{route: "GET /audit", id: "listEvents", summary: "List the audit log, newest first", out: api.Page[api.Event]{}},

	{route: "GET /audit/head", id: "auditHead", summary: "Show where the audit log ends, and the keys that exports are checked with", out: api.AuditHead{}},
	{route: "GET /audit/verify", id: "verifyAudit", summary: "Check that nobody has changed the audit log: lines of JSON, each AuditProgress, the last with the report", media: jsonLines, conflicts: true},
	{route: "GET /audit/export", id: "exportAudit", summary: "Export the audit log: lines of JSON, each with its type", media: jsonLines, conflicts: true},

	{route: "GET /openapi.json", id: "describe", summary: "This description", out: map[string]any{}},
}

// parameters says what the parameters of queries mean; their type is string
// where none is named.
var parameters = map[string]struct{ kind, about string }{
	"limit":          {"integer", "How many items a page has at most: 1 to 1000, 100 if it is not said."},
	"cursor":         {"", "Where the page begins: next of the page before, with otherwise the same query."},
	"owner":          {"", "The account's name; * for everybody; the caller if it is not said."},
	"group":          {"", "A group."},
	"class":          {"", "The class of tokens, such as personal."},
	"state":          {"", "live, expired or revoked."},
	"name":           {"", "How the name begins."},
	"prefix":         {"", "How the shown prefix begins."},
	"label":          {"", "key=value, or a key alone for any value."},
	"created_since":  {"date-time", "Made then or later."},
	"created_before": {"date-time", "Made before."},
	"unused_since":   {"date-time", "Never used, or last used before this."},
	"never_used":     {"boolean", "Never used at all."},
	"last_addr":      {"", "Last used from an address in this network."},
	"scope":          {"", "A rule: tokens that may do any part of it."},
	"kind":           {"", "user or robot."},
	"source":         {"", "Where passwords are checked: local, django, pulp."},
	"disabled":       {"boolean", "Only those that are disabled, or only those that are not."},
	"after":          {"integer", "The position of the last change that was seen."},
	"account":        {"", "An account's name."},
	"action":         {"", "An action, or the beginning of several, with a dot at its end."},
	"outcome":        {"", "ok, refused or failed."},
	"actor":          {"", "The account that asked, by name."},
	"token":          {"", "A token's id: used to ask, or asked about."},
	"target":         {"", "What it was about: an id or a name."},
	"request_id":     {"", "The id of a request."},
	"correlation_id": {"", "The id that several services share for a request."},
	"since":          {"date-time", "Then or later."},
	"until":          {"date-time", "Before."},
	"head":           {"", "A head of the audit log that was kept: number:hash."},
}

package audit

import (
	"errors"
	"fmt"
	"slices"
)

// Action is one row of the table of what can be in the audit log.
type Action struct {
	Name    string
	Meaning string
	Target  string // what the event's target is; "" where there is none

	// Outcomes are those that can be.
	Outcomes []string

	// Reasons are those of refusals and failures beside the kinds of faults,
	// which every action can have.
	Reasons []string
}

// Reason is a word that says why something was refused or failed.
type Reason struct{ Name, Meaning string }

// ErrUnknownAction says that an event was to be written whose action is not in
// [Actions]. It is a mistake in the program.
var ErrUnknownAction = errors.New("the audit log knows no such action: add it to the table in internal/audit/actions.go")

// Check says with [ErrUnknownAction] that an action is not in the table.
func Check(action string) error {
	if slices.ContainsFunc(actions, func(a Action) bool { return a.Name == action }) {
		return nil
	}
	return fmt.Errorf("%w: %q", ErrUnknownAction, action)
}

// Actions returns the table of all actions, in groups.
func Actions() []Action { return slices.Clone(actions) }

// Reasons returns the table of all reasons.
func Reasons() []Reason { return slices.Clone(reasons) }

var (
	changes = []string{OK, Refused, Failed} // what is asked for and done
	reads   = []string{Refused, Failed}     // what leaves an event only when it was not done
	done    = []string{OK}                  // what happens by itself
)

var actions = []Action{
	{Name: ActionCheck, Meaning: "a token was checked at a door; successes as `audit.checks` says", Outcomes: changes,
		Reasons: []string{"malformed", "unknown", "expired", "idle", "revoked", "rotated", "disabled", "address", "kind"}},
	{Name: "login", Meaning: "a user name and a password were checked", Outcomes: changes},
	{Name: "verify", Meaning: "forward-auth said no to a credential that is good, or to none", Target: "the scope that was missing", Outcomes: []string{Refused}, Reasons: []string{"invalid_target", "request_not_described", "invalid_description", "proxy_not_trusted"}},
	{Name: "gateway.request", Meaning: "a request came to the gateway; those that were let through as the route's `audit` says", Target: "method and path", Outcomes: changes,
		Reasons: []string{"interrupted", "invalid_target", "upstream_failed", "upstream_timeout", "request_timeout", "broken_body", "client_gone"}},
	{Name: "api.call", Meaning: "a call of the native API was refused before its turn: no credential, or not the right for the route", Target: "method and route", Outcomes: reads, Reasons: []string{"invalid"}},

	{Name: "token.issue", Meaning: "a token was made", Target: "the token", Outcomes: changes},
	{Name: "token.show", Meaning: "the secret of a dialect's standing token was handed out once more", Target: "the token", Outcomes: done},
	{Name: "token.update", Meaning: "a token was renamed, narrowed or shortened", Target: "the token", Outcomes: changes},
	{Name: "token.rotate", Meaning: "a token got a new secret", Target: "the token", Outcomes: changes},
	{Name: "token.rotated", Meaning: "the old secrets of a rotation ended, as the new one was used", Target: "the token", Outcomes: done},
	{Name: "token.revoke", Meaning: "a token was ended", Target: "the token", Outcomes: changes, Reasons: []string{"unknown"}},
	{Name: "token.revoke_matching", Meaning: "all tokens that a query selects were ended, each with an event of its own", Target: "the account, if the query names one", Outcomes: changes},
	{Name: "token.read", Meaning: "somebody asked for a token that they may not see", Target: "the token", Outcomes: reads},
	{Name: "pair.issue", Meaning: "a pair of tokens was made, and a family begun", Target: "the family", Outcomes: changes},
	{Name: "pair.refresh", Meaning: "a refresh token was used for the next pair; `again` says that it was the same pair once more", Target: "the family", Outcomes: changes,
		Reasons: []string{"malformed", "unknown", "expired", "idle", "revoked", "disabled", "address", "kind", "reused", "client"}},
	{Name: "pair.import", Meaning: "a refresh token of another issuer, whose key was imported, began a family", Target: "the family", Outcomes: done},
	{Name: "pair.burn", Meaning: "a family was ended, as a refresh token came back that was used before: somebody may have stolen it", Target: "the family", Outcomes: done},
	{Name: "registry.token", Meaning: "a container registry's client asked for a token; `scope` is what it got, `denied` what it asked for and did not get, `subject` the name by which the registry is told of the account, if it is another. Refused: it got nothing of that, or no token", Target: "the registry's service", Outcomes: changes},
	{Name: "pulp.user_create", Meaning: "a user was made in Pulp for an account that it did not know, as `pulp.accounts` says; `username` is its name there", Target: "the account", Outcomes: changes},
	{Name: "token.explain", Meaning: "somebody asked why about a token, an account or a request that they may not know of", Target: "the token, the account or the request's id", Outcomes: reads},
	{Name: "token.list", Meaning: "somebody asked for tokens that they may not see", Target: "the account", Outcomes: reads},

	{Name: "account.create", Meaning: "an account was made, by an administrator, a first login or the first start", Target: "the account", Outcomes: changes},
	{Name: "account.update", Meaning: "an account was changed, disabled or enabled", Target: "the account", Outcomes: changes},
	{Name: "account.delete", Meaning: "an account was removed with its tokens and grants", Target: "the account", Outcomes: changes},
	{Name: "account.password", Meaning: "a password was changed", Target: "the account", Outcomes: changes},
	{Name: "account.revoke_tokens", Meaning: "all tokens of an account were ended", Target: "the account", Outcomes: changes},
	{Name: "account.rename", Meaning: "an account took over its source's new name", Target: "the account", Outcomes: done},
	{Name: "account.retire", Meaning: "an account was disabled since its source gave its name to another", Target: "the account", Outcomes: done},
	{Name: "account.follow", Meaning: "a change at its source was taken over: disabled, enabled, another password", Target: "the account", Outcomes: done},
	{Name: "account.read", Meaning: "somebody asked for an account that they may not see", Target: "the account", Outcomes: reads},
	{Name: "account.list", Meaning: "somebody asked for accounts who may not", Outcomes: reads},

	{Name: "group.create", Meaning: "a group was made", Target: "the group", Outcomes: changes},
	{Name: "group.delete", Meaning: "a group was removed", Target: "the group", Outcomes: changes},
	{Name: "group.add", Meaning: "an account was put into a group", Target: "the account", Outcomes: changes},
	{Name: "group.remove", Meaning: "an account was taken out of a group", Target: "the account", Outcomes: changes},
	{Name: "group.list", Meaning: "somebody asked for groups who may not", Outcomes: reads},

	{Name: "grant.add", Meaning: "a scope was granted", Target: "the account or group", Outcomes: changes},
	{Name: "grant.remove", Meaning: "a grant was taken away", Target: "the account or group", Outcomes: changes},
	{Name: "grant.list", Meaning: "somebody asked for grants who may not", Outcomes: reads},

	{Name: "key.create", Meaning: "a signing key was made, by the schedule", Target: "the key", Outcomes: done},
	{Name: "key.remove", Meaning: "a signing key was forgotten, as all that it has signed has expired, or none of it counts for long", Target: "the key", Outcomes: done},
	{Name: "key.rotate", Meaning: "the next signing key was called for", Target: "the key that follows", Outcomes: changes},
	{Name: "key.revoke", Meaning: "a signing key was withdrawn", Target: "the key", Outcomes: changes},
	{Name: "key.import", Meaning: "a key of another issuer was imported: tokens that it has signed count until its end", Target: "the key", Outcomes: changes},
	{Name: "key.list", Meaning: "somebody asked for the signing keys who may not", Outcomes: reads},

	{Name: "change.follow", Meaning: "somebody asked to follow the changes who may not", Outcomes: reads},
	{Name: "audit.read", Meaning: "somebody asked for the audit log who may not", Outcomes: reads},
	{Name: "backup.restore", Meaning: "a backup was put into the database, with `latchkey restore`; `taken` is the time of the backup, `choice` what became of that which was revoked since", Outcomes: done},
	{Name: "audit.verify", Meaning: "the audit log was verified; `intact` says whether it is", Outcomes: changes},
	{Name: "audit.export", Meaning: "the audit log was exported", Outcomes: changes},
	{Name: "audit.trim", Meaning: "events were removed for their age", Outcomes: done},
	{Name: "audit.forged", Meaning: "the server found an event that no server wrote, or that was changed before it was sealed", Outcomes: []string{Failed}, Reasons: []string{"forged"}},
	{Name: "audit.broken", Meaning: "the server found the audit log cut, rewritten or replaced by an older copy", Outcomes: []string{Failed}, Reasons: []string{"cut", "rewritten", "broken"}},
	{Name: "audit.unanchored", Meaning: "the server started without the file that says where the audit log ended", Outcomes: []string{Failed}, Reasons: []string{"no_head"}},
}

var reasons = []Reason{
	{"unauthenticated", "there was no credential, or the password is wrong"},
	{"forbidden", "the credential does not reach so far; `missing` names the scope, where it is one"},
	{"conflict", "it cannot be done in the present state"},
	{"limit", "there are as many as there may be"},
	{"throttled", "too many attempts"},
	{"unavailable", "the database, or a password source, does not answer"},
	{"internal", "an error of the server; its log has the request's id"},
	{"invalid", "the credential or the question could not be read"},

	{"malformed", "this server never made such a token"},
	{"unknown", "there is no such token (any more)"},
	{"expired", "the token is past its end"},
	{"idle", "the token was not used for too long"},
	{"revoked", "the token was ended, by itself or with all of its account's"},
	{"rotated", "the old secret of a token that has a new one"},
	{"disabled", "the account is disabled"},
	{"address", "the token may not be used from there"},
	{"kind", "the token is good for something else: a refresh token opens no door, and an access token gets no pair"},
	{"reused", "the refresh token was used before"},
	{"client", "the refresh token was given to another client"},

	{"request_not_described", "forward-auth was asked without the request that it is about"},
	{"invalid_description", "what forward-auth was told of the request cannot be read"},
	{"proxy_not_trusted", "forward-auth was told of a request by a peer that is not in `trusted_proxies`"},
	{"interrupted", "the answer ended before its time"},
	{"invalid_target", "the request's target, or the question about it, cannot be read"},
	{"upstream_failed", "the service behind the gateway cannot be reached"},
	{"upstream_timeout", "the service behind the gateway does not answer in time"},
	{"request_timeout", "the request's body did not come in time"},
	{"broken_body", "the request's body could not be read"},
	{"client_gone", "the client gave up"},
	{"forged", "nobody who has the server's secret wrote the event as it is"},
	{"cut", "the end is missing, or the database is an older copy"},
	{"rewritten", "what stands there is not what the server has seen"},
	{"broken", "a seal does not continue the one before"},
	{"no_head", "`audit.head` in the data folder is missing or cannot be read"},
	{"gathered", "under a flood, many events of this action that differ otherwise"},
}

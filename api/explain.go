package api

import "time"

// Explain asks why something is allowed or not: POST /explain. It says who
// (Token, Account or Anonymous), and what they want to do (Method and Path, or
// Scope, or neither: then it is about the token alone). A RequestID instead
// asks about a request that was made, which the answer to it names.
type Explain struct {
	Token     string `json:"token,omitempty"`   // an id, or a secret
	Account   string `json:"account,omitempty"` // what its password opens
	Anonymous bool   `json:"anonymous,omitempty"`

	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`  // as a client sends it; with a query, if that matters
	Scope  string `json:"scope,omitempty"` // a rule that forward-auth is asked for
	Addr   string `json:"addr,omitempty"`  // where it comes from

	// Door asks one door: "gateway", "verify", which is forward-auth, or
	// "registry", the realm of container registries. Without it, the one that
	// such a request comes to is asked.
	Door string `json:"door,omitempty"`

	RequestID string `json:"request_id,omitempty"`
}

// Explanation is the answer to [Explain].
type Explanation struct {
	Allowed bool   `json:"allowed"`
	Verdict string `json:"verdict"` // why, in a sentence

	Account string `json:"account,omitempty"`
	Token   *Token `json:"token,omitempty"`

	Door     string   `json:"door,omitempty"`     // that decides: "gateway", "verify", "registry" or "api"
	Status   int      `json:"status,omitempty"`   // that it answers; 0: the request goes on
	Readings []string `json:"readings,omitempty"` // of the path, as it was written first

	// Steps are the questions that the decision asks, in order. Those after the
	// first that stands in the way tell what else would.
	Steps []ExplainStep `json:"steps"`

	// ToAllow are commands that would change the answer.
	ToAllow []string `json:"to_allow,omitempty"`

	// Then is what was decided when the request was made; all else is how it
	// would be decided now.
	Then *Decided `json:"then,omitempty"`
}

// ExplainStep is one question of a decision.
type ExplainStep struct {
	Check  string `json:"check"`  // what was looked at, for programs
	Result string `json:"result"` // "yes", "no" (it stands in the way), or "note"
	Text   string `json:"text"`
	Rule   string `json:"rule,omitempty"` // that made it so, or is missing
}

// Decided is how a request was decided.
type Decided struct {
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	Missing string    `json:"missing,omitempty"` // the scope
	Status  string    `json:"status,omitempty"`
	Door    string    `json:"door,omitempty"`
	Method  string    `json:"method,omitempty"`
	Path    string    `json:"path,omitempty"`
	Account string    `json:"account,omitempty"`
	Token   string    `json:"token,omitempty"` // its id
	Addr    string    `json:"addr,omitempty"`
}

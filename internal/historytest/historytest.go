// Package historytest judges what a server answered over time: whether there is
// an order of all calls, each taking effect at one moment between its beginning
// and its end, in which every answer is right. It knows tokens that are issued,
// checked, rotated and revoked, and calls whose answer was lost, which may or
// may not have taken effect, but never by half.
//
// It is for tests that crash a server and go on asking. It makes no calls
// itself. The search is that of the porcupine checker; what is right is said in
// state.go.
package historytest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what a call asks for.
type Kind string

// The kinds of call.
const (
	Issue  Kind = "issue"  // a token, which comes with its first secret
	Check  Kind = "check"  // whether a secret opens its token
	Show   Kind = "show"   // whether a token is live, as a list of tokens has it
	Rotate Kind = "rotate" // a new secret for a token
	Revoke Kind = "revoke" // the end of a token
)

// Outcome is how a call was answered.
type Outcome string

// The outcomes. An answer that says that the server cannot tell, such as 503,
// is Lost: the server may have acted before it.
const (
	Yes  Outcome = "yes"  // done; the secret opens the token; the token is live
	No   Outcome = "no"   // refused; the token has ended
	Lost Outcome = "lost" // no answer
)

// Call is one request to the server and what became of it.
type Call struct {
	Kind    Kind
	Token   string // what it is about; the calls for each token are judged by themselves
	Outcome Outcome

	// Secret numbers the secrets of a token: the one that was checked, or that
	// the call would make. Numbers are given by the caller, each once.
	Secret int

	// Overlap is for how long a rotation lets older secrets live on, and
	// UntilUsed whether they end with the first use of the new one. Without
	// either they end at once. With UntilUsed an Overlap is needed too.
	Overlap   time.Duration
	UntilUsed bool

	// Began and Ended are the moments between which the call took effect, if
	// it did. A lost call has to end when it is certain that it takes effect no
	// more: not when its caller gave up.
	Began, Ended time.Duration

	Client int // who asked, for the report
}

func (c Call) String() string {
	text := fmt.Sprintf("%12v %12v client %d %s", c.Began, c.Ended, c.Client, c.Kind)
	switch c.Kind {
	case Check:
		text += fmt.Sprintf(" secret %d", c.Secret)
	case Issue, Rotate:
		text += fmt.Sprintf(" makes secret %d", c.Secret)
	case Show, Revoke:
	}
	if c.Overlap > 0 {
		text += fmt.Sprintf(" overlap %v", c.Overlap)
	}
	if c.UntilUsed {
		text += " until used"
	}
	return text + ": " + string(c.Outcome)
}

// Violation is a token whose calls no order explains.
type Violation struct {
	Token string
	Calls []Call // in the order in which they began
}

func (v Violation) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "no order of these calls for token %s explains their answers:", v.Token)
	for _, c := range v.Calls {
		fmt.Fprintf(&text, "\n%v", c)
	}
	return text.String()
}

// Judge returns the tokens whose histories cannot be explained. An error means
// that it is not known within the limit whether there are any.
func Judge(history []Call, limit time.Duration) ([]Violation, error) {
	tokens := make(map[string][]Call)
	for _, c := range history {
		tokens[c.Token] = append(tokens[c.Token], c)
	}
	var violations []Violation
	deadline := time.Now().Add(limit)
	for token, calls := range tokens {
		calls = telling(calls)
		slices.SortStableFunc(calls, func(a, b Call) int { return cmp.Compare(a.Began, b.Began) })
		switch judge(calls, max(time.Until(deadline), time.Nanosecond)) {
		case porcupine.Illegal:
			violations = append(violations, Violation{Token: token, Calls: calls})
		case porcupine.Unknown:
			return violations, fmt.Errorf("the %d calls for token %s could not be judged within %v", len(calls), token, limit)
		case porcupine.Ok:
		}
	}
	slices.SortFunc(violations, func(a, b Violation) int { return cmp.Compare(a.Token, b.Token) })
	return violations, nil
}

// telling leaves out lost calls that can have done nothing, which would only
// make the search longer.
func telling(calls []Call) []Call {
	useEnds := slices.ContainsFunc(calls, func(c Call) bool { return c.UntilUsed })
	return slices.DeleteFunc(calls, func(c Call) bool {
		return c.Outcome == Lost && (c.Kind == Show || c.Kind == Check && !useEnds)
	})
}

func judge(calls []Call, limit time.Duration) porcupine.CheckResult {
	operations := make([]porcupine.Operation, len(calls))
	for i, c := range calls {
		operations[i] = porcupine.Operation{ClientId: c.Client, Input: c, Call: int64(c.Began), Return: int64(c.Ended)}
	}
	model := porcupine.NondeterministicModel{
		Init:  func() []any { return []any{state{}} },
		Step:  func(s, call, _ any) []any { return s.(state).after(call.(Call)) },
		Equal: func(a, b any) bool { return a.(state).equal(b.(state)) },
	}
	return porcupine.CheckOperationsTimeout(model.ToModel(), operations, limit)
}

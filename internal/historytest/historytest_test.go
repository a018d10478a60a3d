package historytest

import (
	"strings"
	"testing"
	"time"
)

// script is the history of one token, and whether it breaks a promise.
type script struct {
	name  string
	calls []Call
	bad   bool
}

const ms = time.Millisecond

// call makes a call between two moments in milliseconds.
func call(kind Kind, outcome Outcome, secret int, began, ended time.Duration) Call {
	return Call{Kind: kind, Outcome: outcome, Token: "t", Secret: secret, Began: began * ms, Ended: ended * ms}
}

func overlapping(c Call, overlap time.Duration) Call {
	c.Overlap = overlap
	return c
}

func untilUsed(c Call) Call {
	c.UntilUsed, c.Overlap = true, time.Hour
	return c
}

// TestJudge shows that the checker accepts what may be and that it refuses
// each kind of broken promise: it can fail.
func TestJudge(t *testing.T) {
	issue := call(Issue, Yes, 0, 0, 1)
	rotate := call(Rotate, Yes, 1, 10, 12)
	for _, s := range []script{
		{"a plain life", []Call{issue, call(Check, Yes, 0, 2, 3), rotate, call(Check, No, 0, 13, 14), call(Check, Yes, 1, 15, 16),
			call(Show, Yes, 0, 16, 17), call(Revoke, Yes, 0, 17, 18), call(Check, No, 1, 19, 20), call(Show, No, 0, 21, 22)}, false},
		{"an issued token is lost", []Call{issue, call(Check, No, 0, 2, 3)}, true},
		{"an issued token is lost later", []Call{issue, call(Check, Yes, 0, 2, 3), call(Check, No, 0, 4, 5)}, true},
		{"a token comes back after it was lost", []Call{issue, call(Check, Yes, 0, 2, 3), call(Check, No, 0, 4, 5), call(Check, Yes, 0, 6, 7)}, true},
		{"an issued token is not in the list", []Call{issue, call(Show, No, 0, 2, 3)}, true},
		{"a token that was never issued works", []Call{call(Check, Yes, 0, 2, 3)}, true},

		{"a revoked token works", []Call{issue, call(Revoke, Yes, 0, 2, 3), call(Check, Yes, 0, 4, 5)}, true},
		{"a revoked token works after it was refused", []Call{issue, call(Revoke, Yes, 0, 2, 3), call(Check, No, 0, 4, 5), call(Check, Yes, 0, 6, 7)}, true},
		{"a revoked token is listed as live", []Call{issue, call(Revoke, Yes, 0, 2, 3), call(Show, Yes, 0, 4, 5)}, true},
		{"a revoked token is rotated", []Call{issue, call(Revoke, Yes, 0, 2, 3), rotate}, true},
		{"a check during the revoke may go either way", []Call{issue, call(Revoke, Yes, 0, 2, 9), call(Check, Yes, 0, 3, 4), call(Check, No, 0, 5, 6)}, false},
		{"but not back", []Call{issue, call(Revoke, Yes, 0, 2, 9), call(Check, No, 0, 3, 4), call(Check, Yes, 0, 5, 6)}, true},
		{"a revoke is refused", []Call{issue, call(Revoke, No, 0, 2, 3)}, true},
		{"a second revoke", []Call{issue, call(Revoke, Yes, 0, 2, 3), call(Revoke, Yes, 0, 4, 5)}, false},

		{"a lost revoke was done", []Call{issue, call(Revoke, Lost, 0, 2, 9), call(Check, No, 0, 10, 11)}, false},
		{"a lost revoke was not done", []Call{issue, call(Revoke, Lost, 0, 2, 9), call(Check, Yes, 0, 10, 11)}, false},
		{"a lost revoke is undone", []Call{issue, call(Revoke, Lost, 0, 2, 9), call(Check, No, 0, 4, 5), call(Check, Yes, 0, 10, 11)}, true},
		{"a lost revoke takes effect after all was settled", []Call{issue, call(Revoke, Lost, 0, 2, 9), call(Check, Yes, 0, 10, 11), call(Check, No, 0, 12, 13)}, true},

		{"a rotated secret works", []Call{issue, rotate, call(Check, Yes, 0, 13, 14)}, true},
		{"a new secret does not", []Call{issue, rotate, call(Check, No, 1, 13, 14)}, true},
		{"both work at once", []Call{issue, call(Rotate, Yes, 1, 10, 20), call(Check, Yes, 1, 11, 12), call(Check, Yes, 0, 13, 14)}, true},
		{"a rotation is refused", []Call{issue, call(Rotate, No, 1, 10, 12)}, true},
		{"a lost rotation was done", []Call{issue, call(Rotate, Lost, 1, 10, 12), call(Check, No, 0, 13, 14), call(Rotate, Yes, 2, 15, 16), call(Check, Yes, 2, 17, 18)}, false},
		{"a lost rotation was not done", []Call{issue, call(Rotate, Lost, 1, 10, 12), call(Check, Yes, 0, 13, 14)}, false},
		{"a lost rotation is undone", []Call{issue, call(Rotate, Lost, 1, 10, 20), call(Check, No, 0, 13, 14), call(Check, Yes, 0, 21, 22)}, true},
		{"a lost rotation ends the token", []Call{issue, call(Rotate, Lost, 1, 10, 12), call(Check, No, 0, 13, 14), call(Show, No, 0, 15, 16)}, true},

		{"an overlap", []Call{issue, overlapping(rotate, time.Second), call(Check, Yes, 0, 13, 14), call(Check, Yes, 1, 15, 16), call(Check, No, 0, 2000, 2001)}, false},
		{"an overlap is cut short", []Call{issue, overlapping(rotate, time.Second), call(Check, No, 0, 500, 501)}, true},
		{"an overlap does not end", []Call{issue, overlapping(rotate, time.Second), call(Check, Yes, 0, 2000, 2001)}, true},
		{"an overlap outlives the revoke", []Call{issue, overlapping(rotate, time.Second), call(Revoke, Yes, 0, 13, 14), call(Check, Yes, 0, 15, 16)}, true},
		{"a second rotation ends the first's overlap", []Call{issue, overlapping(rotate, time.Second), call(Rotate, Yes, 2, 13, 14), call(Check, Yes, 0, 15, 16)}, true},
		{"a second rotation lengthens the first's overlap", []Call{issue, overlapping(rotate, time.Second),
			overlapping(call(Rotate, Yes, 2, 20, 21), time.Hour), call(Check, Yes, 1, 2000, 2001), call(Check, Yes, 0, 2002, 2003)}, true},

		{"until the new one is used", []Call{issue, untilUsed(rotate), call(Check, Yes, 0, 13, 14), call(Check, Yes, 1, 15, 16), call(Check, No, 0, 17, 18)}, false},
		{"it is used and the old one works", []Call{issue, untilUsed(rotate), call(Check, Yes, 1, 15, 16), call(Check, Yes, 0, 17, 18)}, true},
		{"it is not used and the old one does not work", []Call{issue, untilUsed(rotate), call(Check, No, 0, 17, 18)}, true},
		{"a lost use counts", []Call{issue, untilUsed(rotate), call(Check, Lost, 1, 15, 16), call(Check, No, 0, 17, 18)}, false},
		{"or it does not", []Call{issue, untilUsed(rotate), call(Check, Lost, 1, 15, 16), call(Check, Yes, 0, 17, 18)}, false},
		{"but is not undone", []Call{issue, untilUsed(rotate), call(Check, Lost, 1, 15, 26), call(Check, No, 0, 17, 18), call(Check, Yes, 0, 27, 28)}, true},
	} {
		got, err := Judge(s.calls, time.Minute)
		if err != nil || (len(got) > 0) != s.bad {
			t.Errorf("Judge(%s) = %v, %v; want a violation: %v", s.name, got, err, s.bad)
		}
	}
}

// One bad history is found among many good ones, and is named.
func TestJudgeNamesTheToken(t *testing.T) {
	var history []Call
	for _, token := range []string{"a", "b", "c"} {
		life := []Call{call(Issue, Yes, 0, 0, 1), call(Revoke, Yes, 0, 2, 3), call(Check, No, 0, 4, 5)}
		if token == "b" {
			life = append(life, call(Check, Yes, 0, 6, 7))
		}
		for _, c := range life {
			c.Token = token
			history = append(history, c)
		}
	}
	got, err := Judge(history, time.Minute)
	if err != nil || len(got) != 1 || got[0].Token != "b" || len(got[0].Calls) != 4 {
		t.Fatalf("Judge() = %v, %v, want the four calls of b", got, err)
	}
	if text := got[0].String(); !strings.Contains(text, "token b") || !strings.Contains(text, "check secret 0: yes") {
		t.Errorf("String() = %q, want the token and its calls", text)
	}
}

// What cannot be judged in time is no pass.
func TestJudgeGivesUp(t *testing.T) {
	var history []Call
	for i := range 40 {
		history = append(history, Call{Kind: Rotate, Token: "t", Outcome: Lost, Secret: i + 1, Ended: time.Hour})
	}
	history = append(history, call(Issue, Yes, 0, 0, 3_600_000), call(Check, Yes, 99, 0, 3_600_000))
	if got, err := Judge(history, 50*time.Millisecond); err == nil && len(got) == 0 {
		t.Error("Judge() of what takes too long = nothing, want an error or a violation")
	}
}

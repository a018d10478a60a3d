package postgres

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// issuingOf asks for a token that is let in.
func issuingOf(id, account string) *issuing {
	at := time.Unix(1, 0).UTC()
	return &issuing{done: make(chan error, 1), Issue: store.Issue{
		Token:  store.Token{ID: id, AccountID: account, Class: "robot", Name: id, CreatedAt: at},
		Secret: store.Secret{Digest: []byte("digest of " + id), KeyID: "key", CreatedAt: at},
		Admit: func(store.Admission) (store.Event, error) {
			return store.Event{ID: id, At: at, Action: "token.issue", Outcome: "ok", Target: id, Count: 1}, nil
		},
	}}
}

func openWith(t *testing.T, accounts ...string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{DSN: pgtest.New(t)})
	if err != nil {
		t.Fatalf("Open() = %v, want no error", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		var errs []error
		for _, a := range accounts {
			errs = append(errs, tx.InsertAccount(store.Account{ID: a, Kind: store.Robot, Name: a, Source: "local", Subject: a}))
		}
		return errors.Join(errs...)
	}); err != nil {
		t.Fatalf("Update() = %v, want no error", err)
	}
	return s
}

func (s *Store) holds(t *testing.T, want ...string) {
	t.Helper()
	for _, id := range want {
		if _, err := s.Token(t.Context(), id); err != nil {
			t.Errorf("Token(%s) = %v, want no error", id, err)
		}
	}
	all, err := s.Tokens(t.Context(), store.TokenQuery{Limit: 100})
	if err != nil || len(all) != len(want) {
		t.Errorf("Tokens() = %d tokens, %v, want %d", len(all), err, len(want))
	}
	events, err := s.Events(t.Context(), store.EventQuery{Limit: 100})
	if err != nil || len(events) != len(want) {
		t.Errorf("Events() = %d events, %v, want %d", len(events), err, len(want))
	}
}

// Those of a batch who can go together do; each of the others gets its verdict.
func TestIssueTogether(t *testing.T) {
	s := openWith(t, "a", "b")
	refused := errors.New("refused")
	batch := []*issuing{
		issuingOf("t0", "a"), issuingOf("t1", "a"), issuingOf("refused", "b"), issuingOf("nobody's", "nobody"),
		issuingOf("gone", "b"), issuingOf("panics", "b"), issuingOf("t2", "b"),
	}
	batch[2].Admit = func(store.Admission) (store.Event, error) { return store.Event{}, refused }
	batch[4].By = "never was"
	batch[5].Admit = func(store.Admission) (store.Event, error) { panic("boom") }
	for i, one := range batch {
		if admit := one.Admit; i < 2 {
			one.Admit = func(a store.Admission) (store.Event, error) {
				if a.Unrevoked != i {
					t.Errorf("the admission of t%d counts %d tokens, want %d", i, a.Unrevoked, i)
				}
				return admit(a)
			}
		}
	}
	if err := s.issueTogether(batch); err != nil {
		t.Fatalf("issueTogether() = %v, want no error", err)
	}
	for i, want := range []error{nil, nil, refused, errAlone, errAlone, errAlone, nil} {
		if got := batch[i].verdict; !errors.Is(got, want) {
			t.Errorf("the verdict on %s = %v, want %v", batch[i].Token.ID, got, want)
		}
	}
	if got := batch[5].panicked; got != "boom" {
		t.Errorf("panicked = %v, want boom", got)
	}
	s.holds(t, "t0", "t1", "t2")
}

// When an id is taken, nobody's token is written, and all are told to try alone.
func TestIssueTogetherConflict(t *testing.T) {
	s := openWith(t, "a")
	if err := s.Issue(t.Context(), issuingOf("taken", "a").Issue); err != nil {
		t.Fatalf("Issue(taken) = %v, want no error", err)
	}
	batch := []*issuing{issuingOf("t0", "a"), issuingOf("taken", "a")}
	if err := s.issueTogether(batch); !errors.Is(err, errAlone) {
		t.Errorf("issueTogether() with an id that is taken = %v, want %v", err, errAlone)
	}
	s.holds(t, "taken")
}

// Whoever has an account locked holds up those who ask for its tokens, and
// nobody else.
func TestIssuePassesLocks(t *testing.T) {
	s := openWith(t, "locked", "free")
	waiting := make(chan error, 1)
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		if _, err := tx.LockAccount("locked"); err != nil {
			return err
		}
		go func() { waiting <- s.Issue(t.Context(), issuingOf("of locked", "locked").Issue) }()
		for i := range 5 {
			if err := s.Issue(t.Context(), issuingOf(fmt.Sprint("t", i), "free").Issue); err != nil {
				t.Errorf("Issue() beside a locked account = %v, want no error", err)
			}
		}
		select {
		case err := <-waiting:
			t.Errorf("Issue() for a locked account = %v before it was free", err)
			waiting <- err
		default:
		}
		return nil
	}); err != nil {
		t.Fatalf("Update() = %v, want no error", err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("Issue() for an account that was locked = %v, want no error", err)
	}
	s.holds(t, "t0", "t1", "t2", "t3", "t4", "of locked")
}

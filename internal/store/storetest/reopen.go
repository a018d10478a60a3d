package storetest

import (
	"errors"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// RunReopen shows that everything is still there after a store was closed and
// opened again. open opens the same database, empty at first, each time that
// it is called.
func RunReopen(t *testing.T, open func() store.Store) {
	s := open()
	f := fixture{T: t, Store: s, ctx: t.Context()}
	f.update(writeAll)
	f.appendEvents(fullEvent("e2"))
	f.recordUses(store.Use{TokenID: "t", At: second(5), Agent: "curl"})
	if err := f.RegisterKey(f.ctx, "k", []byte("check")); err != nil {
		t.Fatalf("RegisterKey() = %v, want no error", err)
	}
	before := everything(f)
	if err := s.Close(); err != nil {
		t.Fatalf("Close() = %v, want no error", err)
	}

	f.Store = open()
	defer f.Close()
	same(t, "what is there after reopening", everything(f), before)
	if err := f.RegisterKey(f.ctx, "k", []byte("other")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("RegisterKey(another value) = %v, want %v", err, store.ErrConflict)
	}
	f.update(func(tx store.Tx) error {
		seq, err := tx.AppendChange(store.Change{Kind: store.ChangeGroups})
		if want := before.Changes[0].Seq + 1; seq != want {
			t.Errorf("AppendChange() = %d, want %d", seq, want)
		}
		return err
	})
}

type contents struct {
	Tokens   []store.Token
	Found    store.FoundToken
	Accounts []store.Account
	Groups   []store.Group
	Grants   []store.Grant
	Events   []store.Event
	Changes  []store.Change
	Keys     []string
}

func everything(f fixture) contents {
	f.Helper()
	c := contents{Found: f.found("t"), Events: f.events(store.EventQuery{}), Changes: f.changesAfter(0, 100)}
	var errs [5]error
	c.Tokens, errs[0] = f.Tokens(f.ctx, store.TokenQuery{Limit: 100})
	c.Accounts, errs[1] = f.Accounts(f.ctx, store.AccountQuery{Limit: 100})
	c.Groups, errs[2] = f.Groups(f.ctx)
	c.Grants, errs[3] = f.Grants(f.ctx, store.GrantQuery{})
	c.Keys, errs[4] = f.Keys(f.ctx)
	if err := errors.Join(errs[:]...); err != nil {
		f.Fatalf("reading everything = %v, want no error", err)
	}
	if len(c.Tokens) == 0 || len(c.Accounts) == 0 || len(c.Grants) == 0 || len(c.Changes) == 0 || len(c.Keys) == 0 {
		f.Fatalf("something is missing: %+v", c)
	}
	return c
}

package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var accountTests = []test{
	{"RoundTrip", accountRoundTrip},
	{"NotFound", accountNotFound},
	{"Conflict", accountConflict},
	{"Invalid", accountInvalid},
	{"Update", accountUpdate},
	{"Delete", accountDelete},
	{"Since", accountSince},
	{"ByName", accountsByName},
	{"Filters", accountFilters},
	{"Pages", accountPages},
}

func accountID(a store.Account) string { return a.ID }

func fullAccount(id string) store.Account {
	return store.Account{
		ID: id, Kind: store.Robot, Name: "róbot 🤖 " + id, Source: "django", Subject: "42-" + id,
		Email: "a@example.org", Note: "line\nline", PasswordHash: "$argon2id$…", Fingerprint: "f",
		Disabled: true, DisabledReason: "left", Epoch: 1 << 40, MaxTokens: 12,
		CreatedAt: start, LastLoginAt: minute(3),
	}
}

func accountRoundTrip(f fixture) {
	for _, want := range []store.Account{newAccount("plain"), fullAccount("full"), {ID: "empty"}} {
		f.update(func(tx store.Tx) error { return tx.InsertAccount(want) })
		got, err := f.Account(f.ctx, want.ID)
		if err != nil {
			f.Fatalf("Account(%q) = %v, want no error", want.ID, err)
		}
		same(f, "Account("+want.ID+")", got, want)
		got, err = f.AccountBySubject(f.ctx, want.Source, want.Subject)
		if err != nil {
			f.Fatalf("AccountBySubject(%q) = %v, want no error", want.Subject, err)
		}
		same(f, "AccountBySubject("+want.Subject+")", got, want)
		holder, err := f.Holder(f.ctx, want.ID)
		if err != nil {
			f.Fatalf("Holder(%q) = %v, want no error", want.ID, err)
		}
		same(f, "Holder("+want.ID+")", holder, store.Holder{Account: want})
		f.update(func(tx store.Tx) error {
			got, err := tx.LockAccount(want.ID)
			same(f, "LockAccount("+want.ID+")", got, want)
			return err
		})
	}
}

func accountNotFound(f fixture) {
	f.accounts("a")
	for _, id := range []string{"none", "", "\x00\xff"} {
		for name, call := range map[string]func() error{
			"Account":          func() error { _, err := f.Account(f.ctx, id); return err },
			"Holder":           func() error { _, err := f.Holder(f.ctx, id); return err },
			"AccountBySubject": func() error { _, err := f.AccountBySubject(f.ctx, "local", id); return err },
		} {
			if err := call(); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("%s(%q) = %v, want %v", name, id, err, store.ErrNotFound)
			}
		}
		if got, err := f.AccountsByName(f.ctx, id); err != nil || len(got) != 0 {
			f.Errorf("AccountsByName(%q) = %v, %v, want none", id, got, err)
		}
		f.fails("LockAccount", store.ErrNotFound, func(tx store.Tx) error { _, err := tx.LockAccount(id); return err })
		f.fails("DeleteAccount", store.ErrNotFound, func(tx store.Tx) error { return tx.DeleteAccount(id) })
	}
	f.fails("UpdateAccount", store.ErrNotFound, func(tx store.Tx) error { return tx.UpdateAccount(newAccount("none")) })
}

func accountConflict(f fixture) {
	f.accounts("a", "b")
	sameName, sameSubject, elsewhere := newAccount("c"), newAccount("c"), newAccount("c")
	sameName.Name = "name-a"
	sameSubject.Subject = "a"
	elsewhere.Name, elsewhere.Subject, elsewhere.Source = "name-a", "a", "ldap"
	for name, a := range map[string]store.Account{"name": sameName, "subject": sameSubject, "id": newAccount("a")} {
		f.fails("InsertAccount with a taken "+name, store.ErrConflict, func(tx store.Tx) error {
			return tx.InsertAccount(a)
		})
	}
	f.update(func(tx store.Tx) error { return tx.InsertAccount(elsewhere) })

	renamed := newAccount("b")
	renamed.Name = "name-a"
	f.update(func(tx store.Tx) error {
		if err := tx.UpdateAccount(renamed); !errors.Is(err, store.ErrConflict) {
			f.Errorf("UpdateAccount to a taken name = %v, want %v", err, store.ErrConflict)
		}
		renamed.Name = "name-free" // the transaction goes on
		return tx.UpdateAccount(renamed)
	})
	got, err := f.Account(f.ctx, "b")
	if err != nil || got.Name != "name-free" {
		f.Errorf("Account(b) = %q, %v, want name-free", got.Name, err)
	}
}

func accountInvalid(f fixture) {
	bad := newAccount("a")
	bad.Name = "\xff"
	f.fails("InsertAccount with bad text", store.ErrInvalid, func(tx store.Tx) error { return tx.InsertAccount(bad) })
	f.accounts("a")
	f.fails("UpdateAccount with bad text", store.ErrInvalid, func(tx store.Tx) error { return tx.UpdateAccount(bad) })
	if _, err := f.Accounts(f.ctx, store.AccountQuery{}); !errors.Is(err, store.ErrInvalid) {
		f.Errorf("Accounts() without a limit = %v, want %v", err, store.ErrInvalid)
	}
}

func accountUpdate(f fixture) {
	before := newAccount("a")
	f.update(func(tx store.Tx) error { return tx.InsertAccount(before) })
	change := fullAccount("a")
	change.CreatedAt = minute(-9)
	f.update(func(tx store.Tx) error { return tx.UpdateAccount(change) })

	want := change
	want.Kind, want.Source, want.Subject, want.CreatedAt = before.Kind, before.Source, before.Subject, before.CreatedAt
	got, err := f.Account(f.ctx, "a")
	if err != nil {
		f.Fatalf("Account(a) = %v, want no error", err)
	}
	if got.EpochAt.IsZero() {
		f.Errorf("Account(a) after UpdateAccount has no time of its epoch")
	}
	want.EpochAt = got.EpochAt
	same(f, "Account(a) after UpdateAccount", got, want)
	f.update(func(tx store.Tx) error { return tx.UpdateAccount(before) })
	got, _ = f.Account(f.ctx, "a")
	before.EpochAt = got.EpochAt
	same(f, "Account(a) after UpdateAccount back", got, before)
}

// accountSince: since when tokens of other issuers count for an account follows
// its epoch, its name, and who was there before (S29).
func accountSince(f fixture) {
	since := func(id string) time.Time {
		a, err := f.Account(f.ctx, id)
		if err != nil {
			f.Fatalf("Account(%s) = %v, want no error", id, err)
		}
		return a.EpochAt
	}
	a := newAccount("a")
	a.Source, a.Subject, a.Name = "django", "1", "alice"
	f.update(func(tx store.Tx) error { return tx.InsertAccount(a) })
	a.Email = "alice@example.org"
	f.update(func(tx store.Tx) error { return tx.UpdateAccount(a) })
	if got := since("a"); !got.IsZero() {
		f.Errorf("EpochAt of an account that was made and changed = %v, want none", got)
	}
	a.Name = "alicia"
	f.update(func(tx store.Tx) error { return tx.UpdateAccount(a) })
	renamed := since("a")
	if renamed.IsZero() {
		f.Error("EpochAt of a renamed account = none, want a time")
	}
	a.Epoch++
	f.update(func(tx store.Tx) error { return tx.UpdateAccount(a) })
	if got := since("a"); got.Before(renamed) {
		f.Errorf("EpochAt after the epoch rose = %v, want no less than %v", got, renamed)
	}
	f.update(func(tx store.Tx) error { return tx.DeleteAccount("a") })
	for _, next := range []struct {
		id, source, subject, name string
		want                      bool
	}{
		{"b", "django", "1", "other", true}, {"c", "django", "2", "alicia", true},
		{"d", "django", "3", "dora", false}, {"e", "local", "1", "alicia", false},
	} {
		n := newAccount(next.id)
		n.Source, n.Subject, n.Name = next.source, next.subject, next.name
		f.update(func(tx store.Tx) error { return tx.InsertAccount(n) })
		if got := since(next.id); got.IsZero() == next.want {
			f.Errorf("EpochAt of %s/%s/%s after that account was deleted = %v, want one %v", next.source, next.subject, next.name, got, next.want)
		}
	}
	// After a long time nobody asks.
	f.update(func(tx store.Tx) error { return errors.Join(tx.DeleteAccount("b"), tx.DeleteAccount("c")) })
	if _, err := f.Sweep(f.ctx, time.Now().Add(2*store.KeepDeparted), 10); err != nil {
		f.Fatalf("Sweep() = %v", err)
	}
	f.update(func(tx store.Tx) error { return tx.InsertAccount(a) })
	if got := since("a"); !got.IsZero() {
		f.Errorf("EpochAt of an account that is made long after another was deleted = %v, want none", got)
	}
}

func accountDelete(f fixture) {
	f.accounts("a", "b")
	f.tokens(newToken("t1", "a"), newToken("t2", "a"), newToken("t3", "b"))
	f.update(func(tx store.Tx) error {
		_, err := tx.AddMember(store.GroupEveryone, "a") // any group will do
		return errors.Join(err,
			tx.InsertGrant(store.Grant{ID: "g1", AccountID: "a", Scope: "s", CreatedAt: start}),
			tx.InsertGrant(store.Grant{ID: "g2", AccountID: "b", Scope: "s", CreatedAt: start}))
	})
	if err := f.RecordUses(f.ctx, []store.Use{{TokenID: "t1", At: minute(1)}}); err != nil {
		f.Fatalf("RecordUses() = %v, want no error", err)
	}
	f.update(func(tx store.Tx) error { return tx.DeleteAccount("a") })

	f.gone("t1", "t2")
	if _, err := f.TokenByDigest(f.ctx, digest("t1")); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("TokenByDigest(t1) = %v, want %v", err, store.ErrNotFound)
	}
	if _, err := f.Account(f.ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("Account(a) = %v, want %v", err, store.ErrNotFound)
	}
	members, err := f.Members(f.ctx, store.GroupEveryone)
	if err != nil || len(members) != 0 {
		f.Errorf("Members() = %v, %v, want none", members, err)
	}
	grants, err := f.Grants(f.ctx, store.GrantQuery{})
	if err != nil || len(grants) != 1 || grants[0].ID != "g2" {
		f.Errorf("Grants() = %v, %v, want g2 alone", grants, err)
	}
	f.token("t3")
}

func accountsByName(f fixture) {
	for _, source := range []string{"zeta", "local", "alpha"} {
		a := newAccount(source)
		a.Source, a.Name = source, "alice"
		f.update(func(tx store.Tx) error { return tx.InsertAccount(a) })
	}
	f.accounts("bob")
	got, err := f.AccountsByName(f.ctx, "alice")
	if err != nil {
		f.Fatalf("AccountsByName(alice) = %v, want no error", err)
	}
	same(f, "AccountsByName(alice)", ids(got, accountID), []string{"local", "alpha", "zeta"})
	if got, err := f.AccountsByName(f.ctx, "ALICE"); err != nil || len(got) != 0 {
		f.Errorf("AccountsByName(ALICE) = %v, %v, want none", got, err)
	}
}

func accountFilters(f fixture) {
	robot, disabled, elsewhere := newAccount("b"), newAccount("c"), newAccount("d")
	robot.Kind = store.Robot
	disabled.Disabled = true
	elsewhere.Source, elsewhere.Name = "ldap", "other%"
	f.accounts("a")
	f.update(func(tx store.Tx) error {
		return errors.Join(tx.InsertAccount(robot), tx.InsertAccount(disabled), tx.InsertAccount(elsewhere))
	})
	yes, no := true, false
	for name, tt := range map[string]struct {
		q    store.AccountQuery
		want []string
	}{
		"all":      {store.AccountQuery{}, []string{"a", "b", "c", "d"}},
		"kind":     {store.AccountQuery{Kind: store.Robot}, []string{"b"}},
		"source":   {store.AccountQuery{Source: "ldap"}, []string{"d"}},
		"prefix":   {store.AccountQuery{NamePrefix: "name-"}, []string{"a", "b", "c"}},
		"no %":     {store.AccountQuery{NamePrefix: "%"}, nil},
		"odd":      {store.AccountQuery{NamePrefix: "\x00"}, nil},
		"disabled": {store.AccountQuery{Disabled: &yes}, []string{"c"}},
		"enabled":  {store.AccountQuery{Disabled: &no, Source: "local"}, []string{"a", "b"}},
		"limit":    {store.AccountQuery{Limit: 2}, []string{"a", "b"}},
	} {
		if tt.q.Limit == 0 {
			tt.q.Limit = 100
		}
		got, err := f.Accounts(f.ctx, tt.q)
		if err != nil {
			f.Errorf("Accounts by %s = %v, want no error", name, err)
		}
		same(f, "Accounts by "+name, ids(got, accountID), tt.want)
	}
}

func accountPages(f fixture) {
	var want []string
	f.update(func(tx store.Tx) error {
		for i := range 40 {
			a := newAccount(fmt.Sprintf("id-%02d", i))
			a.Name, a.Source = fmt.Sprintf("name-%02d", i/2), fmt.Sprintf("source-%d", i%2) // two of each name
			want = append(want, a.ID)
			if err := tx.InsertAccount(a); err != nil {
				return err
			}
		}
		return nil
	})
	var got []string
	q := store.AccountQuery{Limit: 3}
	for {
		page, err := f.Accounts(f.ctx, q)
		if err != nil {
			f.Fatalf("Accounts(%+v) = %v, want no error", q, err)
		}
		got = append(got, ids(page, accountID)...)
		if len(page) < q.Limit {
			break
		}
		last := page[len(page)-1]
		q.AfterName, q.AfterID = last.Name, last.ID
		// One more in front of what was read may not show.
		before := newAccount("before-" + last.ID)
		before.Name = "a-" + last.ID
		f.update(func(tx store.Tx) error { return tx.InsertAccount(before) })
	}
	same(f, "Accounts() in pages of 3", got, want)
}

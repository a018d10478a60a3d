package storetest

import (
	"errors"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var groupTests = []test{
	{"Standard", groupsStandard},
	{"RoundTrip", groupRoundTrip},
	{"Members", groupMembers},
	{"Delete", groupDelete},
	{"Grants", groupGrants},
	{"GrantConflict", grantConflict},
	{"Holder", groupHolder},
}

func groupName(g store.Group) string { return g.Name }

func groupsStandard(f fixture) {
	groups, err := f.Groups(f.ctx)
	if err != nil {
		f.Fatalf("Groups() = %v, want no error", err)
	}
	same(f, "Groups() of an empty store", ids(groups, groupName), []string{store.GroupAnonymous, store.GroupEveryone})
	grants, err := f.Grants(f.ctx, store.GrantQuery{})
	if err != nil || len(grants) != 0 {
		f.Errorf("Grants() of an empty store = %v, %v, want none", grants, err)
	}
	f.fails("InsertGroup(everyone)", store.ErrConflict, func(tx store.Tx) error {
		return tx.InsertGroup(store.Group{Name: store.GroupEveryone, CreatedAt: start})
	})
}

func groupRoundTrip(f fixture) {
	want := store.Group{Name: "Zür̈ich / ops", Note: "on \"call\"", CreatedAt: start}
	f.update(func(tx store.Tx) error { return tx.InsertGroup(want) })
	groups, err := f.Groups(f.ctx)
	if err != nil || len(groups) != 3 {
		f.Fatalf("Groups() = %v, %v, want three", groups, err)
	}
	same(f, "Groups()[0]", groups[0], want) // upper case sorts first
	f.fails("InsertGroup with bad text", store.ErrInvalid, func(tx store.Tx) error {
		return tx.InsertGroup(store.Group{Name: "\x00"})
	})
}

func groupMembers(f fixture) {
	f.accounts("b", "a")
	f.update(func(tx store.Tx) error { return tx.InsertGroup(store.Group{Name: "ops", CreatedAt: start}) })
	add := func(group, account string, want bool) {
		f.Helper()
		f.update(func(tx store.Tx) error {
			got, err := tx.AddMember(group, account)
			if got != want {
				f.Errorf("AddMember(%q, %q) = %v, want %v", group, account, got, want)
			}
			return err
		})
	}
	add("ops", "b", true)
	add("ops", "a", true)
	add("ops", "a", false)
	for _, pair := range [][2]string{{"ops", "none"}, {"none", "a"}, {"none", "none"}, {"ops", "\x00"}, {"\xff", "a"}} {
		f.fails("AddMember of what is not there", store.ErrNotFound, func(tx store.Tx) error {
			_, err := tx.AddMember(pair[0], pair[1])
			return err
		})
	}
	members, err := f.Members(f.ctx, "ops")
	if err != nil {
		f.Fatalf("Members(ops) = %v, want no error", err)
	}
	same(f, "Members(ops)", members, []store.Account{newAccount("a"), newAccount("b")})
	for _, tt := range []struct {
		group, account string
		want           bool
	}{{"ops", "a", true}, {"ops", "a", false}, {"none", "a", false}, {"ops", "\x00", false}} {
		f.update(func(tx store.Tx) error {
			got, err := tx.RemoveMember(tt.group, tt.account)
			if got != tt.want {
				f.Errorf("RemoveMember(%q, %q) = %v, want %v", tt.group, tt.account, got, tt.want)
			}
			return err
		})
	}
	members, err = f.Members(f.ctx, "ops")
	if err != nil || len(members) != 1 || members[0].ID != "b" {
		f.Errorf("Members(ops) = %v, %v, want b alone", members, err)
	}
	if members, err := f.Members(f.ctx, "none"); err != nil || len(members) != 0 {
		f.Errorf("Members(none) = %v, %v, want none", members, err)
	}
}

func groupDelete(f fixture) {
	f.accounts("a")
	f.update(func(tx store.Tx) error {
		err := tx.InsertGroup(store.Group{Name: "ops", CreatedAt: start})
		_, add := tx.AddMember("ops", "a")
		return errors.Join(err, add, tx.InsertGrant(store.Grant{ID: "g", Group: "ops", Scope: "s", CreatedAt: start}))
	})
	f.update(func(tx store.Tx) error { return tx.DeleteGroup("ops") })
	f.fails("DeleteGroup again", store.ErrNotFound, func(tx store.Tx) error { return tx.DeleteGroup("ops") })
	f.fails("DeleteGroup of odd text", store.ErrNotFound, func(tx store.Tx) error { return tx.DeleteGroup("\x00") })
	grants, err := f.Grants(f.ctx, store.GrantQuery{})
	if err != nil || len(grants) != 0 {
		f.Errorf("Grants() = %v, %v, want none", grants, err)
	}
	holder, err := f.Holder(f.ctx, "a")
	if err != nil {
		f.Fatalf("Holder(a) = %v, want no error", err)
	}
	same(f, "Holder(a)", holder, store.Holder{Account: newAccount("a")})
}

func groupGrants(f fixture) {
	f.accounts("a", "b")
	want := []store.Grant{
		{ID: "g3", AccountID: "a", Scope: "path:/x:read", CreatedAt: start, CreatedBy: "admin"},
		{ID: "g1", Group: store.GroupEveryone, Scope: "path:/x:read", CreatedAt: minute(1)},
		{ID: "g2", AccountID: "b", Scope: "path:/x:read", CreatedAt: minute(1)},
	}
	f.update(func(tx store.Tx) error {
		return errors.Join(tx.InsertGrant(want[2]), tx.InsertGrant(want[1]), tx.InsertGrant(want[0]))
	})
	for name, tt := range map[string]struct {
		q    store.GrantQuery
		want []store.Grant
	}{
		"all":         {store.GrantQuery{}, want},
		"account":     {store.GrantQuery{AccountID: "b"}, want[2:]},
		"group":       {store.GrantQuery{Group: store.GroupEveryone}, want[1:2]},
		"none":        {store.GrantQuery{AccountID: "none"}, nil},
		"odd account": {store.GrantQuery{AccountID: "\x00"}, nil},
		"both":        {store.GrantQuery{AccountID: "a", Group: store.GroupEveryone}, nil},
	} {
		got, err := f.Grants(f.ctx, tt.q)
		if err != nil {
			f.Errorf("Grants by %s = %v, want no error", name, err)
		}
		same(f, "Grants by "+name, got, tt.want)
	}
	f.update(func(tx store.Tx) error {
		got, err := tx.DeleteGrant("g1")
		same(f, "DeleteGrant(g1)", got, want[1])
		return err
	})
	for _, id := range []string{"g1", "\x00"} {
		f.fails("DeleteGrant of what is not there", store.ErrNotFound, func(tx store.Tx) error {
			_, err := tx.DeleteGrant(id)
			return err
		})
	}
}

func grantConflict(f fixture) {
	f.accounts("a")
	f.update(func(tx store.Tx) error {
		return errors.Join(
			tx.InsertGrant(store.Grant{ID: "g1", AccountID: "a", Scope: "s", CreatedAt: start}),
			tx.InsertGrant(store.Grant{ID: "g2", Group: store.GroupEveryone, Scope: "s", CreatedAt: start}))
	})
	f.update(func(tx store.Tx) error {
		for _, tt := range []struct {
			g    store.Grant
			want error
		}{
			{store.Grant{ID: "g3", AccountID: "a", Scope: "s"}, store.ErrConflict},
			{store.Grant{ID: "g3", Group: store.GroupEveryone, Scope: "s"}, store.ErrConflict},
			{store.Grant{ID: "g1", AccountID: "a", Scope: "other"}, store.ErrConflict},
			{store.Grant{ID: "g3", AccountID: "none", Scope: "s"}, store.ErrNotFound},
			{store.Grant{ID: "g3", Group: "none", Scope: "s"}, store.ErrNotFound},
			{store.Grant{ID: "g3", Scope: "s"}, store.ErrInvalid},
			{store.Grant{ID: "g3", AccountID: "a", Scope: "other", CreatedAt: start}, nil},
		} {
			if err := tx.InsertGrant(tt.g); !errors.Is(err, tt.want) {
				f.Errorf("InsertGrant(%+v) = %v, want %v", tt.g, err, tt.want)
			}
		}
		return nil
	})
	if grants, err := f.Grants(f.ctx, store.GrantQuery{}); err != nil || len(grants) != 3 {
		f.Errorf("Grants() = %v, %v, want three", grants, err)
	}
}

func groupHolder(f fixture) {
	f.accounts("a", "b")
	f.update(func(tx store.Tx) error {
		var errs []error
		for _, g := range []string{"zoo", "ops", "other"} {
			errs = append(errs, tx.InsertGroup(store.Group{Name: g, CreatedAt: start}))
		}
		for _, m := range [][2]string{{"zoo", "a"}, {"ops", "a"}, {"other", "b"}, {"everyone", "a"}, {"anonymous", "a"}} {
			_, err := tx.AddMember(m[0], m[1])
			errs = append(errs, err)
		}
		for _, g := range []store.Grant{
			{ID: "1", AccountID: "a", Scope: "own"},
			{ID: "2", AccountID: "a", Scope: "twice"},
			{ID: "3", Group: "ops", Scope: "twice"},
			{ID: "4", Group: "zoo", Scope: "zoo"},
			{ID: "5", Group: "other", Scope: "not mine"},
			{ID: "6", Group: store.GroupEveryone, Scope: "all"},
			{ID: "7", Group: store.GroupAnonymous, Scope: "nobody"},
			{ID: "8", AccountID: "b", Scope: "not mine either"},
		} {
			errs = append(errs, tx.InsertGrant(g))
		}
		return errors.Join(errs...)
	})
	got, err := f.Holder(f.ctx, "a")
	if err != nil {
		f.Fatalf("Holder(a) = %v, want no error", err)
	}
	same(f, "Holder(a)", got, store.Holder{
		Account: newAccount("a"), Groups: []string{"ops", "zoo"}, Grants: []string{"all", "own", "twice", "zoo"}})
}

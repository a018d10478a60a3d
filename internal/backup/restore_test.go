package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/backup"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// theirs is a token that another issuer has signed, which is known here since it
// was revoked.
const theirs = store.ImportedPrefix + "theirs"

// after is what happens in the tests between backup and restore: everything
// that takes something away.
func after(tx store.Tx) error {
	revoked, err := tx.LockToken("tok_full")
	if err != nil {
		return err
	}
	revoked.RevokedAt, revoked.RevokedBy, revoked.RevokeReason = epoch.Add(2*time.Hour), "acc_ann", "leaked"
	rotated, err := tx.LockToken("tok_rotated")
	if err != nil {
		return err
	}
	rotated.RotatedAt, rotated.Prefix = epoch.Add(2*time.Hour), "lkp_rotated 2"
	narrowed, err := tx.LockToken("tok_narrowed")
	if err != nil {
		return err
	}
	narrowed.Scope, narrowed.ExpiresAt = []string{"path:/little:read"}, epoch.Add(150*time.Minute)
	disabled, err := tx.LockAccount("acc_bob")
	if err != nil {
		return err
	}
	disabled.Disabled, disabled.DisabledReason = true, "has left"
	changed, err := tx.LockAccount("acc_ann")
	if err != nil {
		return err
	}
	changed.PasswordHash = "another hash"
	raised, err := tx.LockAccount("acc_cat")
	if err != nil {
		return err
	}
	raised.Epoch++
	_, change := tx.AppendChange(store.Change{At: epoch.Add(2 * time.Hour), Kind: store.ChangeGroups})
	_, noGrant := tx.DeleteGrant("g2")
	newToken, newSecret := token("ann", "later")
	foreign, foreignSecret := token("ann", "of another issuer")
	foreign.ID, foreignSecret.TokenID = theirs, theirs
	foreign.RevokedAt, foreign.ExpiresAt = epoch.Add(2*time.Hour), epoch.Add(100*time.Hour)
	return errors.Join(change, noGrant, tx.InsertToken(foreign, foreignSecret),
		tx.UpdateToken(revoked), tx.UpdateToken(rotated), tx.UpdateToken(narrowed),
		tx.RetireSecrets("tok_rotated", nil, time.Time{}, false),
		tx.InsertSecret(store.Secret{Digest: digestOf("rotated 2"), TokenID: "tok_rotated", KeyID: "server-secret", CreatedAt: epoch}),
		tx.UpdateAccount(disabled), tx.UpdateAccount(changed), tx.UpdateAccount(raised),
		tx.UpdateSigningKey(store.SigningKey{ID: "k1", WithdrawnAt: epoch.Add(2 * time.Hour)}), tx.DeleteSigningKey("k2"),
		tx.InsertSigningKey(store.SigningKey{ID: "k3", Algorithm: "ES256", CreatedAt: epoch.Add(2 * time.Hour)}),
		tx.DeleteAccount("acc_dan"), tx.InsertToken(newToken, newSecret),
		tx.AppendEvent(store.Event{ID: "e3", At: epoch.Add(2 * time.Hour), Action: "token.revoke", Outcome: "ok", Count: 1}),
	)
}

// before adds what after takes away from.
func before(tx store.Tx) error {
	errs := []error{tx.InsertAccount(account("cat")), tx.InsertAccount(account("dan"))}
	for _, id := range []string{"k1", "k2"} {
		errs = append(errs, tx.InsertSigningKey(store.SigningKey{ID: id, Algorithm: "ES256", Public: []byte{1}, Sealed: []byte{0, 2}, CreatedAt: epoch}))
	}
	for _, of := range [][2]string{{"ann", "rotated"}, {"ann", "narrowed"}, {"ann", "kept"}, {"bob", "disabled"}, {"cat", "raised"}, {"dan", "deleted"}} {
		tok, secret := token(of[0], of[1])
		errs = append(errs, tx.InsertToken(tok, secret))
	}
	return errors.Join(errs...)
}

// works lists which secrets open a door at a time after the restore, as the
// core judges it.
func works(t *testing.T, s store.Store, at time.Time) []string {
	t.Helper()
	var list []string
	for _, name := range []string{"full", "rotated", "rotated 2", "narrowed", "kept", "disabled", "raised", "deleted", "later", "ended"} {
		f, err := s.TokenByDigest(t.Context(), digestOf(name))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		h, err := s.Holder(t.Context(), f.Token.AccountID)
		if err != nil {
			t.Fatal(err)
		}
		expired := !f.Token.ExpiresAt.IsZero() && !f.Token.ExpiresAt.After(at) || !f.Secret.ExpiresAt.IsZero() && !f.Secret.ExpiresAt.After(at)
		if f.Token.RevokedAt.IsZero() && f.Token.Epoch >= h.Account.Epoch && !h.Account.Disabled && !expired {
			list = append(list, name)
		}
	}
	return list
}

// S115: what was revoked after the backup stays revoked, unless that was
// accepted in so many words.
func TestRevokedSince(t *testing.T) {
	type outcome struct {
		Works    []string
		Password string // of ann
		Disabled []string
		Events   int
		Keys     []string // with "-" for those that were withdrawn
	}
	decisions := map[string]struct {
		decide func(t *testing.T, plan *backup.Plan, present portable.Target, newer []byte) error
		want   outcome
	}{
		"end tokens": {
			func(t *testing.T, p *backup.Plan, _ portable.Target, _ []byte) error {
				return errors.Join(p.EndTokens(t.Context()), p.EndPasswords(t.Context(), "cat", "new hash"))
			},
			outcome{Disabled: []string{"acc_odd"}, Events: 2},
		},
		"present": {
			func(t *testing.T, p *backup.Plan, present portable.Target, _ []byte) error {
				got, err := p.CarryOver(t.Context(), present)
				if want := (sqlite.Carried{Tokens: 3, Accounts: 2, Rights: 1}); err == nil && got != want {
					t.Errorf("CarryOver() = %+v, want %+v", got, want)
				}
				return err
			},
			outcome{Works: []string{"rotated 2", "kept"}, Password: "another hash", Disabled: []string{"acc_bob", "acc_dan", "acc_odd"}, Events: 3, Keys: []string{"-k1", "k3"}},
		},
		"newer backup": {
			func(t *testing.T, p *backup.Plan, _ portable.Target, newer []byte) error {
				from := prepare(t, newer, newKeys(t, "server-secret"))
				_, err := p.CarryOverBackup(t.Context(), from)
				return err
			},
			outcome{Works: []string{"rotated 2", "kept"}, Password: "another hash", Disabled: []string{"acc_bob", "acc_dan", "acc_odd"}, Events: 3, Keys: []string{"-k1", "k3"}},
		},
		"accept revived": {
			func(_ *testing.T, p *backup.Plan, _ portable.Target, _ []byte) error {
				p.AcceptRevived()
				return nil
			},
			outcome{Works: []string{"full", "rotated", "narrowed", "kept", "disabled", "raised", "deleted"}, Password: "hash of ann", Disabled: []string{"acc_odd"}, Events: 2, Keys: []string{"k1", "k2"}},
		},
	}
	for kind, makePlace := range places {
		for name, d := range decisions {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				keys := newKeys(t, "server-secret")
				p := makePlace(t)
				filled(t, p, keys)
				update(t, p, before)
				old := backupOf(t, p, keys)
				update(t, p, after)
				newer := backupOf(t, p, keys)
				plan := prepare(t, old, keys)
				if want := (sqlite.Tally{Accounts: 5, Tokens: 9, Live: 8, Events: 2}); plan.Tally != want {
					t.Errorf("Tally = %+v, want %+v", plan.Tally, want)
				}
				err := p.replace(t.Context(), func(to portable.Target) error {
					if err := plan.Run(t.Context(), to); err == nil {
						t.Error("Run() without a decision = nil, want an error")
					}
					if err := d.decide(t, plan, to, newer); err != nil {
						return err
					}
					return plan.Run(t.Context(), to)
				})
				if err != nil {
					t.Fatalf("restoring: %v", err)
				}
				s := p.open(t)
				defer closing(t, s)
				got := outcome{Works: works(t, s, epoch.Add(3*time.Hour))}
				got.Password, got.Disabled = passwordOf(t, s, "acc_ann"), disabledIn(t, s)
				got.Keys = signingKeysOf(t, s)
				events, err := s.Events(t.Context(), store.EventQuery{Limit: 100})
				if got.Events = len(events); err != nil {
					t.Error(err)
				}
				// What was signed elsewhere counts again if it is forgotten.
				_, err = s.Token(t.Context(), theirs)
				if known, want := err == nil, len(d.want.Keys) > 0 && d.want.Keys[0] == "-k1"; known != want {
					t.Errorf("the revoked token of another issuer is known: %v (%v), want %v", known, err, want)
				}
				if diff := cmp.Diff(d.want, got); diff != "" {
					t.Errorf("after the restore (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func update(t *testing.T, p place, fn func(store.Tx) error) {
	t.Helper()
	s := p.open(t)
	defer closing(t, s)
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("Update() = %v", err)
	}
}

func signingKeysOf(t *testing.T, s store.Store) []string {
	t.Helper()
	keys, err := s.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range keys {
		if !k.WithdrawnAt.IsZero() {
			k.ID = "-" + k.ID
		}
		list = append(list, k.ID)
	}
	return list
}

func passwordOf(t *testing.T, s store.Store, id string) string {
	t.Helper()
	a, err := s.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return a.PasswordHash
}

func disabledIn(t *testing.T, s store.Store) []string {
	t.Helper()
	yes := true
	list, err := s.Accounts(t.Context(), store.AccountQuery{Disabled: &yes, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, a := range list {
		ids = append(ids, a.ID)
	}
	return sorted(ids)
}

// What is older than the backup, or somebody else's, knows nothing of what was
// revoked since.
func TestNotNewer(t *testing.T) {
	keys := newKeys(t, "server-secret")
	p, stranger := onSQLite(t), onSQLite(t)
	filled(t, p, keys)
	old := backupOf(t, p, keys)
	update(t, p, before)
	update(t, p, after)
	newer := backupOf(t, p, keys)
	filled(t, stranger, newKeys(t, "foreign"))
	plan := prepare(t, newer, keys)
	if _, err := plan.CarryOverBackup(t.Context(), prepare(t, old, keys)); !errors.Is(err, backup.ErrOlder) {
		t.Errorf("CarryOverBackup(older) = %v, want ErrOlder", err)
	}
	for name, from := range map[string]place{"stranger": stranger, "empty": onSQLite(t)} {
		err := from.replace(t.Context(), func(to portable.Target) error {
			_, err := plan.CarryOver(t.Context(), to)
			return err
		})
		if !errors.Is(err, backup.ErrOlder) {
			t.Errorf("CarryOver(%s) = %v, want ErrOlder", name, err)
		}
	}
	to := onSQLite(t)
	if err := to.replace(t.Context(), func(to portable.Target) error { return plan.Run(t.Context(), to) }); err == nil {
		t.Error("Run() after all that = nil, want that nothing was decided")
	}
}

// Who followed the change log before a restore, and lives on, meets a gap and a
// change of everything: numbers never run backwards, nor are they given twice.
func TestPositions(t *testing.T) {
	for kind, makePlace := range places {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			keys := newKeys(t, "server-secret")
			p := makePlace(t)
			filled(t, p, keys)
			update(t, p, before)
			old := backupOf(t, p, keys)
			update(t, p, after)
			last := position(t, p)
			for range 3 { // the same backup again and again
				plan := prepare(t, old, keys)
				plan.AcceptRevived()
				run(t, plan, p)
				s := p.open(t)
				changes, err := s.ChangesAfter(t.Context(), last, 10)
				if err != nil || len(changes) != 1 || changes[0].Kind != store.ChangeGroups || changes[0].Seq < last+2 {
					t.Fatalf("ChangesAfter(%d) = %+v, %v, want one change of everything behind a gap", last, changes, err)
				}
				if err := s.Update(t.Context(), func(tx store.Tx) error {
					_, err := tx.AppendChange(store.Change{At: epoch, Kind: store.ChangeToken, TokenID: "tok_kept"})
					return err
				}); err != nil {
					t.Fatal(err)
				}
				closing(t, s)
				last = position(t, p)
				if last != changes[0].Seq+1 {
					t.Errorf("the change after the restore has the number %d, want %d", last, changes[0].Seq+1)
				}
			}
		})
	}
}

func position(t *testing.T, p place) (n int64) {
	t.Helper()
	err := p.read(t.Context(), func(s portable.Source) (err error) {
		n, err = s.Position(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A database that a server has open is left alone.
func TestInUse(t *testing.T) {
	for kind, makePlace := range places {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			keys := newKeys(t, "server-secret")
			p := makePlace(t)
			filled(t, p, keys)
			s := p.open(t)
			// It has been used, and is idle now.
			if _, err := s.Accounts(t.Context(), store.AccountQuery{Limit: 1}); err != nil {
				t.Fatal(err)
			}
			err := p.replace(t.Context(), func(portable.Target) error { return nil })
			if !errors.Is(err, portable.ErrInUse) {
				t.Errorf("replacing a database in use = %v, want ErrInUse", err)
			}
			closing(t, s)
			if err := p.replace(t.Context(), func(portable.Target) error { return nil }); err != nil {
				t.Errorf("replacing it when it is closed = %v", err)
			}
		})
	}
}

// A restore that fails leaves what was there, or nothing at all.
func TestFailedRestore(t *testing.T) {
	broken := errors.New("broken")
	for kind, makePlace := range places {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			keys := newKeys(t, "server-secret")
			p, q := makePlace(t), makePlace(t)
			filled(t, p, keys)
			plan := prepare(t, backupOf(t, p, keys), keys)
			plan.AcceptRevived()
			update(t, p, before)
			want := content(t, p)
			fail := func(to portable.Target) error { return errors.Join(plan.Run(t.Context(), to), broken) }
			if err := p.replace(t.Context(), fail); !errors.Is(err, broken) {
				t.Fatalf("replacing = %v, want the error of its function", err)
			}
			if diff := cmp.Diff(want, content(t, p)); diff != "" {
				t.Errorf("after a failed restore (-want +got):\n%s", diff)
			}
			if err := q.replace(t.Context(), fail); !errors.Is(err, broken) {
				t.Fatalf("replacing = %v, want the error of its function", err)
			}
			s := q.open(t)
			defer closing(t, s)
			if list, err := s.Accounts(t.Context(), store.AccountQuery{Limit: 10}); err != nil || len(list) > 0 {
				t.Errorf("after a failed restore into nothing, Accounts() = %v, %v, want none", list, err)
			}
		})
	}
}

// A backup of a database that is being written to is one moment of it: what
// belongs together is there together.
func TestOnline(t *testing.T) {
	for kind, makePlace := range places {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			keys := newKeys(t, "server-secret")
			p := makePlace(t)
			filled(t, p, keys)
			s := p.open(t)
			ctx, stop := context.WithCancel(t.Context())
			var writers sync.WaitGroup
			for w := range 3 {
				writers.Go(func() { writePairs(t, ctx, s, w) })
			}
			var backups [][]byte
			for seen := int64(0); len(backups) < 5; { // each with something new
				now := position(t, p)
				if now < seen+5 {
					continue
				}
				seen = now
				backups = append(backups, backupOf(t, p, keys))
			}
			stop()
			writers.Wait()
			closing(t, s)
			for _, b := range backups {
				plan := prepare(t, b, keys)
				plan.AcceptRevived()
				to := onSQLite(t)
				run(t, plan, to)
				checkPairs(t, to, plan.Header.Position)
			}
		})
	}
}

// writePairs writes an account, a token of it, and a change, again and again.
func writePairs(t *testing.T, ctx context.Context, s store.Store, writer int) {
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("pair-%d-%d", writer, i)
		err := s.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
			tok, secret := token(name, name)
			_, change := tx.AppendChange(store.Change{At: epoch, Kind: store.ChangeAccount, AccountID: "acc_" + name})
			return errors.Join(change, tx.InsertAccount(account(name)), tx.InsertToken(tok, secret))
		})
		if err != nil {
			t.Errorf("writing %s: %v", name, err)
			return
		}
	}
}

// checkPairs sees that there are as many accounts, tokens and secrets of
// writePairs as there were changes.
func checkPairs(t *testing.T, p place, changes int64) {
	t.Helper()
	rows := content(t, p)
	count := func(table string) (n int64) {
		for _, r := range rows[table] {
			if strings.Contains(r, `"pair-`) || strings.Contains(r, `"tok_pair-`) {
				n++
			}
		}
		return n
	}
	want := changes - 1 // fill makes one
	for _, table := range []string{"accounts", "tokens", "token_secrets"} {
		if got := count(table); got != want {
			t.Errorf("%d rows of %s in a backup with %d changes", got, table, want)
		}
	}
}

// The database that a backup was made from may have had any older schema.
func TestOlderSchemas(t *testing.T) {
	keys := newKeys(t, "server-secret")
	newest := onSQLite(t)
	filled(t, newest, keys)
	var last int64
	_ = newest.read(t.Context(), func(s portable.Source) error {
		last = s.Schema()
		return nil
	})
	if last < 1 {
		t.Fatalf("the schema has version %d", last)
	}
	for v := int64(1); v <= last; v++ {
		scratch, err := sqlite.NewScratch(t.Context(), v, nil)
		if err != nil {
			t.Fatalf("NewScratch(%d) = %v", v, err)
		}
		for _, table := range scratch.Tables() {
			if table.Name != "server_keys" {
				continue
			}
			key := func(yield func([]any, error) bool) {
				values := map[string]any{"id": "server-secret", "check_value": []byte("x"), "created_at": int64(1)}
				var row []any
				for _, c := range table.Columns {
					row = append(row, values[c])
				}
				yield(row, nil)
			}
			if err := scratch.Insert(t.Context(), table, key); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if _, err := backup.Write(t.Context(), &b, scratch, backup.Options{Keys: keys, Now: epoch}); err != nil {
			t.Fatalf("Write(schema %d) = %v", v, err)
		}
		plan := prepare(t, b.Bytes(), keys)
		plan.AcceptRevived()
		to := onSQLite(t)
		run(t, plan, to)
		s := to.open(t)
		if ids, err := s.Keys(t.Context()); err != nil || len(ids) != 1 {
			t.Errorf("Keys() after the restore of schema %d = %q, %v, want one", v, ids, err)
		}
		closing(t, s)
		if err := scratch.Close(); err != nil {
			t.Error(err)
		}
	}
}

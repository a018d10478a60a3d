package backup_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/backup"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
)

// What a backup of one kind of database holds is what is in another after the
// restore, down to the last column.
func TestMove(t *testing.T) {
	for from, makeFrom := range places {
		for to, makeTo := range places {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				keys := newKeys(t, "server-secret")
				a, b := makeFrom(t), makeTo(t)
				filled(t, a, keys)
				plan := prepare(t, backupOf(t, a, keys), keys)
				plan.AcceptRevived()
				run(t, plan, b)
				want, got := content(t, a), content(t, b)
				if a.kind != b.kind { // their columns may be in another order
					want, got = content(t, throughSQLite(t, a)), content(t, throughSQLite(t, b))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("content after the restore (-want +got):\n%s", diff)
				}
				for name, rows := range got {
					if len(rows) < 2 && mustHaveRows[name] {
						t.Errorf("the table %s is empty, want rows that were compared", name)
					}
				}
				s := b.open(t)
				defer closing(t, s)
				found, err := s.TokenByDigest(t.Context(), digestOf("plain 2"))
				if err != nil || found.Token.ID != "tok_plain" || !found.HasPredecessor {
					t.Errorf("TokenByDigest(successor) = %+v, %v, want tok_plain with a predecessor", found, err)
				}
				if err := s.Update(t.Context(), func(tx store.Tx) error {
					if n, err := tx.CountLive("acc_ann", epoch, 100); err != nil || n != 2 {
						t.Errorf("CountLive() after the restore = %d, %v, want 2", n, err)
					}
					tok, secret := token("bob", "new")
					return tx.InsertToken(tok, secret)
				}); err != nil {
					t.Errorf("InsertToken() after the restore = %v", err)
				}
				if err := s.RegisterKey(t.Context(), "another", []byte("check")); err != nil {
					t.Errorf("RegisterKey() after the restore = %v", err)
				}
			})
		}
	}
}

// mustHaveRows are the tables that fill puts something into.
var mustHaveRows = map[string]bool{
	"accounts": true, "groups": true, "group_members": true, "grants": true, "tokens": true, "token_secrets": true,
	"token_uses": true, "events": true, "server_keys": true,
}

// throughSQLite copies a database to a new SQLite file, where both of two can
// be compared.
func throughSQLite(t *testing.T, p place) place {
	t.Helper()
	if p.kind == "sqlite" {
		return p
	}
	to := onSQLite(t)
	err := p.read(t.Context(), func(from portable.Source) error {
		return to.replace(t.Context(), func(target portable.Target) error {
			if err := target.Clear(t.Context()); err != nil {
				return err
			}
			return portable.Copy(t.Context(), target, from)
		})
	})
	if err != nil {
		t.Fatalf("copying from %s: %v", p, err)
	}
	return to
}

// Every table of the schema is in a backup or left out for a reason, and both
// kinds of databases have the same tables and columns.
func TestEveryTable(t *testing.T) {
	columns := map[string]map[string]string{}
	for kind, makePlace := range map[string]func(*testing.T) place{"sqlite": onSQLite, "postgres": onPostgres} {
		p := makePlace(t)
		closing(t, p.open(t))
		columns[kind] = map[string]string{}
		err := p.read(t.Context(), func(s portable.Source) error {
			for _, table := range s.Tables() {
				columns[kind][table.Name] = strings.Join(sorted(table.Columns), " ")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(columns["sqlite"], columns["postgres"]); diff != "" {
		t.Errorf("tables and columns of the portable form (-sqlite +postgres):\n%s", diff)
	}
	for name := range mustHaveRows {
		if columns["sqlite"][name] == "" {
			t.Errorf("the portable form has no table %s", name)
		}
	}
}

// A backup that was cut, damaged or edited is refused, whatever was done to it.
func TestDamaged(t *testing.T) {
	keys := newKeys(t, "server-secret")
	p := onSQLite(t)
	filled(t, p, keys)
	good := backupOf(t, p, keys)
	plain := unzip(t, good)
	lines := strings.SplitAfter(string(plain), "\n")
	last := len(lines) - 2 // before the empty one
	tests := map[string]struct {
		archive []byte
		want    error
	}{
		"empty":                {nil, backup.ErrNoBackup},
		"something else":       {[]byte("PK\x03\x04 something else"), backup.ErrNoBackup},
		"another gzip":         {zip("hello\n"), backup.ErrNoBackup},
		"no trailer":           {zip(lines[:last]...), backup.ErrDamaged},
		"only a header":        {zip(lines[0]), backup.ErrDamaged},
		"a row is gone":        {zip(append(append([]string{}, lines[:last-1]...), lines[last])...), backup.ErrDamaged},
		"more behind":          {append(bytes.Clone(good), "more"...), backup.ErrDamaged},
		"a line behind":        {zip(append(append([]string{}, lines[:last+1]...), "[]\n")...), backup.ErrDamaged},
		"another one behind":   {append(bytes.Clone(good), good...), backup.ErrDamaged},
		"edited":               {zip(strings.Replace(string(plain), "leaked", "LEAKED", 1)), backup.ErrDamaged},
		"edited with a digest": {zip(redigested(t, strings.Replace(string(plain), "leaked", "LEAKED", 1))), backup.ErrDamaged},
		"no seal":              {zip(strings.Replace(string(plain), `"seal":"`, `"sale":"`, 1)), backup.ErrForeign},
		"newer":                {zip(strings.Replace(string(plain), `"latchkey_backup":1`, `"latchkey_backup":2`, 1)), backup.ErrNewerFormat},
		"a newer schema":       {zip(strings.Replace(string(plain), `"schema":`, `"schema":9`, 1)), store.ErrNewerSchema},
		"another secret":       {zip(strings.Replace(string(plain), `"secrets":["server-secret"]`, `"secrets":["foreign"]`, 1)), backup.ErrForeign},
		"unknown table":        {zip(strings.Replace(string(plain), `"table":"groups"`, `"table":"gruops"`, 1)), portable.ErrForm},
		"unknown column":       {zip(strings.Replace(string(plain), `"disabled"`, `"enabled"`, 1)), portable.ErrForm},
		"twice":                {zip(strings.Replace(string(plain), lines[1], lines[1]+lines[1], 1)), backup.ErrDamaged},
		"no such row":          {zip(strings.Replace(string(plain), `"tok_plain"`, `{}`, 1)), backup.ErrDamaged},
	}
	step := 3
	if testing.Short() {
		step = 50
	}
	for cut := 0; cut < len(good); cut += 37 * step / 3 {
		tests["cut at "+string(rune('0'+cut%10))+hex.EncodeToString([]byte{byte(cut >> 8), byte(cut)})] = struct {
			archive []byte
			want    error
		}{good[:cut], nil}
	}
	for name, tt := range tests {
		plan, err := backup.Prepare(t.Context(), bytes.NewReader(tt.archive), backup.RestoreOptions{Keys: keys, Now: epoch})
		if err == nil {
			_ = plan.Close()
		}
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("Prepare(%s) = %v, want %v", name, err, tt.want)
		}
	}
	for i := 0; i < len(good); i += step {
		changed := bytes.Clone(good)
		changed[i] ^= 0x10
		if same, err := unzipped(changed); err == nil && bytes.Equal(same, plain) {
			continue // a bit of the compression that means nothing
		}
		plan, err := backup.Prepare(t.Context(), bytes.NewReader(changed), backup.RestoreOptions{Keys: keys, Now: epoch})
		if err == nil {
			_ = plan.Close()
			t.Errorf("Prepare() with byte %d changed = nil, want an error", i)
		}
	}
	if _, err := backup.Prepare(t.Context(), bytes.NewReader(good), backup.RestoreOptions{Keys: newKeys(t, "x"), Now: epoch}); !errors.Is(err, backup.ErrForeign) {
		t.Errorf("Prepare() with another secret = %v, want ErrForeign", err)
	}
}

func unzip(t *testing.T, archive []byte) []byte {
	t.Helper()
	plain, err := unzipped(archive)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func unzipped(archive []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func zip(parts ...string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, strings.Join(parts, ""))
	_ = w.Close()
	return b.Bytes()
}

// redigested is what somebody makes who edits a backup without the secret.
func redigested(t *testing.T, plain string) string {
	t.Helper()
	at := strings.LastIndex(strings.TrimSuffix(plain, "\n"), "\n") + 1
	var line map[string]map[string]any
	if err := json.Unmarshal([]byte(plain[at:]), &line); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(plain[:at]))
	line["end"]["sha256"] = hex.EncodeToString(sum[:])
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	return plain[:at] + string(text) + "\n"
}

package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
)

// carried says for each table what [Scratch.CarryOver] does with it.
var carried = map[string]string{
	"accounts":      "merged: what was taken away since stays away",
	"tokens":        "merged: a token that both know is as the newer state says, since tokens can only be narrowed",
	"token_secrets": "merged: of a token that both know, the newer state's",
	"token_uses":    "merged: of a token that both know, the newer state's",
	"families":      "merged: of a family that both know, the newer state's",
	"spent_secrets": "merged: of a family that both know, the newer state's, so that used refresh tokens stay used",
	"server_keys":   "merged: those of both, since secrets refer to them",
	"events":        "the newer state's: what is in a log stays there",
	"event_seals":   "the newer state's: they vouch for its events",
	"event_trim":    "the newer state's: it says where its audit log begins",
	"departed":      "merged: who was deleted on either side",
	"signing_keys":  "the newer state's: those that were withdrawn stay so, and others know the published ones",
	"groups":        "the backup's: that is what a restore is for",
	"group_members": "the backup's: that is what a restore is for",
	"grants":        "the backup's: that is what a restore is for",
}

// Carried says what a newer state did to an older one.
type Carried struct {
	Tokens   int64 // tokens of the backup that had ended since and stay so
	Accounts int64 // accounts that were disabled or deleted since, and are disabled now
	Rights   int64 // grants and memberships that were withdrawn since and come back
}

// CarryOver brings into a backup what a newer state of the same server's data
// has taken away since: revoked and rotated tokens, raised epochs, disabled and
// deleted accounts, changed passwords. An account that was deleted since comes
// back disabled, without tokens and password. What was made since does not
// come along. Both must have the newest schema.
func (s *Scratch) CarryOver(ctx context.Context, newer portable.Source, now time.Time) (Carried, error) {
	for _, t := range s.Tables() {
		if carried[t.Name] == "" {
			return Carried{}, fmt.Errorf("there is no rule for what is carried over of the table %s", t.Name)
		}
		if err := s.beside(ctx, newer, t); err != nil {
			return Carried{}, err
		}
	}
	var result Carried
	live, err := s.unrevoked(ctx)
	if err != nil {
		return Carried{}, err
	}
	if result.Accounts, err = s.count(ctx, "count accounts", `SELECT count(*) FROM accounts AS a
		WHERE NOT a.disabled AND NOT EXISTS (SELECT 1 FROM newer_accounts AS n WHERE n.id = a.id AND NOT n.disabled)`); err != nil {
		return Carried{}, err
	}
	for _, step := range s.carrySteps(now) {
		if err := s.exec(ctx, "carry over "+step.what, step.query, step.args...); err != nil {
			return Carried{}, err
		}
	}
	left, err := s.unrevoked(ctx)
	if err != nil {
		return Carried{}, err
	}
	result.Tokens = live - left
	result.Rights, err = s.count(ctx, "count rights", `SELECT
		(SELECT count(*) FROM grants AS g WHERE NOT EXISTS (SELECT 1 FROM newer_grants AS n WHERE n.scope = g.scope
			AND n.account_id IS g.account_id AND n.group_name IS g.group_name)) +
		(SELECT count(*) FROM group_members AS m WHERE NOT EXISTS (SELECT 1 FROM newer_group_members AS n
			WHERE n.account_id = m.account_id AND n.group_name = m.group_name))`)
	return result, err
}

// unrevoked counts the tokens that nobody has revoked.
func (s *Scratch) unrevoked(ctx context.Context) (int64, error) {
	return s.count(ctx, "count tokens", `SELECT count(*) FROM tokens AS t JOIN accounts AS a ON a.id = t.account_id
		WHERE t.revoked_at IS NULL AND t.epoch >= a.epoch`)
}

// beside copies a table of the newer state to a temporary one beside ours.
func (s *Scratch) beside(ctx context.Context, newer portable.Source, t portable.Table) error {
	if err := portable.Match(newer.Tables(), t); err != nil {
		return err
	}
	var columns []string
	for _, c := range t.Columns {
		columns = append(columns, quote(c))
	}
	name := quote("newer_" + t.Name)
	if err := s.exec(ctx, "make room for "+t.Name, fmt.Sprintf(`CREATE TEMP TABLE %s (%s)`, name, strings.Join(columns, ", "))); err != nil {
		return err
	}
	places := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	if err := s.insert(ctx, t.Name, fmt.Sprintf(`INSERT INTO %s VALUES (%s)`, name, places), len(columns), newer.Rows(ctx, t)); err != nil {
		return err
	}
	for _, key := range []string{"id", "token_id", "account_id"} {
		if slices.Contains(t.Columns, key) {
			index := quote("newer_" + t.Name + "_" + key)
			if err := s.exec(ctx, "index "+t.Name, fmt.Sprintf(`CREATE INDEX temp.%s ON %s (%s)`, index, quote("newer_"+t.Name), quote(key))); err != nil {
				return err
			}
		}
	}
	return nil
}

type carryStep struct {
	what  string
	query string
	args  []any
}

const (
	goneAccount = "deleted after the backup was made"
	goneToken   = "ended and removed after the backup was made"
)

func (s *Scratch) carrySteps(now time.Time) []carryStep {
	at := now.UnixMicro()
	return []carryStep{
		{"accounts", `UPDATE accounts AS a SET
			epoch_at = CASE WHEN n.epoch > a.epoch THEN n.epoch_at ELSE a.epoch_at END, epoch = max(a.epoch, n.epoch),
			disabled_reason = CASE WHEN n.disabled THEN n.disabled_reason ELSE a.disabled_reason END, disabled = max(a.disabled, n.disabled),
			password_hash = n.password_hash, fingerprint = n.fingerprint
			FROM newer_accounts AS n WHERE n.id = a.id`, nil},
		{"deleted accounts", `UPDATE accounts SET epoch = max(epoch + 1, ?), epoch_at = ?, password_hash = '', fingerprint = '',
			disabled = 1, disabled_reason = ? WHERE id NOT IN (SELECT id FROM newer_accounts)`, []any{now.Unix(), at, goneAccount}},
		{"deleted accounts", `INSERT OR REPLACE INTO departed (source, subject, name, at)
			SELECT n.source, n.subject, n.name, n.at FROM newer_departed AS n WHERE true`, nil},
		{"tokens of other issuers", s.carryImported(), nil},
		{"removed tokens", `UPDATE tokens SET revoked_at = ?, revoked_by = '', revoke_reason = ?
			WHERE revoked_at IS NULL AND id NOT IN (SELECT id FROM newer_tokens)`, []any{at, goneToken}},
		{"tokens", s.carryTokens(), nil},
		{"secrets", `DELETE FROM token_secrets WHERE token IN (SELECT t.seq FROM tokens AS t JOIN newer_tokens AS n ON n.id = t.id)`, nil},
		{"secrets", s.carryOfTokens("token_secrets"), nil},
		{"the number of secrets", `UPDATE tokens SET secrets = (SELECT max(1, count(*)) FROM token_secrets WHERE token = tokens.seq)`, nil},
		{"last uses", `DELETE FROM token_uses WHERE token IN (SELECT t.seq FROM tokens AS t JOIN newer_tokens AS n ON n.id = t.id)`, nil},
		{"last uses", s.carryOfTokens("token_uses"), nil},
		{"families", `DELETE FROM families WHERE token IN (SELECT t.seq FROM tokens AS t JOIN newer_tokens AS n ON n.id = t.id)`, nil},
		{"families", s.carryOfTokens("families"), nil},
		{"used refresh tokens", `DELETE FROM spent_secrets WHERE token IN (SELECT t.seq FROM tokens AS t JOIN newer_tokens AS n ON n.id = t.id)`, nil},
		{"used refresh tokens", s.carryOfTokens("spent_secrets"), nil},
		{"server secrets", `INSERT INTO server_keys (id, check_value, created_at)
			SELECT id, check_value, created_at FROM newer_server_keys WHERE id NOT IN (SELECT id FROM server_keys) ORDER BY rowid`, nil},
		{"signing keys", `DELETE FROM signing_keys`, nil},
		{"signing keys", s.carryWhole("signing_keys"), nil},
		{"the audit log", `DELETE FROM events`, nil},
		{"the audit log", s.carryWhole("events"), nil},
		{"the seals of the audit log", `DELETE FROM event_seals`, nil},
		{"the seals of the audit log", s.carryWhole("event_seals"), nil},
		{"the beginning of the audit log", `DELETE FROM event_trim`, nil},
		{"the beginning of the audit log", s.carryWhole("event_trim"), nil},
	}
}

// carryTokens takes over everything that the newer state says of a token that
// both know, except what never changes; a revocation of either counts.
func (s *Scratch) carryTokens() string {
	var set []string
	for _, c := range s.columns("tokens") {
		switch c {
		case "id", "account_id":
		case "revoked_at":
			set = append(set, "revoked_at = ifnull(n.revoked_at, t.revoked_at)")
		default:
			set = append(set, quote(c)+" = n."+quote(c))
		}
	}
	return `UPDATE tokens AS t SET ` + strings.Join(set, ", ") + ` FROM newer_tokens AS n WHERE n.id = t.id`
}

// carryImported takes over the records of other issuers' tokens that are not in
// the backup: without them those would count again.
func (s *Scratch) carryImported() string {
	var columns []string
	for _, c := range s.columns("tokens") {
		columns = append(columns, quote(c))
	}
	list := strings.Join(columns, ", ")
	return fmt.Sprintf(`INSERT INTO tokens (%s) SELECT %s FROM newer_tokens AS n WHERE substr(n.id, 1, 4) = '%s'
		AND id NOT IN (SELECT id FROM tokens) AND account_id IN (SELECT id FROM accounts)`, list, list, store.ImportedPrefix)
}

// carryOfTokens takes over the newer state's rows about tokens that both know.
func (s *Scratch) carryOfTokens(table string) string {
	var into, from []string
	for _, c := range s.columns(table) {
		if c == "token_id" {
			into, from = append(into, "token"), append(from, "t.seq")
			continue
		}
		into, from = append(into, quote(c)), append(from, "n."+quote(c))
	}
	return fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM %s AS n JOIN tokens AS t ON t.id = n.token_id`,
		quote(table), strings.Join(into, ", "), strings.Join(from, ", "), quote("newer_"+table))
}

// carryWhole takes over all rows of the newer state.
func (s *Scratch) carryWhole(table string) string {
	var columns []string
	for _, c := range s.columns(table) {
		columns = append(columns, quote(c))
	}
	list := strings.Join(columns, ", ")
	return fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM %s`, quote(table), list, list, quote("newer_"+table))
}

// columns lists the columns of a table as the portable form has them.
func (s *Scratch) columns(table string) []string {
	i := slices.IndexFunc(s.tables, func(t wholeTable) bool { return t.name == table })
	return s.tables[i].shown().Columns
}

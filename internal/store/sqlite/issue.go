package sqlite

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Issue implements [store.Issuer].
func (s *Store) Issue(ctx context.Context, i store.Issue) error {
	if err := i.Check(); err != nil {
		return err
	}
	return s.writer.do(ctx, func(t *tx) error { return t.issue(i) })
}

func (t *tx) issue(i store.Issue) error {
	a, err := t.admission(i.Token.AccountID, i.By)
	if err != nil {
		return err
	}
	e, err := i.Admit(a)
	if err != nil {
		return err
	}
	if err := t.InsertToken(i.Token, i.Secret); err != nil {
		return err
	}
	return t.AppendEvent(e)
}

// admissionOf is [store.AdmissionIn] in one statement.
const admissionOf = `SELECT concat_ws(char(0), a.name, a.disabled, a.epoch, a.max_tokens,
		ifnull((SELECT c.unrevoked FROM token_counts c WHERE c.account_id = a.id), 0),
		?2 <> '' AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.id = ?2 AND t.revoked_at IS NULL))
	FROM accounts a WHERE a.id = ?1`

// admissionRow reads the columns of an admission.
type admissionRow struct{ store.Admission }

// Scan implements [sql.Scanner].
func (r *admissionRow) Scan(v any) error {
	return unpack(v, &r.Owner, &r.Disabled, &r.Epoch, &r.MaxTokens, &r.Unrevoked, &r.ByGone)
}

func (t *tx) admission(accountID, by string) (store.Admission, error) {
	var r admissionRow
	err := t.get("find the account of a new token", admissionOf, []any{accountID, by}, &r)
	return r.Admission, err
}

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// issueTogether issues the tokens of a batch in one transaction and gives each
// its verdict. The error is for all of them: errAlone when the server did not
// take the whole, else what is wrong with the server.
func (s *Store) issueTogether(batch []*issuing) error {
	var last *tx
	err := s.update(context.Background(), func(t *tx) error {
		last = t
		if err := t.decideAll(batch); err != nil {
			return err
		}
		return t.writeAll(batch)
	})
	if err != nil && last != nil && last.declined() {
		s.log.Debug("tokens are issued one by one", "tokens", len(batch), "cause", s.cause(last.cause))
		return errAlone
	}
	return err
}

// Rows that others have locked are left out, and so are those that do not
// exist. A lock on a token in common is enough to keep it from being revoked.
const (
	lockOwners = `SELECT id, name, disabled, epoch, max_tokens FROM accounts WHERE id = ANY($1::text[])
		FOR NO KEY UPDATE SKIP LOCKED`
	lockAskers = `SELECT id, revoked_at IS NOT NULL FROM tokens WHERE id = ANY($1::text[]) FOR SHARE SKIP LOCKED`
	countsOf   = `SELECT account_id, unrevoked FROM token_counts WHERE account_id = ANY($1::text[])`
)

// decideAll asks for each token whether it is admitted. Later statements of a
// transaction see what was committed before them: so the counts, which are read
// when the accounts are locked, are those that nobody else can add to.
func (t *tx) decideAll(batch []*issuing) error {
	accounts, askers := make([]string, 0, len(batch)), make([]string, 0, len(batch))
	for _, one := range batch {
		accounts = append(accounts, one.Token.AccountID)
		if one.By != "" {
			askers = append(askers, one.By)
		}
	}
	owners, gone := map[string]store.Admission{}, map[string]bool{}
	err := t.send("lock the accounts of new tokens", []pending{
		{query: lockOwners, args: []any{accounts}},
		{query: lockAskers, args: []any{askers}},
		{query: countsOf, args: []any{accounts}},
	}, func(results pgx.BatchResults) error {
		var id string
		var a store.Admission
		err := eachRow(results, []any{&id, &a.Owner, &a.Disabled, &a.Epoch, &a.MaxTokens}, func() { owners[id] = a })
		if err != nil {
			return err
		}
		var revoked bool
		if err := eachRow(results, []any{&id, &revoked}, func() { gone[id] = revoked }); err != nil {
			return err
		}
		var n int
		return eachRow(results, []any{&id, &n}, func() {
			if a, ok := owners[id]; ok {
				a.Unrevoked = n
				owners[id] = a
			}
		})
	})
	if err != nil {
		return err
	}
	for _, one := range batch {
		a, known := owners[one.Token.AccountID]
		byGone, knownBy := gone[one.By]
		if one.verdict = errAlone; !known || one.By != "" && !knownBy {
			continue
		}
		a.ByGone = byGone
		if one.decide(a); one.verdict == nil {
			a.Unrevoked++
			owners[one.Token.AccountID] = a
		}
	}
	return nil
}

// eachRow reads the rows of a result.
func eachRow(results pgx.BatchResults, dest []any, do func()) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, dest, func() error { do(); return nil })
	return err
}

// decide asks whether a token is admitted.
func (one *issuing) decide(a store.Admission) {
	defer func() {
		if one.panicked = recover(); one.panicked != nil {
			one.verdict = errAlone // is not looked at
		}
	}()
	if one.event, one.verdict = one.Admit(a); one.verdict != nil {
		return
	}
	one.event = one.event.Clean()
	if one.labels, one.verdict = object(one.Token.Labels); one.verdict == nil {
		one.detail, one.verdict = object(one.event.Detail)
	}
}

const (
	insertTokens = `INSERT INTO tokens (id, account_id, class, name, prefix, slot, scope, labels, cidrs, epoch, parent_id,
			created_at, expires_at, idle_after, revoked_by, revoke_reason)
		SELECT id, account_id, class, name, prefix, slot, scope::text[], labels::jsonb, cidrs::text[], epoch, parent_id,
			created_at, expires_at, idle_after, '', ''
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::text[], $10::bigint[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::bigint[])
			AS r (id, account_id, class, name, prefix, slot, scope, labels, cidrs, epoch, parent_id, created_at, expires_at, idle_after)`
	insertSecrets = `INSERT INTO token_secrets (token_id, digest, key_id, sealed, created_at, expires_at, until_successor)
		SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bytea[], $5::timestamptz[], $6::timestamptz[], $7::boolean[])`
	insertEvents = `INSERT INTO events (` + eventColumns + `, mac)
		SELECT id, at, action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent, request_id,
			correlation_id, detail::jsonb, count, mac
		FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::bytea[])
			AS r (` + eventColumns + `, mac)`
)

// writeAll writes those that were admitted, along with the commit.
func (t *tx) writeAll(batch []*issuing) error {
	var admitted []*issuing
	for _, one := range batch {
		if one.verdict == nil {
			admitted = append(admitted, one)
		}
	}
	if len(admitted) == 0 {
		return nil
	}
	if err := t.later("insert tokens", insertTokens, tokenValues(admitted)...); err != nil {
		return err
	}
	if err := t.later("insert secrets", insertSecrets, secretValues(admitted)...); err != nil {
		return err
	}
	return t.later("append events", insertEvents, eventValues(admitted)...)
}

func tokenValues(list []*issuing) []any {
	return []any{
		column(list, func(i *issuing) string { return i.Token.ID }),
		column(list, func(i *issuing) string { return i.Token.AccountID }),
		column(list, func(i *issuing) string { return i.Token.Class }),
		column(list, func(i *issuing) string { return i.Token.Name }),
		column(list, func(i *issuing) string { return i.Token.Prefix }),
		column(list, func(i *issuing) string { return i.Token.Slot }),
		column(list, func(i *issuing) string { return arrayText(i.Token.Scope) }),
		column(list, func(i *issuing) string { return i.labels }),
		column(list, func(i *issuing) string { return arrayText(ranges(i.Token.CIDRs)) }),
		column(list, func(i *issuing) int64 { return i.Token.Epoch }),
		column(list, func(i *issuing) string { return i.Token.ParentID }),
		column(list, func(i *issuing) time.Time { return i.Token.CreatedAt }),
		column(list, func(i *issuing) *time.Time { return orNull(i.Token.ExpiresAt) }),
		column(list, func(i *issuing) int64 { return i.Token.IdleAfter.Microseconds() }),
	}
}

func secretValues(list []*issuing) []any {
	return []any{
		column(list, func(i *issuing) string { return i.Token.ID }),
		column(list, func(i *issuing) []byte { return i.Secret.Digest }),
		column(list, func(i *issuing) string { return i.Secret.KeyID }),
		column(list, func(i *issuing) []byte { return sealed(i.Secret) }),
		column(list, func(i *issuing) time.Time { return i.Secret.CreatedAt }),
		column(list, func(i *issuing) *time.Time { return orNull(i.Secret.ExpiresAt) }),
		column(list, func(i *issuing) bool { return i.Secret.UntilSuccessor }),
	}
}

func eventValues(list []*issuing) []any {
	return []any{
		column(list, func(i *issuing) string { return i.event.ID }),
		column(list, func(i *issuing) time.Time { return i.event.At }),
		column(list, func(i *issuing) string { return i.event.Action }),
		column(list, func(i *issuing) string { return i.event.Outcome }),
		column(list, func(i *issuing) string { return i.event.Reason }),
		column(list, func(i *issuing) string { return i.event.ActorID }),
		column(list, func(i *issuing) string { return i.event.ActorName }),
		column(list, func(i *issuing) string { return i.event.TokenID }),
		column(list, func(i *issuing) string { return i.event.Target }),
		column(list, func(i *issuing) string { return i.event.Addr }),
		column(list, func(i *issuing) string { return i.event.Agent }),
		column(list, func(i *issuing) string { return i.event.RequestID }),
		column(list, func(i *issuing) string { return i.event.CorrelationID }),
		column(list, func(i *issuing) string { return i.detail }),
		column(list, func(i *issuing) int64 { return int64(i.event.Count) }),
		column(list, func(i *issuing) []byte { return bytesOf(i.event.MAC) }),
	}
}

// column gives one column of what is to be inserted.
func column[T any](list []*issuing, of func(*issuing) T) []T {
	values := make([]T, len(list))
	for i, one := range list {
		values[i] = of(one)
	}
	return values
}

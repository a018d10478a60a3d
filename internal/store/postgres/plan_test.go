package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// What may be asked often, or of much, must have an index to go by.
func TestQueriesUseIndexes(t *testing.T) {
	dsn := pgtest.New(t)
	s, err := Open(t.Context(), Options{DSN: dsn})
	if err != nil {
		t.Fatalf("Open() = %v, want no error", err)
	}
	defer s.Close()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	// On empty tables the planner takes what is possible only when told to.
	for _, way := range []string{"seqscan", "bitmapscan", "sort", "incremental_sort", "hashagg", "hashjoin", "mergejoin"} {
		if _, err := conn.Exec(t.Context(), `SET enable_`+way+` = off`); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Unix(1, 0)
	position := store.Position{At: at, ID: "x"}
	tokens := func(q store.TokenQuery) (string, []any) { s, args, _ := tokenQuery(q); return s, args }
	events := func(q store.EventQuery) (string, []any) { s, args, _ := eventQuery(q); return s, args }
	one := func(query string, args ...any) func() (string, []any) {
		return func() (string, []any) { return query, args }
	}
	token := func(q store.TokenQuery) func() (string, []any) { return func() (string, []any) { return tokens(q) } }
	event := func(q store.EventQuery) func() (string, []any) { return func() (string, []any) { return events(q) } }
	for name, tt := range map[string]struct {
		query func() (string, []any)
		index string
		sorts bool
	}{
		"TokenByDigest": {query: one(tokenByDigest, []byte{1}), index: "token_secrets_pkey"},
		"Token":         {query: one(tokenByID, "a"), index: "tokens_pkey"},
		"SecretOfSlot":  {query: one(tokenBySlot, "a", "b"), index: "tokens_slot", sorts: true},
		"CountLive":     {query: one(countLive, "a", at, 1), index: "tokens_unrevoked"},
		"Holder":        {query: one(holderByID, "a"), index: "accounts_pkey", sorts: true},

		"Issue, owners": {query: one(lockOwners, []string{"a"}), index: "accounts_pkey"},
		"Issue, askers": {query: one(lockAskers, []string{"a"}), index: "tokens_pkey"},
		"Issue, counts": {query: one(countsOf, []string{"a"}), index: "token_counts_pkey"},

		"Tokens":            {query: token(store.TokenQuery{After: position}), index: "tokens_age"},
		"Tokens of account": {query: token(store.TokenQuery{AccountID: "a", After: position, State: store.TokenLive}), index: "tokens_account_age"},
		"Tokens by name":    {query: token(store.TokenQuery{NamePrefix: "a", UnusedSince: at}), index: "tokens_age"},

		"Events":                {query: event(store.EventQuery{After: position}), index: "events_time"},
		"Events by actor":       {query: event(store.EventQuery{ActorID: "a", Since: at}), index: "events_actor"},
		"Events by target":      {query: event(store.EventQuery{Target: "a", After: position}), index: "events_target"},
		"Events by request":     {query: event(store.EventQuery{RequestID: "a"}), index: "events_request"},
		"Events by correlation": {query: event(store.EventQuery{CorrelationID: "a"}), index: "events_correlation"},
		"Events by token":       {query: event(store.EventQuery{TokenID: "a", After: position}), index: "events_token"},
	} {
		query, args := tt.query()
		rows, err := conn.Query(t.Context(), `EXPLAIN (COSTS OFF) `+query, args...)
		if err != nil {
			t.Fatalf("plan of %s = %v, want no error", name, err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("plan of %s = %v, want no error", name, err)
		}
		plan := strings.Join(lines, "\n")
		if !strings.Contains(plan, tt.index) || strings.Contains(plan, "Seq Scan") {
			t.Errorf("plan of %s does not go by %s:\n%s", name, tt.index, plan)
		}
		for _, line := range lines {
			if step := strings.TrimLeft(line, " ->"); (step == "Sort" || step == "Incremental Sort") && !tt.sorts {
				t.Errorf("plan of %s sorts:\n%s", name, plan)
			}
		}
	}
}

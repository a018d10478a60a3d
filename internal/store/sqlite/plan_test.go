package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

type planned struct {
	query string
	index string // what the plan must name
	sorts bool   // whether it may sort what it found
}

// plannedQueries are those that must not take longer the more there is.
func plannedQueries() map[string]planned {
	at := time.Unix(1, 0)
	tokens := func(q store.TokenQuery) string { s, _ := tokenQuery(q); return s }
	accounts := func(q store.AccountQuery) string { s, _ := accountQuery(q); return s }
	events := func(q store.EventQuery) string { s, _ := eventQuery(q); return s }
	position := store.Position{At: at, ID: "x"}
	return map[string]planned{
		"TokenByDigest":  {query: tokenByDigest, index: "s USING PRIMARY KEY"},
		"Token":          {query: tokenByID, index: "t USING INDEX sqlite_autoindex_tokens_1"},
		"SecretOfSlot":   {query: tokenBySlot, index: "tokens_slot", sorts: true},
		"CountUnrevoked": {query: countUnrevoked, index: "token_counts USING PRIMARY KEY"},
		"CountLive":      {query: countLive, index: "tokens_unrevoked (account_id=? AND epoch=? AND expires_at>?)"},
		"Issue":          {query: admissionOf, index: "a USING INDEX sqlite_autoindex_accounts_1"},
		"Holder":         {query: holderByID, index: "a USING INDEX sqlite_autoindex_accounts_1", sorts: true},
		"Sweep":          {query: deadTokens, index: "tokens_expiry", sorts: true},

		"Tokens":            {query: tokens(store.TokenQuery{Limit: 1, After: position}), index: "tokens_age"},
		"Tokens of account": {query: tokens(store.TokenQuery{AccountID: "a", After: position, State: store.TokenLive}), index: "tokens_account_age"},
		"Tokens by name":    {query: tokens(store.TokenQuery{NamePrefix: "a", UnusedSince: at}), index: "tokens_age"},
		"Tokens by state":   {query: tokens(store.TokenQuery{State: store.TokenRevoked}), index: "tokens_age"},

		"Accounts":         {query: accounts(store.AccountQuery{AfterName: "a"}), index: "accounts_name"},
		"Accounts by name": {query: accounts(store.AccountQuery{NamePrefix: "a", Source: "b"}), index: "accounts_name"},
		"AccountsByName":   {query: accountsByName, index: "accounts_name", sorts: true},

		"Events":                {query: events(store.EventQuery{After: position}), index: "events USING INDEX events_time"},
		"Events by action":      {query: events(store.EventQuery{Action: "token."}), index: "events"},
		"Events by actor":       {query: events(store.EventQuery{ActorID: "a", Since: at}), index: "events_actor (actor_id=? AND at>?)"},
		"Events by target":      {query: events(store.EventQuery{Target: "a", After: position}), index: "events_target"},
		"Events by request":     {query: events(store.EventQuery{RequestID: "a"}), index: "events_request"},
		"Events by correlation": {query: events(store.EventQuery{CorrelationID: "a", Action: "b"}), index: "events_correlation", sorts: true},
		"Events by token":       {query: events(store.EventQuery{TokenID: "a", After: position}), index: "events_token", sorts: true},
	}
}

func TestQueriesUseIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatalf("Open() = %v, want no error", err)
	}
	defer s.Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, tt := range plannedQueries() {
		numbered := strings.Contains(tt.query, "?1")
		args := make([]any, strings.Count(tt.query, "?"))
		if numbered {
			args = make([]any, parameters(tt.query))
		}
		rows, err := db.Query(`EXPLAIN QUERY PLAN `+tt.query, args...)
		if err != nil {
			t.Errorf("plan of %s = %v, want no error", name, err)
			continue
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		all := strings.Join(plan, "\n")
		if !strings.Contains(all, tt.index) {
			t.Errorf("plan of %s does not use %s:\n%s", name, tt.index, all)
		}
		if strings.Contains(all, "TEMP B-TREE FOR ORDER BY") && !tt.sorts {
			t.Errorf("plan of %s sorts:\n%s", name, all)
		}
		for _, line := range plan {
			what, scan := strings.CutPrefix(line, "SCAN ")
			inOrder := what == "events" // a table that is its own index
			if scan && !inOrder && !strings.Contains(what, "USING") && !strings.HasPrefix(what, "(") {
				t.Errorf("plan of %s walks over %s:\n%s", name, what, all)
			}
		}
	}
}

// parameters returns how many numbered parameters a query has.
func parameters(query string) (n int) {
	for strings.Contains(query, fmt.Sprint("?", n+1)) {
		n++
	}
	return n
}

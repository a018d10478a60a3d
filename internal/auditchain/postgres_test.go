package auditchain_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// pgNode is a server on a PostgreSQL that others are on too.
type pgNode struct {
	store.Store
	chain *auditchain.Chain
}

func newPGNode(t *testing.T, dsn string, keys *auditchain.Keys) *pgNode {
	t.Helper()
	inner, err := postgres.Open(context.Background(), postgres.Options{DSN: dsn})
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	t.Cleanup(func() { _ = inner.Close() })
	n := &pgNode{Store: auditchain.Attest(inner, keys)}
	n.chain = auditchain.New(auditchain.Options{Store: n, Keys: keys, Log: slog.New(slog.DiscardHandler)})
	return n
}

func pgEvent(target string) store.Event {
	e := audit.Event(context.Background(), time.Now(), nil, "token.issue", audit.OK)
	e.Target, e.Detail = target, map[string]string{"ü": "\"\\\n<>&\u2028", "": ""}
	return e
}

// S111: several nodes on one PostgreSQL make one chain, also of events whose
// transactions end in another order than they began, and edits are found.
func TestPostgres(t *testing.T) {
	dsn := pgtest.New(t)
	keys := keysOf(t, newKey(t))
	ctx := t.Context()
	a, b := newPGNode(t, dsn, keys), newPGNode(t, dsn, keys)

	// An event gets its place, and its transaction goes on.
	written, go1 := make(chan struct{}), make(chan struct{})
	var slow sync.WaitGroup
	slow.Go(func() {
		err := a.Update(ctx, func(tx store.Tx) error {
			if err := tx.AppendEvent(pgEvent("late")); err != nil {
				return err
			}
			if _, err := tx.CountUnrevoked("nobody"); err != nil && !errors.Is(err, store.ErrNotFound) { // sends what waits
				return err
			}
			close(written)
			<-go1
			return nil
		})
		if err != nil {
			t.Errorf("Update() = %v", err)
		}
	})
	<-written
	if err := b.AppendEvents(ctx, []store.Event{pgEvent("early")}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*pgNode{a, b} {
		if err := n.chain.Seal(ctx); err != nil {
			t.Fatalf("Seal() = %v", err)
		}
	}
	close(go1)
	slow.Wait()
	if report, err := b.chain.Verify(ctx, auditchain.Head{}, nil); err != nil || !report.Intact || report.Events != 2 || report.Seals != 2 || report.Unsealed != 0 {
		t.Errorf("Verify() = %+v, %v, want both events, each in a seal", report, err)
	}

	var writers sync.WaitGroup
	for i := range 4 {
		n := []*pgNode{a, b}[i%2]
		writers.Go(func() {
			for j := range 25 {
				if err := n.AppendEvents(ctx, []store.Event{pgEvent(fmt.Sprint(i, "-", j))}); err != nil {
					t.Error(err)
				}
				if err := n.chain.Seal(ctx); err != nil {
					t.Errorf("Seal() = %v", err)
				}
			}
		})
	}
	writers.Wait()
	report, err := a.chain.Verify(ctx, b.chain.Head(), nil)
	if err != nil || !report.Intact || report.Events != 102 {
		t.Errorf("Verify() = %+v, %v, want 102 events and nothing wrong", report, err)
	}

	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, tt := range []struct{ query, kind string }{
		{`UPDATE events SET detail = '{"x":"y"}' WHERE target = 'early'`, "changed"},
		{`DELETE FROM events WHERE target = '1-7'`, "missing"},
		{`INSERT INTO events (at, id, action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent, request_id, correlation_id, detail, count, mac)
			SELECT at, 'x', action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent, request_id, correlation_id, detail, count, mac
			FROM events WHERE target = 'late'`, "inserted"},
		{`DELETE FROM event_seals WHERE number = 2`, "seal_missing"},
	} {
		if _, err := conn.Exec(ctx, tt.query); err != nil {
			t.Fatalf("%s: %v", tt.query, err)
		}
		report, err := a.chain.Verify(ctx, auditchain.Head{}, nil)
		if err != nil {
			t.Fatalf("Verify() = %v", err)
		}
		(&log{T: t}).finds(report, tt.kind)
	}
}

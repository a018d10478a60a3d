package postgres

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// usesPerStatement bounds how many rows one statement locks.
const usesPerStatement = 1000

// RecordUses implements [store.Batcher]. Each use stands for itself; a long
// list is written in several transactions.
func (s *Store) RecordUses(ctx context.Context, uses []store.Use) error {
	for part := range slices.Chunk(newest(uses), usesPerStatement) {
		if err := s.recordUses(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// newest gives the newest use of each token, ordered by token, so that nodes
// which write at once lock in the same order.
func newest(uses []store.Use) []store.Use {
	last := make(map[string]store.Use, len(uses))
	for _, u := range uses {
		if known, ok := last[u.TokenID]; store.Storable(u.TokenID) && (!ok || u.At.After(known.At)) {
			last[u.TokenID] = u.Clean()
		}
	}
	return slices.SortedFunc(maps.Values(last), func(a, b store.Use) int { return cmp.Compare(a.TokenID, b.TokenID) })
}

func (s *Store) recordUses(ctx context.Context, uses []store.Use) error {
	ids, times := make([]string, len(uses)), make([]time.Time, len(uses))
	addrs, agents := make([]string, len(uses)), make([]string, len(uses))
	for i, u := range uses {
		ids[i], times[i], addrs[i], agents[i] = u.TokenID, u.At, addressText(u.Addr), u.Agent
	}
	var err error
	for range 3 { // a token may be swept between the join and the check of its key
		err = s.update(ctx, func(t *tx) error {
			_, err := t.exec("record uses", `INSERT INTO token_uses AS known (token_id, at, addr, agent)
				SELECT n.id, n.at, n.addr, n.agent
				FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[]) AS n (id, at, addr, agent)
				JOIN tokens t ON t.id = n.id ORDER BY n.id
				ON CONFLICT (token_id) DO UPDATE SET at = excluded.at, addr = excluded.addr, agent = excluded.agent
					WHERE excluded.at > known.at`, ids, times, addrs, agents)
			return err
		})
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return err
}

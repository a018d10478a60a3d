package sqlite

import (
	"context"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// usesPerTurn keeps a turn of the writer short: nobody waits for uses, but
// others wait for the writer.
const usesPerTurn = 500

// RecordUses implements [store.Batcher]. Each use stands for itself; a long
// list is written in several transactions.
func (s *Store) RecordUses(ctx context.Context, uses []store.Use) error {
	for part := range slices.Chunk(uses, usesPerTurn) {
		err := s.writer.do(ctx, func(t *tx) error {
			for _, u := range part {
				if err := t.recordUse(u); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) recordUse(u store.Use) error {
	u = u.Clean()
	_, err := t.exec("record a use", `INSERT INTO token_uses (token, at, addr, agent)
		SELECT seq, ?, ?, ? FROM tokens WHERE id = ?
		ON CONFLICT (token) DO UPDATE SET at = excluded.at, addr = excluded.addr, agent = excluded.agent
			WHERE excluded.at > token_uses.at`,
		u.At.UnixMicro(), addressText(u.Addr), u.Agent, u.TokenID)
	return err
}

package accounts

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/source"
)

// Watch asks a source once what has become of its accounts.
func (s *Service) Watch(ctx context.Context, w source.Watcher) { s.watch(ctx, w) }

// Hashed is how many passwords were hashed or checked so far.
func (s *Service) Hashed() int64 { return s.passwords.Stats().Entered }

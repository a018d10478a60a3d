package accounts

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/source"
)

// Watch asks a source once what has become of its accounts.
func (s *Service) Watch(ctx context.Context, w source.Watcher) { s.watch(ctx, w) }

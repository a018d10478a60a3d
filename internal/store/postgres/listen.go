package postgres

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is the name under which nodes notify each other of changes.
const channel = "latchkey_changes"

// Bounds of the wait between attempts to connect.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// listener keeps a connection of its own on which it waits for notifications.
type listener struct {
	hints   chan struct{}
	cancel  context.CancelFunc
	stopped chan struct{}
}

// listen starts a listener. text describes errors for the log.
func listen(cfg *pgx.ConnConfig, text func(error) string, log *slog.Logger) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{hints: make(chan struct{}, 1), cancel: cancel, stopped: make(chan struct{})}
	cfg = cfg.Copy()
	cfg.RuntimeParams["application_name"] += " listener"
	go l.run(ctx, cfg, text, log)
	return l
}

func (l *listener) stop() {
	l.cancel()
	<-l.stopped
}

func (l *listener) run(ctx context.Context, cfg *pgx.ConnConfig, text func(error) string, log *slog.Logger) {
	defer close(l.stopped)
	backoff := minBackoff
	for {
		connected, err := l.follow(ctx, cfg)
		if ctx.Err() != nil {
			return
		}
		if connected {
			backoff = minBackoff
		}
		log.Warn("no notifications of changes for a moment", "retry_in", backoff, "cause", text(err))
		wait := time.NewTimer(backoff/2 + rand.N(backoff/2)) // not all nodes at once
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// follow connects and passes notifications on until the connection fails.
func (l *listener) follow(ctx context.Context, cfg *pgx.ConnConfig) (connected bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, `listen `+channel); err != nil {
		return false, err
	}
	for {
		l.hint() // at first for what came while nobody listened
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return true, err
		}
	}
}

func (l *listener) hint() {
	select {
	case l.hints <- struct{}{}:
	default: // there is one already that nobody has taken
	}
}

// Changed implements [store.ChangeReader].
func (s *Store) Changed() <-chan struct{} {
	if s.listener == nil {
		return nil
	}
	return s.listener.hints
}

package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/latchkey-auth/latchkey/internal/config"
)

// logging is where the server logs to, in a form and from a level that can be
// changed while it runs.
type logging struct {
	level slog.LevelVar
	json  atomic.Bool
	log   *slog.Logger
}

func newLogging(w io.Writer, c config.Log) *logging {
	l := &logging{}
	options := &slog.HandlerOptions{Level: &l.level}
	l.log = slog.New(&logHandler{logging: l, text: slog.NewTextHandler(w, options), json: slog.NewJSONHandler(w, options)})
	l.set(c)
	return l
}

func (l *logging) set(c config.Log) {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration allows only what it knows
	l.level.Set(level)
	l.json.Store(c.Format == "json")
}

// logHandler has a handler for each form, with the same attributes.
type logHandler struct {
	*logging
	text, json slog.Handler
}

// Enabled implements [slog.Handler].
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle implements [slog.Handler].
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.logging.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.logging, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.logging, h.text.WithGroup(name), h.json.WithGroup(name)}
}

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/config"
)

// What was made of the logger before follows when form and level are changed.
func TestLoggingChanges(t *testing.T) {
	var out bytes.Buffer
	l := newLogging(&out, config.Log{Level: "info", Format: "text"})
	part := l.log.With("part", "x").WithGroup("g")
	errors := slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)
	said := func() string {
		out.Reset()
		part.Debug("quiet", "a", 1)
		part.Info("loud", "a", 1)
		errors.Print("from a library")
		return out.String()
	}
	if got := said(); !strings.Contains(got, "msg=loud part=x g.a=1") || strings.Contains(got, "quiet") || strings.Contains(got, "library") {
		t.Errorf("as text from info on: %q", got)
	}
	l.set(config.Log{Level: "debug", Format: "json"})
	if got := said(); !strings.Contains(got, `"msg":"quiet","part":"x","g":{"a":1}`) || !strings.Contains(got, `"msg":"from a library"`) {
		t.Errorf("as JSON from debug on: %q", got)
	}
	l.set(config.Log{Level: "error", Format: "text"})
	if got := said(); got != "" {
		t.Errorf("from error on: %q, want nothing", got)
	}
}

package metrics

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// Sources are the parts of the server that count their own work. A nil one has
// no metrics.
type Sources struct {
	Tokens    func() tokens.Stats
	Audit     func() audit.Stats
	Passwords func() password.Stats
	Throttle  func() throttle.Stats
	Logins    func() []int64 // by [accounts.LoginOutcomes]
	Ready     func() bool

	// Certificate returns when the certificate of the listener ends; nil: it
	// has none.
	Certificate func() time.Time

	Spans func() (sent, failed int64) // of traces
}

// Follow says where the metrics are that others count. Until then they are left
// out.
func (m *Metrics) Follow(s Sources) { m.sources.Store(&s) }

// from returns the sources that there are.
func (m *Metrics) from() Sources {
	if s := m.sources.Load(); s != nil {
		return *s
	}
	return Sources{}
}

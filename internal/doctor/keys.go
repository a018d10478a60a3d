package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// signingKeys looks at the keys by which tokens are signed.
func signingKeys(_ context.Context, x *examination) []Finding {
	d, err := x.database()
	if err != nil || d.Schema == 0 {
		return nil // said about the database
	}
	now := x.Now()
	var active, next *store.SigningKey
	for i := range d.SigningKeys {
		k := &d.SigningKeys[i]
		switch keyring.StateOf(*k, now) {
		case keyring.Active:
			if active == nil || k.ActiveAt.After(active.ActiveAt) {
				active = k
			}
		case keyring.Published:
			if next == nil || k.ActiveAt.Before(next.ActiveAt) {
				next = k
			}
		case keyring.Retired, keyring.Withdrawn, keyring.Gone:
		}
	}
	switch {
	case len(d.SigningKeys) == 0:
		return []Finding{fine("there are no signing keys yet; the next start of the server makes them")}
	case active == nil:
		return []Finding{{
			Level: Problem, Seen: "no signing key is in use", Why: "nothing can be signed: no signed identity, no token for a registry",
			Where: atCommand, Fix: []string{"systemctl restart latchkey   # each start makes what is missing"},
		}}
	}
	return activeKey(x.Config.Keys, *active, next, now)
}

func activeKey(policy config.Keys, active store.SigningKey, next *store.SigningKey, now time.Time) []Finding {
	var list []Finding
	ends := active.RetireAt
	if next == nil && !ends.IsZero() && ends.Sub(now) < policy.PublishBefore {
		list = append(list, Finding{
			Level: Warning, Seen: fmt.Sprintf("the signing key %s is used until %s, and no key follows it", active.ID, stamp(ends)),
			Why: "others have to see a key before it signs; a server that runs makes it in time", Where: atCommand, Fix: []string{"systemctl start latchkey"},
		})
	}
	if active.Algorithm != policy.Algorithm && (next == nil || next.Algorithm != policy.Algorithm) {
		list = append(list, Finding{
			Level: Warning, Seen: fmt.Sprintf("the signing key %s is of the algorithm %s, and keys.algorithm is %s", active.ID, active.Algorithm, policy.Algorithm),
			Why: "the change comes with the next start of the server", Where: atCommand, Fix: []string{"systemctl restart latchkey"},
		})
	}
	if cert, err := x509.ParseCertificate(active.Certificate); err == nil && cert.NotAfter.Sub(now) < 14*24*time.Hour {
		list = append(list, Finding{
			Level: Warning, Seen: fmt.Sprintf("the certificate of the signing key %s ends on %s", active.ID, stamp(cert.NotAfter)),
			Why: "registries that go by it refuse what was signed after that", Where: inConfig, Fix: []string{"keys: {rotate_every: 90d}   # and let the server rotate"},
		})
	}
	if len(list) > 0 {
		return list
	}
	rotation := "no rotation is planned"
	if next != nil && !next.ActiveAt.IsZero() {
		rotation = fmt.Sprintf("the next one follows at %s", stamp(next.ActiveAt))
	}
	return []Finding{fine("the signing key %s (%s) is in use, and %s", active.ID, active.Algorithm, rotation)}
}

// stamp words a time for people.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

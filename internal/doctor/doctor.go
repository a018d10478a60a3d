// Package doctor looks at a server's configuration and at everything that the
// server stands with, and says what is not as it should be: files, database,
// clocks, certificates, the services behind the gateway and the proxy in front.
//
// It looks and changes nothing: it sends no credential, creates nothing in the
// services that it asks, and what it says holds no secret. It works beside a
// running server as well as without one. What it cannot see from where it runs,
// such as a firewall, it says.
package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/config"
)

// Level says how grave a finding is.
type Level string

// Levels. A problem is something that lets the wrong one in, or will keep the
// server from doing its work; a warning is something that the operator should
// have decided.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Problem Level = "problem"
)

// Finding is one thing that was looked at.
type Finding struct {
	Check string `json:"check"` // what it belongs to: "files", "pulp"
	Level Level  `json:"level"`
	Seen  string `json:"seen"`          // what was found, in a sentence
	Why   string `json:"why,omitempty"` // why that matters; "" when all is well

	// Fix is what to change: lines of a configuration, or commands. Where says
	// which file they belong to, or that they are to be run.
	Where string   `json:"where,omitempty"`
	Fix   []string `json:"fix,omitempty"`
}

// Report is all findings, by check.
type Report struct {
	Findings []Finding `json:"findings"`
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
}

// Options say what to look at. Config is needed and must be valid.
type Options struct {
	Config     config.Config
	ConfigFile string // "": there is none

	// Origin is where clients reach the server according to its configuration;
	// "" if that does not say.
	Origin string

	// URL is the public address at which a proxy in front is asked; "": none is.
	URL string

	// Path is a path that needs a credential behind URL; "": one of the routes.
	Path string

	// PulpUser is a user that Pulp has. Pulp is asked whether it takes a
	// request for this user's by the identity header alone. "": admin.
	PulpUser string

	// Database reads what there is to know about the database; nil: leave it out.
	Database func(context.Context) (Database, error)

	Version string // of this program; "": not compared

	Timeout   time.Duration           // for one question; 5 s if zero
	Now       func() time.Time        // time.Now if nil
	Addresses func() []netip.Addr     // of this machine, without loopback; its interfaces' if nil
	Roots     *x509.CertPool          // the system's if nil
	Synced    func() (known, is bool) // whether the system keeps the clock right; asks it if nil
}

// check looks at one thing.
type check struct {
	name string
	run  func(context.Context, *examination) []Finding
}

// checks lists all of them in the order of the report.
func checks() []check {
	return []check{
		{"configuration", configuration},
		{"files", files},
		{"database", database},
		{"signing keys", signingKeys},
		{"clock", clocks},
		{"certificate", ownCertificate},
		{"server", runningServer},
		{"pulp", pulpAPI},
		{"pulp content", pulpContent},
		{"routes", routes},
		{"around the gateway", around},
		{"proxy in front", front},
	}
}

// examination is what the checks share.
type examination struct {
	Options

	database func() (Database, error) // asks once
}

// Examine looks at everything, at the same time.
func Examine(ctx context.Context, o Options) Report {
	x := &examination{Options: o}
	x.setDefaults()
	x.database = sync.OnceValues(func() (Database, error) { return x.askDatabase(ctx) })
	list := checks()
	found := make([][]Finding, len(list))
	var all sync.WaitGroup
	for i, c := range list {
		all.Go(func() { found[i] = c.run(ctx, x) })
	}
	all.Wait()
	for i, c := range list {
		for n := range found[i] {
			found[i][n].Check = c.name
		}
	}
	return Summarize(slices.Concat(found...))
}

func (x *examination) setDefaults() {
	if x.Timeout <= 0 {
		x.Timeout = 5 * time.Second
	}
	if x.Now == nil {
		x.Now = time.Now
	}
	if x.Addresses == nil {
		x.Addresses = interfaceAddresses
	}
	if x.Synced == nil {
		x.Synced = synchronized
	}
	if x.PulpUser == "" {
		x.PulpUser = "admin"
	}
}

// Summarize counts findings.
func Summarize(findings []Finding) Report {
	r := Report{Findings: findings}
	for _, f := range findings {
		switch f.Level {
		case Problem:
			r.Problems++
		case Warning:
			r.Warnings++
		case OK:
		}
	}
	return r
}

// Invalid makes findings of what is wrong with a configuration.
func Invalid(e *config.Error) []Finding {
	var list []Finding
	for _, p := range e.Problems {
		list = append(list, Finding{
			Check: "configuration", Level: Problem, Seen: p.String(), Why: "the server does not start with it, and nothing else can be looked at",
		})
	}
	return list
}

func fine(format string, args ...any) Finding {
	return Finding{Level: OK, Seen: fmt.Sprintf(format, args...)}
}

// Places where lines to change belong.
const (
	inConfig  = "Latchkey's configuration"
	inPulp    = "Pulp's settings.py; then restart pulpcore-api and pulpcore-content"
	atCommand = "run"
)

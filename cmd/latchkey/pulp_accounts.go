package main

import (
	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/pulpaccounts"
)

// pulpAccounts makes the options by which Pulp is told of accounts; nil when
// they all keep their names.
func pulpAccounts(c config.Config) (*pulpaccounts.Options, error) {
	a := c.Pulp.Accounts
	if !a.Any() {
		return nil, nil
	}
	o := &pulpaccounts.Options{
		Users: pulpaccounts.Rule(a.Users), Robots: pulpaccounts.Rule(a.Robots), Known: c.Sources.Pulp.Name,
		MapTo: a.MapTo, Admin: a.Admin, APIRoot: c.Pulp.APIRoot, Header: c.Pulp.IdentityHeader,
	}
	if c.Pulp.API == "" {
		return o, nil
	}
	var err error
	o.API, err = upstream(c.Pulp.API)
	return o, err
}

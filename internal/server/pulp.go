package server

import "github.com/latchkey-auth/latchkey/internal/pulpaccounts"

// pulpAccounts names accounts to Pulp. Without options they keep their names.
func (s *Server) pulpAccounts(o Options) (*pulpaccounts.Accounts, error) {
	var p pulpaccounts.Options
	if o.PulpAccounts != nil {
		p = *o.PulpAccounts
	}
	p.Audit, p.Log, p.Now = s.audit, o.Log, o.Now
	return pulpaccounts.New(p)
}

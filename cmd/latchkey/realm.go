package main

import (
	"github.com/latchkey-auth/latchkey/internal/config"
	realm "github.com/latchkey-auth/latchkey/internal/dialect/registry"
)

// registryRealm makes the options of the realm; nil when it is off.
func registryRealm(c config.Config) *realm.Options {
	r := c.Registry
	if !r.Enabled {
		return nil
	}
	o := &realm.Options{Path: r.Path, Issuer: r.Issuer, Life: r.Lifetime, NoAnonymous: !r.Anonymous}
	for _, s := range r.Services {
		service := realm.Service{Name: s.Name, Relayed: s.Mode == config.ModeRelay, Renamed: s.Pulp && c.Pulp.Accounts.Any()}
		if s.Key != "libtrust" {
			service.Key = realm.KeyHint(s.Key)
		}
		o.Services = append(o.Services, service)
	}
	return o
}

package server

import (
	"cmp"

	"github.com/latchkey-auth/latchkey/internal/dialect/registry"
	"github.com/latchkey-auth/latchkey/internal/dialect/simplejwt"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// shapes are the forms of the signed tokens that this server gives out.
func (s *Server) shapes() []tokens.Shape {
	o := s.opts
	list := []tokens.Shape{tokens.AccessShape(cmp.Or(o.Issuer, o.Realm))}
	if o.SimpleJWT != nil {
		list = append(list, o.SimpleJWT.Shape())
	}
	return list
}

// bearers are the schemes beside Bearer by which tokens are sent.
func (o Options) bearers() []string {
	if o.SimpleJWT == nil {
		return nil
	}
	return o.SimpleJWT.HeaderTypes
}

// reloadedJWT is what a reload makes of that dialect: whether it is there is
// for a restart to change.
func (o Options) reloadedJWT(next *simplejwt.Options) *simplejwt.Options {
	if o.SimpleJWT == nil || next == nil {
		return o.SimpleJWT
	}
	reloaded := o.SimpleJWT.Reloaded(*next)
	return &reloaded
}

// signingKeys is the policy of the keys, which outlive all that they sign.
func (o Options) signingKeys() keyring.Policy {
	p := o.SigningKeys
	if o.SimpleJWT != nil {
		p.Longest = max(p.Longest, o.SimpleJWT.Longest())
	}
	if o.Registry != nil {
		p.Longest = max(p.Longest, cmp.Or(o.Registry.Life, registry.DefaultLife))
	}
	return p
}

package config

import "strings"

// PulpAccounts says by which name Pulp is told of accounts that it may not know.
type PulpAccounts struct {
	Users  string `key:"users" live:"yes" oneof:"same make map" doc:"By which name Pulp is told of users that are Latchkey's own. same: by theirs, and Pulp refuses those that it does not know. make: by theirs, once there is a user of that name in Pulp, who is made when there is none, without a password and without roles. map: by that in map_to. Users of the password source pulp keep their name in any case, and with map so do those of any other."`
	Robots string `key:"robots" live:"yes" oneof:"same make map" doc:"The same for robots."`
	MapTo  string `key:"map_to" live:"yes" doc:"The user in Pulp, who must be there, for whom accounts pass with map. Latchkey's own audit log has their own names."`
	Admin  string `key:"admin" live:"yes" doc:"The superuser in Pulp by whom users are made, with make. Latchkey names them in identity_header, and needs no password."`
}

// Values of users and robots.
const (
	AccountsSame = "same"
	AccountsMake = "make"
	AccountsMap  = "map"
)

// Any reports whether there are accounts that Pulp is told of by other names
// than their own, or that are made there.
func (a PulpAccounts) Any() bool { return a.uses(AccountsMake) || a.uses(AccountsMap) }

func (a PulpAccounts) uses(way string) bool { return a.Users == way || a.Robots == way }

// pulpAccounts checks that what is asked for can be done.
func (v *validation) pulpAccounts() {
	const key = "pulp.accounts"
	a := v.c.Pulp.Accounts
	for _, part := range []struct{ key, value string }{{".users", a.Users}, {".robots", a.Robots}} {
		if part.value == AccountsMake && v.c.Pulp.API == "" {
			v.wrong(key+part.key, "there is no Pulp to make users in: set pulp.api and pulp.content")
		}
	}
	if a.uses(AccountsMap) {
		v.pulpUser(key+".map_to", a.MapTo)
	}
	if a.uses(AccountsMake) {
		v.pulpUser(key+".admin", a.Admin)
	}
}

// pulpUser checks the name of a user in Pulp, which goes there in a header.
func (v *validation) pulpUser(key, name string) {
	if name == "" || len(name) > 150 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		v.wrong(key, "want the name of a user in Pulp, of at most 150 letters, digits and characters such as - and _")
	}
}

package config

import "testing"

// What was put at the realm's default path before there was a realm stays
// there, and the realm is off, which its origin tells.
func TestRealmGivesWay(t *testing.T) {
	for doc, want := range map[string]string{
		"":                                       "",
		"dialects: {drf: {path: /token}}":        "dialects.drf.path",
		"dialects: {simplejwt: {path: /token/}}": "dialects.simplejwt.path",
		"routes: [{prefix: /token/, upstream: http://h}]":        "routes[0].prefix",
		"dialects: {drf: {path: /token, enabled: false}}":        "",
		"dialects: {drf: {path: /token}}\nregistry: {path: /r/}": "",
	} {
		c := load(t, doc)
		if c.Registry.Enabled != (want == "") || want != "" && c.Origin("registry.enabled").Name != want {
			t.Errorf("Load(%q): the realm is on: %v, by %+v, want it to give way to %q", doc, c.Registry.Enabled, c.Origin("registry.enabled"), want)
		}
	}
}

func TestRegistryServices(t *testing.T) {
	c := load(t, "registry: {services: [{name: a}, {name: b, key: thumbprint}]}")
	if got := c.Registry.Services; len(got) != 2 || got[0] != (RegistryService{"a", "latchkey", "libtrust", true}) || got[1].Key != "thumbprint" {
		t.Errorf("Load() = %+v, want two with their defaults", got)
	}
}

package registryconfig

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func options(r Registry) Options {
	return Options{
		Registry: r, Realm: "https://latchkey.example.com/token/", Issuer: "https://latchkey.example.com/token/",
		Service: "registry.example.com", Folder: "/etc/docker/registry",
		Keys: []Key{
			{"withdrawn", "ES256", "P0\n", "C0\n"}, {"retired", "ES256", "P1\n", "C1\n"},
			{"active", "ES256", "P2\n", "C2\n"}, {"published", "ES256", "P3\n", "C3\n"},
		},
		JWKS: json.RawMessage(`{"keys":[]}`),
	}
}

// auth is the part of a registry's configuration, by its own names
// (distribution, configuration/configuration.go).
type auth struct {
	Auth struct {
		Token struct {
			Realm, Service, Issuer, RootCertBundle, JWKS string
			SigningAlgorithms                            []string
		}
	}
}

func TestDistribution(t *testing.T) {
	for _, tt := range []struct {
		registry Registry
		hint     string
		keys     File
		bundle   string
		jwks     string
		signing  []string
	}{
		{Distribution2, "", File{"latchkey.pem", "C2\nC3\nC1\n"}, "/etc/docker/registry/latchkey.pem", "", nil},
		{Distribution2, "certificate", File{"latchkey.pem", "C2\nC3\nC1\n"}, "/etc/docker/registry/latchkey.pem", "", nil},
		{Distribution3, "", File{"latchkey-jwks.json", "{\"keys\":[]}\n"}, "", "/etc/docker/registry/latchkey-jwks.json", []string{"ES256"}},
		{Distribution3, "thumbprint", File{"latchkey-jwks.json", "{\"keys\":[]}\n"}, "", "/etc/docker/registry/latchkey-jwks.json", []string{"ES256"}},
		{Distribution3, "certificate", File{"latchkey.pem", "C2\nC3\nC1\n"}, "/etc/docker/registry/latchkey.pem", "", []string{"ES256"}},
	} {
		o := options(tt.registry)
		o.Hint = tt.hint
		out, err := New(o)
		if err != nil {
			t.Errorf("New(%s, %q) = %v", tt.registry, tt.hint, err)
			continue
		}
		if diff := cmp.Diff(tt.keys, out.Keys); diff != "" {
			t.Errorf("New(%s, %q): keys (-want +got):\n%s", tt.registry, tt.hint, diff)
		}
		var got, want auth
		if err := yaml.Unmarshal([]byte(out.Settings.Text), &got); err != nil {
			t.Fatalf("%v in %s", err, out.Settings.Text)
		}
		w := &want.Auth.Token
		w.Realm, w.Service, w.Issuer, w.RootCertBundle, w.JWKS, w.SigningAlgorithms = o.Realm, o.Service, o.Issuer, tt.bundle, tt.jwks, tt.signing
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("New(%s, %q): settings (-want +got):\n%s", tt.registry, tt.hint, diff)
		}
		if !strings.Contains(out.Rotation, "restart the registry") {
			t.Errorf("New(%s, %q) does not tell what a rotation takes: %q", tt.registry, tt.hint, out.Rotation)
		}
	}
}

func TestPulp(t *testing.T) {
	o := options(Pulp)
	out, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(File{"latchkey-public-key.pem", "P2\n"}, out.Keys); diff != "" {
		t.Errorf("New(pulp): keys (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		`TOKEN_SERVER = "https://latchkey.example.com/token/"`, `TOKEN_SIGNATURE_ALGORITHM = "ES256"`,
		`PUBLIC_KEY_PATH = "/etc/docker/registry/latchkey-public-key.pem"`, "TOKEN_AUTH_DISABLED = False",
	} {
		if !strings.Contains(out.Settings.Text, want+"\n") {
			t.Errorf("New(pulp) lacks %s:\n%s", want, out.Settings.Text)
		}
	}
	o.Relayed = true
	if out, err = New(o); err != nil || out.Keys.Name != "" || strings.Contains(out.Settings.Text, "PUBLIC_KEY_PATH =") || !strings.Contains(out.Settings.Text, "TOKEN_SERVER =") {
		t.Errorf("New(pulp, relayed) = %+v, %v, want the realm and nothing about keys", out, err)
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Options)
		want   error
	}{
		"no registry":      {func(o *Options) { o.Registry = "harbor" }, ErrRegistry},
		"no realm":         {func(o *Options) { o.Realm = "" }, ErrText},
		"a line break":     {func(o *Options) { o.Service = "a\nb" }, ErrText},
		"a quote":          {func(o *Options) { o.Folder = `/x"y` }, ErrText},
		"no key":           {func(o *Options) { o.Keys = o.Keys[:2] }, ErrKeys},
		"EdDSA":            {func(o *Options) { o.Keys[3].Algorithm = "EdDSA" }, ErrAlgorithm},
		"by a thumbprint":  {func(o *Options) { o.Hint = "thumbprint" }, ErrHint},
		"relayed to it":    {func(o *Options) { o.Relayed = true }, ErrRelay},
		"another issuer":   {func(o *Options) { o.Registry, o.Issuer = Pulp, "https://latchkey.example.com" }, ErrIssuer},
		"withdrawn is not": {func(o *Options) { o.Keys[0].Algorithm = "EdDSA" }, nil},
	} {
		o := options(Distribution2)
		tt.change(&o)
		if _, err := New(o); !errors.Is(err, tt.want) {
			t.Errorf("%s: New = %v, want %v", name, err, tt.want)
		}
	}
}

package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// wantLogin checks a file of logins against what containers-auth.json(5) says.
func wantLogin(t *testing.T, text []byte, registry, user, secret string) {
	t.Helper()
	var file struct {
		Auths map[string]struct{ Auth string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	got, err := base64.StdEncoding.DecodeString(file.Auths[registry].Auth)
	if want := user + ":" + secret; err != nil || string(got) != want {
		t.Errorf("the login to %s: got %q, %v, want %q", registry, got, err, want)
	}
}

func TestPullSecret(t *testing.T) {
	p := pullSecret{registries: []string{"registry.example.org:5000"}, namespace: "on", name: "yes"}
	wantLogin(t, []byte(p.dockerConfig("ci", "lkr_x")), "registry.example.org:5000", "ci", "lkr_x")

	var got struct {
		APIVersion string `yaml:"apiVersion"`
		Kind, Type string
		Metadata   map[string]string
		Data       map[string]string
	}
	manifest := p.manifest(p.dockerConfig("ci", "lkr_x"))
	if err := yaml.Unmarshal([]byte(manifest), &got); err != nil {
		t.Fatalf("%v in %s", err, manifest)
	}
	config, err := base64.StdEncoding.DecodeString(got.Data[".dockerconfigjson"])
	if err != nil {
		t.Fatal(err)
	}
	wantLogin(t, config, "registry.example.org:5000", "ci", "lkr_x")
	if got.APIVersion != "v1" || got.Kind != "Secret" || got.Type != "kubernetes.io/dockerconfigjson" {
		t.Errorf("manifest(…): got %+v", got)
	}
	// Words that YAML takes for booleans stay names.
	if diff := cmp.Diff(map[string]string{"name": "yes", "namespace": "on"}, got.Metadata); diff != "" {
		t.Errorf("manifest(…): metadata (-want +got):\n%s", diff)
	}
}

func TestPullSecretNames(t *testing.T) {
	for _, tt := range []struct {
		registry string
		good     bool
	}{
		{"registry.example.org", true}, {"localhost:5000", true}, {"[2001:db8::1]:5000", true}, {"10.0.0.1", true},
		{"", false}, {"https://registry.example.org", false}, {"registry.example.org/prod", false}, {"a b", false},
		{"registry.example.org:", false}, {"-a", false}, {"user@host", false}, {strings.Repeat(":1", 3), false},
	} {
		p := pullSecret{registries: []string{tt.registry}}
		if err := p.check(formatDocker, "ci"); (err == nil) != tt.good {
			t.Errorf("check with the registry %q = %v, want good: %v", tt.registry, err, tt.good)
		}
	}
}

package config

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, doc string) Config {
	t.Helper()
	c, err := Load(Options{File: write(t, doc)})
	if err != nil {
		t.Fatalf("Load(%q) = %v", doc, err)
	}
	return c
}

func TestReload(t *testing.T) {
	const tls = "tls: {cert: /c, key: /k}\n"
	for _, tt := range []struct {
		name, old, next  string
		applied, pending []string
	}{
		{"nothing", "log: {level: info}", "", nil, nil},
		{"the level", "", "log: {level: debug}", []string{"log.level"}, nil},
		{"a route goes", route(""), "", []string{"routes"}, nil},
		{"a route changes", route(""), route("auth: writes"), []string{"routes"}, nil},
		{"proxies", "", "trusted_proxies: [192.0.2.1]", []string{"trusted_proxies"}, nil},
		{"lives", "", "tokens: {personal: {max: 91d}, keep_ended: 1d}", []string{"tokens.personal.max"}, []string{"tokens.keep_ended"}},
		{"the address", "", "listen: 127.0.0.1:9000", nil, []string{"listen"}},
		{"both kinds", "", "data: /d\naudit: {keep: 1d}", []string{"audit.keep"}, []string{"data"}},
		{"a secret", "", "database: sqlite:/d", nil, []string{"database"}},
		{"another certificate", tls, "tls: {cert: /c2, key: /k2, min_version: '1.3'}", []string{"tls.cert", "tls.key", "tls.min_version"}, nil},
		{"TLS begins", "", tls, nil, []string{"tls.cert", "tls.key"}},
		{"TLS ends", tls, "", nil, []string{"tls.cert", "tls.key"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, next := load(t, tt.old), load(t, tt.next)
			got, err := old.Reload(next)
			if err != nil {
				t.Fatalf("Reload() = %v", err)
			}
			if diff := cmp.Diff([][]string{tt.applied, tt.pending}, [][]string{got.Applied, got.Pending}); diff != "" {
				t.Errorf("Reload(), -want +got:\n%s", diff)
			}
			for _, e := range schema().leaves() {
				want := next
				for _, path := range tt.pending {
					if path == e.path {
						want = old
					}
				}
				if diff := cmp.Diff(e.in(reflect.ValueOf(want)).Interface(), e.in(reflect.ValueOf(got.Config)).Interface(), same()); diff != "" {
					t.Errorf("%s in force, -want +got:\n%s", e.path, diff)
				}
			}
		})
	}
}

// What would be in force is judged as a whole: here a service that this server
// would pass on to itself, since it goes on listening where it did.
func TestReloadOfAMixtureThatIsWrong(t *testing.T) {
	old := load(t, "listen: 127.0.0.1:9000")
	next := load(t, "listen: 127.0.0.1:9001\n"+route(""))
	got, err := old.Reload(next)
	var wrong *Error
	if !errors.As(err, &wrong) || wrong.Problems[0].Key != "routes[0].upstream" {
		t.Errorf("Reload() = %+v, %v, want an error about routes[0].upstream", got, err)
	}
}

func TestReloadKeepsTheOld(t *testing.T) {
	old := load(t, "tokens: {keep_ended: 2d}")
	if _, err := old.Reload(load(t, "tokens: {keep_ended: 3d}")); err != nil {
		t.Fatal(err)
	}
	if old.Tokens.KeepEnded != 48*time.Hour {
		t.Errorf("Reload() changed what it was called on to %v", old.Tokens.KeepEnded)
	}
}

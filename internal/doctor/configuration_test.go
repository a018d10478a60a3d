package doctor

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/config"
)

func TestConfiguration(t *testing.T) {
	tests := []struct {
		name, text string
		mine       string // an address of this machine
		want       []string
		fix        string
	}{
		{"defaults", "", "", nil, ""},
		{"stale", "check: {stale_for: 10m}", "", []string{"warning: check.stale_for is set"}, "check: {stale_for: 0}"},
		{"profiles", "metrics: {listen: 127.0.0.1:9464, pprof: true}", "", []string{"warning: profiles"}, "metrics: {pprof: false}"},
		{"metrics for all", "metrics: {listen: '0.0.0.0:9464'}", "", []string{"warning: metrics.listen"}, "metrics: {listen: 127.0.0.1:9464}"},
		{"plain HTTP in a network of one's own", "{listen: '0.0.0.0:80', plain_http: true}", "10.1.2.3", []string{"warning: plain HTTP"}, "plain_http: false"},
		{"plain HTTP on the Internet", "{listen: '0.0.0.0:80', plain_http: true}", "198.51.100.7", []string{"problem: the Internet can reach it (198.51.100.7)"}, "plain_http: false"},
		{"plain HTTP on one address of it", "{listen: '198.51.100.7:80', plain_http: true}", "", []string{"problem: the Internet"}, ""},
		{"plain HTTP on loopback", "{listen: '127.0.0.1:80', plain_http: true}", "198.51.100.7", nil, ""},
		// S85
		{"one proxy", "trusted_proxies: [127.0.0.1, '198.51.100.7', '10.0.0.0/28']", "", nil, ""},
		{"a network of clients", "trusted_proxies: ['10.0.0.0/16']", "", []string{"warning: trusted_proxies has 10.0.0.0/16"}, "trusted_proxies: [10.0.0.0]"},
		{"a network of the Internet", "trusted_proxies: ['198.51.100.0/24']", "", []string{"problem: trusted_proxies has 198.51.100.0/24"}, ""},
		{"a wide network of IPv6", "trusted_proxies: ['fd00::/64']", "", []string{"warning: trusted_proxies has fd00::/64"}, ""},
		{"passwords", "routes: [{prefix: /x, upstream: 'http://127.0.0.1:9', passwords: pass}]", "", []string{"warning: routes[0] (/x) passes passwords"}, "passwords: check"},
		{"tokens", "routes: [{prefix: /x, upstream: 'http://127.0.0.1:9', keep_authorization: true}]", "", []string{"warning: routes[0].keep_authorization"}, "keep_authorization: false"},
		{"no effect", "database_max_conns: 7", "", []string{"warning: database_max_conns is set"}, "# remove database_max_conns"},
		{"no effect without Pulp", "pulp: {api_root: /hub/}", "", []string{"warning: pulp.api_root is set"}, ""},
		{"effect", "{database: 'postgres://u@127.0.0.1/l', database_max_conns: 7}", "", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := examining(loadConfig(t, tt.text), func(o *Options) {
				o.Addresses = func() []netip.Addr {
					if tt.mine == "" {
						return nil
					}
					return []netip.Addr{netip.MustParseAddr(tt.mine)}
				}
			})
			found := configuration(t.Context(), x)
			want(t, found, tt.want...)
			if tt.fix != "" {
				wantFix(t, found, tt.fix)
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	_, err := config.Load(config.Options{Getenv: func(name string) string {
		return map[string]string{"LATCHKEY_TRUSTED_PROXIES": "0.0.0.0/0", "LATCHKEY_LISTEN": "nowhere"}[name]
	}})
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		t.Fatalf("Load() = %v, want problems", err)
	}
	r := Summarize(Invalid(wrong))
	if r.Problems != 2 || r.Warnings != 0 {
		t.Errorf("Summarize(Invalid()) = %+v, want two problems", r)
	}
}

package identity

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/scope"
)

func set(t *testing.T, rules ...string) scope.Set {
	t.Helper()
	s, err := scope.ParseGrants(rules)
	if err != nil {
		t.Fatalf("ParseGrants(%q) = %v", rules, err)
	}
	return s
}

// S78, S80: a credential does what both its owner and its own scope allow, and
// hands out no more than that.
func TestAllowsAndCovers(t *testing.T) {
	tests := []struct {
		name   string
		grants []string
		token  []string // nil: none of its own; empty: one that allows nothing
		asks   string
		want   bool
	}{
		{"granted", []string{"path:/a/*:read"}, nil, "path:/a/x:read", true},
		{"not granted", []string{"path:/a/*:read"}, nil, "path:/b/x:read", false},
		{"another action", []string{"path:/a/*:read"}, nil, "path:/a/x:write", false},
		{"nothing granted", nil, nil, "path:/a/x:read", false},
		{"narrowed, within", []string{"path:/a/*:read"}, []string{"path:/a/b/*:read"}, "path:/a/b/x:read", true},
		{"narrowed, outside", []string{"path:/a/*:read"}, []string{"path:/a/b/*:read"}, "path:/a/x:read", false},
		{"the token says more than the owner has", []string{"path:/a/*:read"}, []string{"*:*:*"}, "path:/b/x:read", false},
		{"and the owner has it", []string{"path:/a/*:read"}, []string{"*:*:*"}, "path:/a/x:read", true},
		{"the owner lost all", nil, []string{"*:*:*"}, "path:/a/x:read", false},
		{"an administrator's narrow token", []string{"*:*:*"}, []string{"path:/a:read"}, "latchkey:tokens:write", false},
		{"a scope that allows nothing", []string{"*:*:*"}, []string{}, "path:/a/x:read", false},
		{"another type", []string{"path:/a/*:read"}, nil, "repository:/a/x:read", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := &Identity{Grants: set(t, tt.grants...)}
			if tt.token != nil {
				if id.TokenScope = set(t, tt.token...); id.TokenScope == nil {
					id.TokenScope = scope.Set{}
				}
			}
			parts := strings.Split(tt.asks, ":")
			q := scope.Request{Type: parts[0], Name: parts[1], Action: parts[2]}
			if got := id.Allows(q); got != tt.want {
				t.Errorf("Allows(%s) = %v, want %v", q, got, tt.want)
			}
			if got := id.Covers(set(t, tt.asks)); got != tt.want {
				t.Errorf("Covers(%s) = %v, want %v", tt.asks, got, tt.want)
			}
			if got, want := id.Narrowed(), tt.token != nil; got != want {
				t.Errorf("Narrowed() = %v, want %v", got, want)
			}
		})
	}
}

// S78
func TestCoversSets(t *testing.T) {
	id := &Identity{Grants: set(t, "path:/a/*:read", "path:/b/*:read,write"), TokenScope: set(t, "path:/*:read")}
	tests := []struct {
		rules []string
		want  bool
	}{
		{nil, true},
		{[]string{"path:/a/*:read"}, true},
		{[]string{"path:/a/x:read", "path:/b/*:read"}, true},
		{[]string{"path:/b/*:write"}, false},                  // its owner may, the token may not
		{[]string{"path:/c/*:read"}, false},                   // the token may, its owner may not
		{[]string{"path:/a/x:read", "path:/c/x:read"}, false}, // one of two
		{[]string{"path:/*:read"}, false},                     // all of it
		{[]string{"path:/a/x:*"}, false},                      // all actions
		{[]string{"*:*:*"}, false},
	}
	for _, tt := range tests {
		if got := id.Covers(set(t, tt.rules...)); got != tt.want {
			t.Errorf("Covers(%q) = %v, want %v", tt.rules, got, tt.want)
		}
	}
}

func TestMay(t *testing.T) {
	id := &Identity{Grants: set(t, "latchkey:tokens:read,write", "thing:audit:*")}
	tests := []struct {
		resource, action string
		want             bool
	}{
		{"tokens", scope.Read, true},
		{"tokens", scope.Write, true},
		{"tokens", scope.Delete, false},
		{"audit", scope.Read, false}, // of another type
		{"", scope.Read, false},
	}
	for _, tt := range tests {
		if got := id.May(tt.resource, tt.action); got != tt.want {
			t.Errorf("May(%q, %q) = %v, want %v", tt.resource, tt.action, got, tt.want)
		}
	}
}

// Nobody, and who has no grants, may do nothing.
func TestNobody(t *testing.T) {
	everything := scope.Request{Type: "path", Name: "/", Action: "read"}
	for name, id := range map[string]*Identity{"nil": nil, "zero": {}} {
		if id.Allows(everything) || id.May("tokens", scope.Read) || id.Covers(set(t, "path:/:read")) || id.Narrowed() {
			t.Errorf("%s may do something, want nothing", name)
		}
	}
	var nobody *Identity
	if nobody.Covers(nil) {
		t.Error("nil.Covers(nil) = true, want false: nobody hands out anything")
	}
}

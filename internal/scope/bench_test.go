package scope

import "testing"

// BenchmarkAllowsAmong finds the rule for a long path among others.
func BenchmarkAllowsAmong(b *testing.B) {
	for name, set := range map[string]Set{
		"one":    mustSet(b, "path:/pulp/content/prod/*:read"),
		"ten":    mustSet(b, "path:/a:read", "path:/b/*:read", "path:/c*d*e:read", "repository:*:pull", "path:/f/*:write", "path:/g:*", "registry:catalog:*", "latchkey:tokens:*", "path:/h/*/i:read", "path:/pulp/content/prod/*:read"),
		"starry": mustSet(b, "path:/*p*u*l*p*/*prod*/*.rpm:read"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !set.Allows(PathRequest("GET", "/pulp/content/prod/el9/x86_64/Packages/z/zlib-1.2.11-41.el9.x86_64.rpm")) {
					b.Fatal("not allowed")
				}
			}
		})
	}
}

package jose

import (
	"strings"
	"testing"
)

// BenchmarkVerify verifies a whole access token beside its signature alone.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []Algorithm{ES256, EdDSA, RS256} {
		k := generate(b, alg)
		token := sign(b, k, good())
		parts, err := split(token)
		if err != nil {
			b.Fatal(err)
		}
		message := []byte(token[:strings.LastIndexByte(token, '.')])
		profile, keys := AccessToken(issuer, audience), only(k)
		b.Run(string(alg)+"/signature", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := k.verify(message, parts.signature); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/token", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := profile.Verify(token, keys, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSign signs a whole access token beside its signature alone.
func BenchmarkSign(b *testing.B) {
	for _, alg := range []Algorithm{ES256, EdDSA, RS256} {
		k := generate(b, alg)
		token := sign(b, k, good())
		message := []byte(token[:strings.LastIndexByte(token, '.')])
		b.Run(string(alg)+"/signature", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := alg.sign(k.private, message); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/token", func(b *testing.B) {
			b.ReportAllocs()
			claims := good()
			for b.Loop() {
				if _, err := k.Sign(Header{Type: "at+jwt"}, claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

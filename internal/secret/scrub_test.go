package secret_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

func TestScrub(t *testing.T) {
	rest := strings.Repeat("Z9", 16)
	native := "lkp_abc123" + rest
	jwt := "eyJ" + strings.Repeat("a", 20) + "." + strings.Repeat("b", 20) + "." + strings.Repeat("-_", 20)
	for text, want := range map[string]string{
		"":                               "",
		"curl/8.0":                       "curl/8.0",
		native:                           "lkp_abc123[hidden]",
		"/a/" + native + "/b":            "/a/lkp_abc123[hidden]/b",
		native + "," + native + "x":      "lkp_abc123[hidden],lkp_abc123[hidden]",
		"%22lkp%5Fabc123" + rest + "%22": "%22lkp%5Fabc123[hidden]%22",
		"lkr%5fabc123" + rest:            "lkr%5fabc123[hidden]",
		native + native + "x":            "lkp_abc123[hidden]lkp_abc123[hidden]",
		"lklkp_abc123" + rest:            "lklkp_abc123[hidden]",
		native[:24]:                      "lkp_abc123[hidden]", // cut off
		native[:23]:                      native[:23],          // what is left to guess is enough
		"bulky_goods of all folks_homes": "bulky_goods of all folks_homes",
		"lkp_":                           "lkp_",
		"lk":                             "lk",
		"talk":                           "talk",
		"Bearer " + jwt + " " + native:   "Bearer [hidden] lkp_abc123[hidden]",
		native + " " + jwt:               "lkp_abc123[hidden] [hidden]",
		"eyJ.a.b":                        "eyJ.a.b",
		"eyJ" + strings.Repeat("a", 80):  "eyJ" + strings.Repeat("a", 80), // no dots
		"lkp_abc123" + jwt:               "lkp_abc123[hidden]",
		strings.Repeat("a1", 20):         strings.Repeat("a1", 20), // any SHA-1
	} {
		if got := secret.Scrub(text); got != want {
			t.Errorf("Scrub(%q) = %q, want %q", text, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { secret.Scrub("Mozilla/5.0 (X11; Linux x86_64) bulky_goods eyJ") }); n != 0 {
		t.Errorf("Scrub() of a text without tokens makes %v allocations, want 0", n)
	}
}

// FuzzScrub: nothing of a token is left, wherever it stands, and to scrub again
// finds nothing more to do. S69
func FuzzScrub(f *testing.F) {
	f.Add("/a/", "/b")
	f.Add("lkp_", "x")
	f.Add("eyJ", ".eyJ.")
	f.Add("lkp_eyJa.", ".lkr_")
	token := "lkp_abc123" + strings.Repeat("Z9", 16)
	f.Fuzz(func(t *testing.T, before, after string) {
		got := secret.Scrub(before + token + after)
		if strings.Contains(got, strings.Repeat("Z9", 8)) && !strings.Contains(before+after, "Z9") {
			t.Errorf("Scrub(%q) = %q, want it without the token", before+token+after, got)
		}
		if again := secret.Scrub(got); again != got {
			t.Errorf("Scrub(%q) = %q, want no change", got, again)
		}
	})
}

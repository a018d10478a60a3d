package config

import (
	"slices"
	"strings"
)

// Verify is forward-auth, /latchkey/verify.
type Verify struct {
	AssertionAudience string `key:"assertion_audience" live:"yes" doc:"What the services behind the proxy know themselves by, such as https://files.example.org. A yes that goes to one of trusted_proxies has a signed proof of who is asking, for the proxy to pass on. Empty: none."`
	AssertionHeader   string `key:"assertion_header" live:"yes" doc:"The header of that proof: letters, digits and -."`
}

const assertionHeader = "Latchkey-Assertion"

// verify checks forward-auth.
func (v *validation) verify() {
	c := v.c.Verify
	v.assertion("verify.assertion_audience", "verify.assertion_header", c.AssertionAudience, c.AssertionHeader)
	if c.AssertionAudience != "" && len(v.c.TrustedProxies) == 0 {
		v.wrong("verify.assertion_audience", "only a proxy that is listed gets the proof; name its address in trusted_proxies")
	}
}

// assertion checks how a service gets a signed proof of who is asking.
func (v *validation) assertion(audienceKey, headerKey, audience, header string) {
	if audience == "" {
		return
	}
	if len(audience) > 255 || strings.ContainsFunc(audience, func(r rune) bool { return r <= ' ' || r > '~' }) {
		v.wrong(audienceKey, "want at most 255 characters of ASCII without spaces, such as https://files.example.org")
	}
	plain := strings.ReplaceAll(header, "-", "")
	switch {
	case plain == "" || !isName(plain) || strings.Contains(plain, "_") || strings.HasPrefix(header, "-") || strings.HasSuffix(header, "-"):
		v.wrong(headerKey, "want a name of letters, digits and -, such as %s", assertionHeader)
	case reserved(plain), slices.Contains([]string{"latchkeyuser", "latchkeytoken", "latchkeyscope", "latchkeystale", "latchkeyrequestid"}, strings.ToLower(plain)):
		v.wrong(headerKey, "this header has another meaning; use one of your own, such as %s", assertionHeader)
	}
}

// sameHeader reports whether servers may take two names for one.
func sameHeader(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "-", ""), strings.ReplaceAll(b, "-", ""))
}

package config

import (
	"net/url"
	"strings"
	"time"
)

// Keys is the keys by which tokens are signed.
type Keys struct {
	Issuer        string        `key:"issuer" doc:"The iss of what is signed: a URL that stays the same. Empty: public_url, or else the address of the listener."`
	Algorithm     string        `key:"algorithm" oneof:"ES256 EdDSA RS256 PS256" doc:"The algorithm of new keys. After a change the server makes such a key when it starts, publishes it, and uses it after publish_before."`
	RotateEvery   time.Duration `key:"rotate_every" min:"1h" max:"3660d" zero:"only by latchkey keys rotate" doc:"How long a key signs before the next one does. A date that was set already is not moved further away."`
	PublishBefore time.Duration `key:"publish_before" min:"10s" max:"366d" doc:"How long a key is published before it signs, at least. Revoking the key that signs lets the next one sign at once."`
	MaxAge        time.Duration `key:"max_age" min:"1s" max:"1d" doc:"How long others may keep the published keys before they ask again; below publish_before. For so long they may still believe in a key that was revoked."`
}

// keys checks the keys.
func (v *validation) keys() {
	k := v.c.Keys
	if k.MaxAge >= k.PublishBefore {
		v.wrong("keys.max_age", "want less than keys.publish_before, which is %s: others must have seen a key before it is used", FormatDuration(k.PublishBefore))
	}
	if k.RotateEvery != 0 && k.RotateEvery <= k.PublishBefore {
		v.wrong("keys.rotate_every", "want more than keys.publish_before, which is %s, or 0", FormatDuration(k.PublishBefore))
	}
	if k.Issuer != "" {
		v.issuer(k.Issuer)
	}
}

// issuer accepts what others compare byte by byte: a URL in one spelling.
func (v *validation) issuer(text string) {
	const key = "keys.issuer"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		v.wrong(key, "want https://host, which may have a path")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		v.wrong(key, "want a URL without credentials, a query or a fragment")
	}
}

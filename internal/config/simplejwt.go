package config

import (
	"slices"
	"strings"
	"time"
)

// SimpleJWT is the dialect of djangorestframework-simplejwt. Where a setting of
// that package has another name, the text names it.
type SimpleJWT struct {
	Enabled bool   `key:"enabled" doc:"Whether the endpoints are there. When they are not, tokens that they gave out do not count."`
	Path    string `key:"path" doc:"Where logins go; the others are below it: refresh/, verify/, blacklist/, sliding/ and sliding/refresh/."`

	UsernameField string `key:"username_field" live:"yes" doc:"The field by which a login names the user (USERNAME_FIELD)."`

	HeaderTypes []string `key:"header_types" live:"yes" doc:"The schemes of the Authorization header by which tokens are sent (AUTH_HEADER_TYPES), at all doors; the first is named in the dialect's challenges. Bearer counts in any case, and the case of letters does not matter."`

	Access         time.Duration `key:"access_lifetime" min:"1s" max:"1d" doc:"For how long access tokens live (ACCESS_TOKEN_LIFETIME)."`
	Refresh        time.Duration `key:"refresh_lifetime" min:"1s" max:"366d" doc:"For how long a refresh token lives (REFRESH_TOKEN_LIFETIME). Signing keys stay published for so long after their last use."`
	Sliding        time.Duration `key:"sliding_lifetime" min:"1s" max:"1d" doc:"For how long sliding tokens live (SLIDING_TOKEN_LIFETIME)."`
	SlidingRefresh time.Duration `key:"sliding_refresh_lifetime" min:"1s" max:"366d" doc:"For how long they can be renewed (SLIDING_TOKEN_REFRESH_LIFETIME)."`

	Rotate bool          `key:"rotate" live:"yes" doc:"Give a new refresh token at each refresh, and refuse the old one from then on (ROTATE_REFRESH_TOKENS with BLACKLIST_AFTER_ROTATION). One that comes back ends its family, see tokens.refresh_leeway and tokens.keep_reused."`
	Family time.Duration `key:"family_lifetime" live:"yes" min:"1s" max:"3660d" doc:"With rotation, for how long after the login refreshing goes on."`

	User         string        `key:"user_id" oneof:"id name subject" doc:"What the claim for the user holds: the account's id here, its login name, or its id in the source that it is from, such as Django's primary key (USER_ID_FIELD)."`
	UserClaim    string        `key:"user_id_claim" doc:"The name of that claim (USER_ID_CLAIM)."`
	TypeClaim    string        `key:"token_type_claim" doc:"The name of the claim for the kind of a token (TOKEN_TYPE_CLAIM)."`
	IDClaim      string        `key:"jti_claim" doc:"The name of the claim for a token's id (JTI_CLAIM)."`
	SlidingClaim string        `key:"sliding_refresh_claim" doc:"The name of the claim for until when a sliding token can be renewed (SLIDING_TOKEN_REFRESH_EXP_CLAIM)."`
	Issuer       string        `key:"issuer" doc:"What tokens have as \"iss\" (ISSUER). Not set: they have none."`
	Audience     string        `key:"audience" doc:"What tokens have as \"aud\" (AUDIENCE). Not set: they have none."`
	Leeway       time.Duration `key:"leeway" min:"0" max:"1m" zero:"none" doc:"How far clocks may differ, those of nodes among them (LEEWAY)."`
}

func defaultSimpleJWT() SimpleJWT {
	return SimpleJWT{
		Enabled: true, Path: "/api/token/", UsernameField: "username", HeaderTypes: []string{"Bearer"},
		Access: 5 * time.Minute, Refresh: day, Sliding: 5 * time.Minute, SlidingRefresh: day, Family: 30 * day,
		User: "id", UserClaim: "user_id", TypeClaim: "token_type", IDClaim: "jti", SlidingClaim: "refresh_exp",
		Leeway: 5 * time.Second,
	}
}

// paths are all at which the dialect answers, without slashes at their ends.
func (d SimpleJWT) paths() []string {
	base := trimmed(d.Path)
	return []string{base, base + "/refresh", base + "/verify", base + "/blacklist", base + "/sliding", base + "/sliding/refresh"}
}

// isScheme reports whether a text can be the scheme of an Authorization header.
func isScheme(s string) bool {
	letter := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	return s != "" && len(s) <= 40 && strings.IndexFunc(s, func(r rune) bool { return !letter(r) }) < 0
}

// simpleJWT checks the settings of that dialect.
func (v *validation) simpleJWT() {
	const key = "dialects.simplejwt"
	d := v.c.Dialects.SimpleJWT
	v.path(key+".path", d.Path)
	if !d.Enabled || d.Path == "" {
		return
	}
	if d.Path == "/" {
		v.wrong(key+".path", "want a path of its own, such as /api/token/")
	}
	for i, r := range v.c.Routes {
		if slices.Contains(d.paths(), trimmed(r.Prefix)) {
			v.wrong(key+".path", "routes[%d].prefix is one of the paths below it", i)
		}
	}
	if slices.ContainsFunc(v.c.Pulp.paths(), func(p string) bool { return slices.Contains(d.paths(), p) }) {
		v.wrong(key+".path", "this is one of Pulp's paths")
	}
	if drf := v.c.Dialects.DRF; drf.Enabled && slices.Contains(d.paths(), trimmed(drf.Path)) {
		v.wrong(key+".path", "dialects.drf.path is one of the paths below it")
	}
	if d.UsernameField == "" || d.UsernameField == "password" {
		v.wrong(key+".username_field", "want the name of a field other than password")
	}
	for _, scheme := range d.HeaderTypes {
		if !isScheme(scheme) || strings.EqualFold(scheme, "Basic") {
			v.wrong(key+".header_types", "want names of schemes, such as Bearer and JWT; Basic has another meaning")
		}
	}
	// Claims that are there in any case; jti can be what it always is.
	taken := []string{"exp", "iat", "nbf", "iss", "aud", "sub", "sid"}
	for _, c := range []struct{ key, name string }{
		{"user_id_claim", d.UserClaim}, {"token_type_claim", d.TypeClaim}, {"jti_claim", d.IDClaim}, {"sliding_refresh_claim", d.SlidingClaim},
	} {
		if c.name == "" || slices.Contains(taken, c.name) {
			v.wrong(key+"."+c.key, "want the name of a claim that nothing else has")
		}
		taken = append(taken, c.name)
	}
	if d.Rotate && d.Family < d.Refresh {
		v.wrong(key+".family_lifetime", "want no less than %s.refresh_lifetime, which is %s", key, FormatDuration(d.Refresh))
	}
}

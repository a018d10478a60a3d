package main

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestInspect(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	signed := func(header, claims string) string {
		b64 := base64.RawURLEncoding
		return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims)) + "." + b64.EncodeToString([]byte("planted-signature"))
	}
	for _, tt := range []struct {
		text, form string
		problem    string // "": none
	}{
		{signed(`{"alg":"ES256","typ":"at+jwt","kid":"k"}`, `{"exp":1800000001,"iat":1799999999}`), "signed", ""},
		{signed(`{"alg":"ES256"}`, `{"exp":1800000000}`), "signed", "expired, at 2027-01-15T08:00:00Z"},
		{signed(`{"alg":"ES256"}`, `{}`), "signed", "no end"},
		{signed(`{"alg":"ES256"}`, `{"exp":1.5}`), "signed", "whole seconds"},
		{signed(`{"alg":"ES256"}`, `{"exp":1900000000,"nbf":1800000100}`), "signed", "not valid yet"},
		{signed(`{"alg":"none"}`, `{"exp":1900000000}`), "signed", "not signed"},
		{signed(`{"alg":"ES256","crit":["x"]}`, `{"exp":1900000000}`), "signed", `"crit"`},
		{signed(`{"alg":"ES256"}`, `{"exp":1,"exp":2}`), "unknown", "twice"},
		{"a.b", "unknown", "three parts"},
		{"lkp_" + strings.Repeat("0", 38), "native", "checksum"},
		{"hello", "unknown", "no form"},
		{"", "unknown", "no form"},
	} {
		seen := inspect(tt.text, now)
		problems := strings.Join(seen.Problems, "; ")
		if seen.Form != tt.form || (problems == "") != (tt.problem == "") || !strings.Contains(problems, tt.problem) {
			t.Errorf("inspect(%q) = %q with %q, want %q with %q", tt.text, seen.Form, problems, tt.form, tt.problem)
		}
		for _, d := range seen.details() { // never more than header and claims
			if strings.Contains(d.value, "planted-signature") || tt.text != "" && strings.Contains(d.value, tt.text) {
				t.Errorf("inspect(%q) shows %q", tt.text, d.value)
			}
		}
	}
}

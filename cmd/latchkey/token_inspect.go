package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

const tokenInspectLong = `Show what a token says of itself, and what is wrong with it as far as that can be
seen without a server: its form, its checksum, its times. Nothing is sent anywhere.

Of a signed token the header and the claims are shown. Nobody has vouched for
them: the signature is not verified, and what was revoked is not known here. To
ask the server, use 'latchkey explain'. The secret itself is never printed.

The token is read from standard input, or asked for at a terminal.`

func newTokenInspectCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "inspect",
		Short:   "Decode a token without asking a server",
		Long:    tokenInspectLong,
		Example: "  latchkey token inspect\n  latchkey token inspect < token.txt\n  latchkey token inspect -o json < token.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := env.oneSecret(cmd.Context(), "Token to inspect: ")
			if err != nil {
				return err
			}
			seen := inspect(strings.TrimSpace(text), env.now())
			if err := env.printOne(seen, seen.details()); err != nil {
				return err
			}
			if len(seen.Problems) > 0 {
				return errors.New("the token cannot be good")
			}
			return nil
		},
	}
}

// inspected is what can be seen of a token.
type inspected struct {
	Form     string         `json:"form"` // "signed", "native" or "unknown"
	Class    string         `json:"class,omitempty"`
	Header   map[string]any `json:"header,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
	Problems []string       `json:"problems"`
}

func inspect(text string, now time.Time) inspected {
	seen := inspected{Form: "unknown", Problems: []string{}}
	switch {
	case tokens.ClaimsNative(text):
		seen.Form, seen.Class = "native", string(tokens.ClassOf(text))
		if !tokens.LooksNative(text) {
			seen.wrong("its checksum is wrong: it is mistyped or was changed")
		}
		if seen.Class == "" {
			seen.wrong("it begins as no class of tokens does")
		}
	case strings.Contains(text, "."):
		seen.signed(text, now)
	default:
		seen.wrong("it has no form that Latchkey gives out: it is cut off, or something else")
	}
	return seen
}

func (i *inspected) wrong(format string, args ...any) {
	i.Problems = append(i.Problems, fmt.Sprintf(format, args...))
}

// signed looks at a signed token.
func (i *inspected) signed(text string, now time.Time) {
	d, err := jose.Decode(text)
	if err != nil {
		i.wrong("%v", err)
		return
	}
	i.Form, i.Header, i.Claims = "signed", d.Header, d.Claims
	if alg, _ := d.Header["alg"].(string); alg == "" || strings.EqualFold(alg, "none") {
		i.wrong("its header names no algorithm, so it is not signed")
	}
	for _, name := range []string{"crit", "zip", "b64"} {
		if _, there := d.Header[name]; there {
			i.wrong("its header asks for %q, which is refused", name)
		}
	}
	issued, wrongIssued := d.Claims.Date("iat")
	from, wrongFrom := d.Claims.Date("nbf")
	ends, wrongEnd := d.Claims.Date("exp")
	switch err := errors.Join(wrongIssued, wrongFrom, wrongEnd); {
	case err != nil:
		i.wrong("%v", err)
	case ends.IsZero():
		i.wrong("it has no end (exp)")
	case !now.Before(ends):
		i.wrong("it has expired, at %s", ends.Format(time.RFC3339))
	case from.After(now), issued.After(now):
		i.wrong("it is not valid yet: it is from the future, or a clock is wrong")
	}
}

func (i *inspected) details() []detail {
	lines := []detail{{"form", i.Form}, {"class", i.Class}}
	lines = append(lines, members("header", i.Header)...)
	lines = append(lines, members("claims", i.Claims)...)
	return append(lines, listed("problems", i.Problems)...)
}

// timeClaims are the claims that are shown as people read them, too.
var timeClaims = []string{"exp", "iat", "nbf", "auth_time"}

// members lists the members of an object by their names.
func members(title string, object map[string]any) []detail {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value, err := json.Marshal(object[name])
		if err != nil {
			continue
		}
		line := name + " = " + string(value)
		if number, ok := object[name].(json.Number); ok && slices.Contains(timeClaims, name) {
			if n, err := number.Int64(); err == nil && n >= 0 && n < 1<<38 {
				line += " (" + time.Unix(n, 0).UTC().Format(time.RFC3339) + ")"
			}
		}
		lines = append(lines, line)
	}
	return listed(title, lines)
}

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// KeySet is the public keys of a server, for those who keep them.
type KeySet struct {
	Document json.RawMessage // as RFC 7517 has it

	// MaxAge is for how long they may be kept, from when they were asked for;
	// 0: not at all.
	MaxAge time.Duration

	// At is when the server answered, by its own clock, in whole seconds. The
	// zero time: it did not say.
	At time.Time
}

// Published returns the public keys as the server publishes them for verifiers,
// asking it itself and no cache on the way. No credential is sent.
func (k Keys) Published(ctx context.Context) (KeySet, error) {
	target := k.c.base + "/latchkey/.well-known/jwks.json"
	response, body, err := k.c.send(ctx, call{method: http.MethodGet, public: true, latest: true}, target)
	if err != nil {
		return KeySet{}, err
	}
	set := KeySet{MaxAge: maxAge(response.Header)}
	if err := decode(response, body, &set.Document); err != nil {
		return KeySet{}, fmt.Errorf("%s %s: %w", http.MethodGet, target, err)
	}
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		set.At = at
	}
	return set, nil
}

// longestAge bounds what is believed of an age.
const longestAge = 24 * time.Hour

// maxAge returns for how long an answer may still be kept (RFC 9111 section
// 4.2).
func maxAge(h http.Header) time.Duration {
	var age time.Duration
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				age = seconds(strings.Trim(value, `"`))
			}
		}
	}
	return max(age-seconds(h.Get("Age")), 0)
}

// seconds reads a number of seconds, 0 where there is none.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, longestAge)
}

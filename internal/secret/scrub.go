package secret

import "strings"

// Bounds of what [Scrub] takes for a token.
const (
	scrubShown = 6  // characters after the prefix that stay, as in every list of tokens
	scrubFrom  = 20 // from so many on it is one, and no word like bulky_goods; a whole one has 38
	scrubJWT   = 40 // the shortest JSON Web Token
)

// Scrub returns a text from outside without the tokens in it: those of the
// native form (lkp_, lkr_ and the like), whole, mistyped or cut off, of which
// the part stays that lists show too, and JSON Web Tokens. It is for texts that
// are kept or shown to others than their sender, such as a path or the name of
// a client, into which somebody has put a token (S69).
//
// Tokens of 40 hexadecimal digits look like any SHA-1, and passwords like
// anything; those it cannot know.
func Scrub(text string) string { return hide(hide(text, nextJWT), nextNative) }

// span is a part of a text; from is negative when there is none.
type span struct{ from, to int }

// hide replaces every part of a text that next finds.
func hide(text string, next func(string) span) string {
	at := next(text)
	if at.from < 0 {
		return text
	}
	var clean strings.Builder
	for ; at.from >= 0; at = next(text) {
		clean.WriteString(text[:at.from])
		clean.WriteString(hidden)
		text = text[at.to:]
	}
	clean.WriteString(text)
	return clean.String()
}

func nextNative(text string) span {
	for at := 0; ; at++ {
		i := strings.Index(text[at:], "lk")
		if i < 0 {
			return span{from: -1}
		}
		at += i
		body := at + nativePrefix(text[at:])
		if body == at {
			continue
		}
		end := body
		for end < len(text) && alphanumeric(text[end]) {
			end++
		}
		if end-body >= scrubFrom+3 && text[end-3:end-1] == "lk" && nativePrefix(text[end-3:]) > 0 {
			end -= 3 // another one follows at once
		}
		if end-body >= scrubFrom {
			return span{body + scrubShown, end}
		}
	}
}

// nativePrefix returns the length of the prefix of a native token with which a
// text begins, also as URLs can have it, or 0. The text begins with lk.
func nativePrefix(text string) int {
	if len(text) < 4 || text[2] < 'a' || text[2] > 'z' {
		return 0
	}
	for _, line := range [...]string{"_", "%5F", "%5f"} {
		if strings.HasPrefix(text[3:], line) {
			return 3 + len(line)
		}
	}
	return 0
}

func nextJWT(text string) span {
	for at := 0; ; at++ {
		i := strings.Index(text[at:], "eyJ") // {" in base64
		if i < 0 {
			return span{from: -1}
		}
		at += i
		end, dots := at, 0
		for end < len(text) && (alphanumeric(text[end]) || strings.IndexByte("-_.", text[end]) >= 0) {
			if text[end] == '.' {
				dots++
			}
			end++
		}
		if dots >= 2 && end-at >= scrubJWT {
			return span{at, end}
		}
		at = max(at, end-1)
	}
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

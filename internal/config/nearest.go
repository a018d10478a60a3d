package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// unknownKey words what is wrong with a key that does not exist in a section:
// its name, and the known key that is closest to it. A text that does not look
// like a key is not repeated, since a value may have got into its place (S76).
func unknownKey(parent *entry, path, name string) string {
	if above, last, dotted := cutLast(name); dotted && slices.Contains(schema().paths(), name) {
		return fmt.Sprintf("there is no key %s; keys are written without dots: %s with %s below it", name, above, last)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`).MatchString(name) {
		return "there is a key here that does not look like one; is a colon, a space or a quote missing?"
	}
	if best := nearest(parent, path, name); best != "" {
		return fmt.Sprintf("there is no key %s; the closest one is %s", join(path, name), best)
	}
	return fmt.Sprintf("there is no key %s; here can be %s", join(path, name), strings.Join(names(parent), ", "))
}

// nearest returns the known path that is most like the one of name in the
// section at path, or "" if none is. The other keys of the section are
// measured by their names; all others by their whole paths, or by their names
// alone when those are the same, for keys that stand in the wrong section.
func nearest(parent *entry, path, name string) string {
	best, least := "", 1+max(2, len(name)/2)
	consider := func(candidate string, far int) {
		if far < least {
			best, least = candidate, far
		}
	}
	for _, c := range parent.children {
		consider(join(path, c.name), distance(fold(name), fold(c.name)))
	}
	if best != "" {
		return best
	}
	for _, p := range schema().paths() {
		if _, last, _ := cutLast(p); last == fold(name) {
			consider(p, 1)
		}
		consider(p, distance(fold(join(path, name)), p))
	}
	return best
}

// cutLast splits a path at its last dot.
func cutLast(path string) (above, last string, dotted bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// fold takes away differences that are no difference to people.
func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

func names(e *entry) []string {
	var all []string
	for _, c := range e.children {
		all = append(all, c.name)
	}
	return all
}

// distance is how many letters must be added, removed or replaced to get from
// a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

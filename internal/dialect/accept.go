package dialect

import (
	"net/http"
	"strconv"
	"strings"
)

// Bounds of DefaultContentNegotiation.
const (
	maxAccepted  = 64  // media types that are looked at
	maxMediaType = 256 // bytes of one of them, and of a Content-Type
	maxIndent    = 8
)

// mediaType is what an Accept or Content-Type header names.
type mediaType struct {
	main, sub string
	params    []param
}

type param struct{ name, value string }

// parseMediaType reads whatever there is; nonsense matches nothing.
func parseMediaType(text string) mediaType {
	kind, rest, _ := strings.Cut(text, ";")
	var m mediaType
	m.main, m.sub, _ = strings.Cut(strings.ToLower(strings.TrimSpace(kind)), "/")
	for part := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); name != "" {
			m.params = append(m.params, param{strings.ToLower(name), strings.Trim(strings.TrimSpace(value), `"`)})
		}
	}
	return m
}

func (m mediaType) param(name string) string {
	for _, p := range m.params {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// includes reports whether the header's media type is or covers the given one.
func (m mediaType) includes(kind string) bool {
	main, sub, _ := strings.Cut(kind, "/")
	return (m.sub == "*" || m.sub == sub) && (m.main == "*" || m.main == main)
}

// precedence tells how exact a media type is: the higher is tried first.
func (m mediaType) precedence() int {
	switch {
	case m.main == "*":
		return 0
	case m.sub == "*":
		return 1
	case len(m.params) == 0 || len(m.params) == 1 && m.params[0].name == "q":
		return 2
	}
	return 3
}

// negotiate finds out whether the client accepts what is answered here, and by
// how many spaces it wants JSON to be indented. As in the original the quality
// values of Accept count for nothing.
func (v *View) negotiate(r *http.Request) (indent int, err error) {
	offers, err := v.offers(r)
	if err != nil {
		return 0, err
	}
	accepted := accepts(r.Header)
	for precedence := 3; precedence >= 0; precedence-- {
		for _, offer := range offers {
			for _, m := range accepted {
				if m.precedence() == precedence && m.includes(offer) {
					return indentOf(m), nil
				}
			}
		}
	}
	return 0, Detail(http.StatusNotAcceptable, "Could not satisfy the request Accept header.")
}

// offers are the media types to choose from, of which the query may name one.
func (v *View) offers(r *http.Request) ([]string, error) {
	format := ""
	if values := r.URL.Query()["format"]; len(values) > 0 {
		format = values[len(values)-1]
	}
	switch {
	case format == "json", format == "" && v.JSONOnly:
		return []string{JSON}, nil
	case format == "":
		return []string{JSON, html}, nil
	case format == "api" && !v.JSONOnly:
		return []string{html}, nil
	}
	return nil, Detail(http.StatusNotFound, textNotFound)
}

func accepts(h http.Header) []mediaType {
	values, sent := h["Accept"]
	if !sent {
		values = []string{"*/*"}
	}
	var list []mediaType
	for text := range strings.SplitSeq(strings.Join(values, ","), ",") {
		text = strings.TrimSpace(text)
		if text == "" || len(text) > maxMediaType {
			continue
		}
		if list = append(list, parseMediaType(text)); len(list) == maxAccepted {
			break
		}
	}
	return list
}

// indentOf reads the parameter of "application/json; indent=4".
func indentOf(m mediaType) int {
	n, err := strconv.Atoi(m.param("indent"))
	if err != nil {
		return 0
	}
	return min(max(n, 0), maxIndent)
}

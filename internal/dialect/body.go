package dialect

import (
	"fmt"
	"net/http"

	"github.com/latchkey-auth/latchkey/internal/web"
)

// data is what a body says: the values of its fields by name.
type data struct {
	fields map[string]value
	html   bool // from a form, which cannot tell "" from nothing
}

// value is the value of a field.
type value struct {
	kind      valueKind
	text      string // if isText
	surrogate rune   // half of a pair in the text that stands alone; 0: none does
}

type valueKind int

const (
	isAbsent valueKind = iota
	isNull
	isText  // a string, or a number's text
	isOther // true, false, a list, an object, a file
)

var defaultParses = []string{JSON, Form, Multipart}

func (v *View) parses() []string {
	if v.Parses == nil {
		return defaultParses
	}
	return v.Parses
}

// data reads the body, of at most [web.MaxBody] bytes. An empty one has no
// fields, whatever its type.
func (r *Request) data() (data, error) {
	body, err := web.ReadBody(r.w, r.Request)
	if err != nil {
		return data{}, err
	}
	header := r.Header.Get("Content-Type")
	media := parseMediaType(header)
	if len(body) == 0 {
		return data{html: media.includes(Form) || media.includes(Multipart)}, nil
	}
	for _, kind := range r.view.parses() {
		if len(header) > maxMediaType || !media.includes(kind) {
			continue
		}
		switch kind {
		case JSON:
			return parseJSON(body)
		case Form:
			return parseForm(body), nil
		case Multipart:
			return parseMultipart(body, media.param("boundary"))
		}
	}
	return data{}, Detail(http.StatusUnsupportedMediaType, fmt.Sprintf(`Unsupported media type "%s" in request.`, header))
}

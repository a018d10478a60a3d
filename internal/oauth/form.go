package oauth

import (
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/web"
)

const formType = "application/x-www-form-urlencoded"

// readForm reads the parameters of a POST (S12): from the body alone, of
// bounded size, and each at most once (RFC 6749 section 3.2). Those without a
// value are as good as not sent.
func readForm(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	if secret.Scrub(r.URL.RawQuery) != r.URL.RawQuery || r.URL.Query().Has("token") {
		return nil, fault.Invalidf("", "the token belongs into the body: a URL is seen by others")
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != formType || len(r.Header.Values("Content-Type")) > 1 {
		return nil, fault.Invalidf("", "the body must be "+formType)
	}
	body, err := web.ReadBody(w, r)
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fault.Invalidf("", "the form cannot be read")
	}
	form := make(map[string]string, len(values))
	for name, list := range values {
		if len(list) > 1 {
			return nil, fault.Invalidf("", "a parameter is there twice")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(list[0]) {
			return nil, fault.Invalidf("", "the form is not UTF-8")
		}
		if list[0] != "" {
			form[name] = list[0]
		}
	}
	return form, nil
}

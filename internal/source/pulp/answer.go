package pulp

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/internal/source"
)

// maxBody bounds an answer, and the headers of one, in bytes.
const maxBody = 64 << 10

// parseAnswer reads what the login endpoint says about the user behind a
// request (pulpcore/app/serializers/user.py, LoginSerializer). Its errors hold
// nothing of the answer.
func parseAnswer(body []byte, asked string) (source.Subject, error) {
	if len(body) > maxBody {
		return source.Subject{}, errors.New("its answer is too large")
	}
	var answer struct {
		PRN      string `json:"prn"`
		Href     string `json:"pulp_href"`
		Username string `json:"username"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return source.Subject{}, errors.New("its answer is not the JSON of a user")
	}
	if !plain(answer.Username) || !sameName(answer.Username, asked) {
		// A Pulp, or a proxy before it, that takes everybody for one user has
		// not checked the password at all.
		return source.Subject{}, errors.New("its answer is about another user than the one that was asked for")
	}
	id := answer.PRN
	if id == "" {
		id = fromHref(answer.Href)
	}
	if !plain(id) || strings.ContainsFunc(id, unicode.IsSpace) {
		return source.Subject{}, errors.New("its answer has no id of the user")
	}
	return source.Subject{ID: id, Username: answer.Username}, nil
}

func plain(text string) bool {
	return text != "" && len(text) <= maxCredential && !strings.ContainsFunc(text, unicode.IsControl) &&
		!strings.ContainsRune(text, unicode.ReplacementChar)
}

// sameName allows for what a backend of Pulp may do to a name: directories do
// not look at case, and Django normalises.
func sameName(a, b string) bool {
	return strings.EqualFold(norm.NFKC.String(a), norm.NFKC.String(b))
}

// fromHref makes the id from the link to a user, for a Pulp that is too old to
// send a PRN. The link depends on the API root, and the user must keep the id
// when Pulp is upgraded, so it is brought into the form of a PRN
// ("prn:auth.user:1") where it has the usual shape (".../users/1/").
func fromHref(href string) string {
	_, number, found := strings.Cut(href, "/users/")
	number = strings.TrimSuffix(number, "/")
	if !found || number == "" || strings.Trim(number, "0123456789") != "" {
		return href
	}
	return "prn:auth.user:" + number
}

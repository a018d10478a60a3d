package registry

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/dialect"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// question is what a client asks for.
type question struct {
	post bool
	body []byte // of a POST, as it came

	service   string
	resources []scope.Resource
	account   string
	client    string
	offline   bool // it wants a refresh token

	credential credential.Credential
	refresh    secret.Text // instead of a credential
}

// read reads a request. The error is a fault of kind Invalid, or one of the
// sentinels about requests; the question is never nil.
func read(w http.ResponseWriter, r *http.Request) (*question, error) {
	ask := &question{post: r.Method == http.MethodPost}
	switch r.Method {
	case http.MethodGet:
		fields, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return ask, fault.Invalidf("", "the query cannot be read")
		}
		return ask, ask.get(r, form(fields))
	case http.MethodPost:
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != dialect.Form {
			return ask, errMediaType
		}
		if ask.body, err = web.ReadBody(w, r); err != nil {
			return ask, err
		}
		fields, err := url.ParseQuery(string(ask.body))
		if err != nil {
			return ask, fault.Invalidf("", "the form cannot be read")
		}
		return ask, ask.form(r, form(fields))
	}
	return ask, web.ErrMethod
}

// restore lets the request be read once more.
func (q *question) restore(r *http.Request) {
	if q.post {
		r.Body = io.NopCloser(bytes.NewReader(q.body))
		r.ContentLength = int64(len(q.body))
	}
}

// form is the parameters of a request. Only "scope" can be there several times:
// of any other one nobody could tell which counts.
type form url.Values

func (f form) one(name string) (string, error) {
	switch list := f[name]; len(list) {
	case 0:
		return "", nil
	case 1:
		return list[0], nil
	}
	return "", fault.Invalidf(name, "is there several times")
}

// texts reads parameters that can be there once.
func (f form) texts(fields map[string]*string) error {
	for name, field := range fields {
		text, err := f.one(name)
		if err != nil {
			return err
		}
		*field = text
	}
	return nil
}

// get reads the query of a GET, by the first of the two specifications.
func (q *question) get(r *http.Request, f form) error {
	var offline string
	err := f.texts(map[string]*string{
		"service": &q.service, "account": &q.account, "client_id": &q.client, "offline_token": &offline,
	})
	if err != nil {
		return err
	}
	q.offline = offline == "true" || offline == "1"
	if q.credential, err = credential.Parse(r.Header); err != nil {
		return fault.Invalidf("Authorization", "%v", err)
	}
	return q.common(f)
}

// form reads the form of a POST, by the second one, which is a part of OAuth 2.
func (q *question) form(r *http.Request, f form) error {
	var grant, access, username, password, refresh string
	err := f.texts(map[string]*string{
		"service": &q.service, "account": &q.account, "client_id": &q.client, "grant_type": &grant, "access_type": &access,
		"username": &username, "password": &password, "refresh_token": &refresh,
	})
	if err != nil {
		return err
	}
	q.offline = access == "offline"
	if r.Header.Get("Authorization") != "" {
		return fault.Invalidf("Authorization", "is not read with a form: the form has the credential")
	}
	switch {
	case grant == "":
		return fault.Invalidf("grant_type", "is missing")
	case grant == "password":
		q.credential = credential.Credential{Scheme: credential.Basic, Username: username, Password: secret.New(password)}
	case grant == "refresh_token" && refresh == "":
		return fault.Invalidf("refresh_token", "is missing")
	case grant == "refresh_token":
		q.refresh = secret.New(refresh)
	default:
		return errGrantType
	}
	return q.common(f)
}

// common reads what both have: any number of "scope", each with any number of
// resources.
func (q *question) common(f form) error {
	if q.service == "" {
		return fault.Invalidf("service", "is missing: it names the registry")
	}
	var err error
	q.resources, err = scope.ParseResources(f["scope"])
	if errors.Is(err, scope.ErrSyntax) {
		return fault.Invalidf("scope", "cannot be read: %v", err)
	}
	return err
}

// clientName is what the refresh token of a client is called.
func (q *question) clientName() string {
	name := strings.TrimSpace(q.client)
	if name == "" {
		return "registry client"
	}
	return name
}

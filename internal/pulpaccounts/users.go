package pulpaccounts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what is asked of Pulp.
const (
	maxAnswer   = 64 << 10 // bytes
	maxUsername = 150      // characters, the column of Django's users
	maxAtOnce   = 8        // connections
)

// Errors of making sure of a user.
var (
	errInactive = errors.New("the user is not active in Pulp")
	errName     = errors.New("there is no room in Pulp for a name of that length")
	errAnswer   = errors.New("the answer of Pulp is not a list of users")
)

// users is the part of Pulp's REST API that is about users
// (pulpcore/app/viewsets/user.py). Only superusers may use it, so Pulp is told
// in the trusted header that one is asking.
type users struct {
	url       string
	header    string
	admin     string
	client    *http.Client
	transport *http.Transport
}

func newUsers(o Options) (*users, error) {
	if o.API == nil || o.Admin == "" {
		return nil, errors.New("to make users, Pulp's API and an administrator are needed")
	}
	base := *o.API
	dialer := &net.Dialer{Timeout: o.Timeout}
	transport := &http.Transport{
		Proxy: nil, DialContext: dialer.DialContext,
		TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout, IdleConnTimeout: 30 * time.Second,
		MaxConnsPerHost: maxAtOnce, MaxResponseHeaderBytes: maxAnswer, DisableCompression: true,
	}
	switch base.Scheme {
	case "http", "https":
	case "unix":
		socket := base.Path
		base = url.URL{Scheme: "http", Host: "localhost"}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	default:
		return nil, errors.New("the URL of Pulp's API has none of the schemes http, https and unix")
	}
	root := strings.Trim(cmp.Or(o.APIRoot, "/pulp/"), "/")
	base.Path = strings.ReplaceAll("/"+root+"/api/v3/users/", "//", "/")
	return &users{
		url: base.String(), header: cmp.Or(o.Header, "Latchkeyuser"), admin: o.Admin, transport: transport,
		client: &http.Client{
			Transport: transport,
			// Somewhere else nobody asked to be told of an administrator.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// ensure makes a user of the name unless there is one, and reports whether it
// did. Another node may do the same at the same time: then making it fails, and
// it is there.
func (u *users) ensure(ctx context.Context, name string) (made bool, err error) {
	if utf8.RuneCountInString(name) > maxUsername {
		return false, errName
	}
	found, err := u.find(ctx, name)
	if err != nil || found {
		return false, err
	}
	failed := u.create(ctx, name)
	if failed == nil {
		return true, nil
	}
	if found, err := u.find(ctx, name); err != nil || found {
		return false, err
	}
	return false, failed
}

// find reports whether there is an active user of the name.
func (u *users) find(ctx context.Context, name string) (bool, error) {
	query := url.Values{"username": {name}, "limit": {"1"}}
	body, err := u.call(ctx, http.MethodGet, u.url+"?"+query.Encode(), nil, http.StatusOK)
	if err != nil {
		return false, fmt.Errorf("looking for a user in Pulp: %w", err)
	}
	var list struct {
		Results *[]struct {
			Username string `json:"username"`
			Active   *bool  `json:"is_active"`
		} `json:"results"`
	}
	if err := json.Unmarshal(body, &list); err != nil || list.Results == nil {
		return false, errAnswer
	}
	if len(*list.Results) == 0 {
		return false, nil
	}
	switch user := (*list.Results)[0]; {
	case user.Username != name: // a Pulp that does not know the filter
		return false, errAnswer
	case user.Active != nil && !*user.Active:
		return false, errInactive
	}
	return true, nil
}

// create makes a user who cannot log in to Pulp by a password.
func (u *users) create(ctx context.Context, name string) error {
	body, err := json.Marshal(map[string]any{"username": name, "password": nil})
	if err != nil {
		return err
	}
	if _, err = u.call(ctx, http.MethodPost, u.url, body, http.StatusCreated); err != nil {
		return fmt.Errorf("making a user in Pulp: %w", err)
	}
	return nil
}

// call asks Pulp as the administrator and returns the body of an answer with
// the status that is wanted.
func (u *users) call(ctx context.Context, method, target string, body []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(u.header, u.admin)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "latchkey")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("status %d: Pulp does not believe the header %s, or %q is no superuser there (pulp.accounts.admin)", res.StatusCode, u.header, u.admin)
	case res.StatusCode != want:
		return nil, fmt.Errorf("status %d, not %d", res.StatusCode, want)
	}
	return answer, err
}

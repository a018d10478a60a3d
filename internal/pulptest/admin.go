package pulptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// apiRoot is where the REST API begins when domains are off.
const apiRoot = "/pulp/api/v3/"

// Admin calls Pulp's REST API directly as admin. The path is either relative to /pulp/api/v3/ or a whole one, like the
// pulp_href of an object. In is sent as JSON unless it is nil; the answer is decoded into out unless that is nil. Every
// status but 2xx is an error.
func (p *Pulp) Admin(ctx context.Context, method, path string, in, out any) error {
	if in == nil {
		return p.send(ctx, method, path, "", nil, out)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return p.send(ctx, method, path, "application/json", bytes.NewReader(b), out)
}

func (p *Pulp) send(ctx context.Context, method, path, contentType string, body io.Reader, out any) error {
	if !strings.HasPrefix(path, "/") {
		path = apiRoot + path
	}
	req, err := http.NewRequestWithContext(ctx, method, p.APIURL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set(RemoteUserHeader, "admin") // much faster than Basic, for which Pulp hashes the password every time
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// User is an account in Pulp.
type User struct {
	// Href is the path of the user in the REST API.
	Href string `json:"pulp_href"`
	// ID is the user's number.
	ID int `json:"id"`
	// Username is the name that the user logs in with.
	Username string `json:"username"`
}

// CreateUser makes a Pulp user with a password and with roles for all objects of this Pulp, such as
// "file.filerepository_viewer". Pulp refuses passwords that are too short, too common or too much like the name. With
// an empty password the user cannot log in to Pulp by one, but can be named by the trusted header.
func (p *Pulp) CreateUser(t testing.TB, name, password string, roles ...string) User {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	in := map[string]any{"username": name, "password": nil}
	if password != "" {
		in["password"] = password
	}
	var user User
	if err := p.Admin(ctx, http.MethodPost, "users/", in, &user); err != nil {
		t.Fatalf("CreateUser(%q): %v", name, err)
	}
	for _, role := range roles {
		in := map[string]any{"role": role, "content_object": nil}
		if err := p.Admin(ctx, http.MethodPost, user.Href+"roles/", in, nil); err != nil {
			t.Fatalf("CreateUser(%q): role %q: %v", name, role, err)
		}
	}
	return user
}

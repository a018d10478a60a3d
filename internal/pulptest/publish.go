package pulptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// File is one file that a Pulp serves.
type File struct {
	// BasePath is where the distribution of the file begins below /pulp/content/; Name is the path of the file in it.
	BasePath, Name string
	// Content is what is in the file.
	Content string
	// Guarded lets only Readers and superusers have the file. Otherwise everybody gets it.
	Guarded bool
	// Readers are the names of Pulp users who may have a guarded file.
	Readers []string
}

// Publish makes Pulp serve a file and returns its path on the content app. The repository, the distribution and the RBAC
// content guard it makes for that are all named like the base path.
func (p *Pulp) Publish(t testing.TB, f File) (path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := p.publish(ctx, f); err != nil {
		t.Fatalf("publishing %s/%s: %v", f.BasePath, f.Name, err)
	}
	return "/pulp/content/" + f.BasePath + "/" + f.Name
}

// object is what every object of the REST API has.
type object struct {
	Href string `json:"pulp_href"`
}

func (p *Pulp) publish(ctx context.Context, f File) error {
	var repository, guard object
	in := map[string]any{"name": f.BasePath, "autopublish": true}
	if err := p.Admin(ctx, http.MethodPost, "repositories/file/file/", in, &repository); err != nil {
		return err
	}
	if err := p.upload(ctx, repository, f); err != nil {
		return err
	}
	distribution := map[string]any{"name": f.BasePath, "base_path": f.BasePath, "repository": repository.Href}
	if f.Guarded {
		in := map[string]any{"name": f.BasePath}
		if err := p.Admin(ctx, http.MethodPost, "contentguards/core/rbac/", in, &guard); err != nil {
			return err
		}
		distribution["content_guard"] = guard.Href
	}
	if len(f.Readers) > 0 {
		in := map[string]any{"users": f.Readers, "role": "core.rbaccontentguard_downloader"}
		if err := p.Admin(ctx, http.MethodPost, guard.Href+"add_role/", in, nil); err != nil {
			return err
		}
	}
	var started task
	if err := p.Admin(ctx, http.MethodPost, "distributions/file/file/", distribution, &started); err != nil {
		return err
	}
	return p.wait(ctx, started)
}

// upload adds the file to the repository, which publishes it.
func (p *Pulp) upload(ctx context.Context, repository object, f File) error {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "content")
	if err != nil {
		return err
	}
	fmt.Fprint(file, f.Content) // into memory, so it cannot fail
	err = errors.Join(form.WriteField("relative_path", f.Name), form.WriteField("repository", repository.Href), form.Close())
	if err != nil {
		return err
	}
	var started task
	if err := p.send(ctx, http.MethodPost, "content/file/files/", form.FormDataContentType(), &body, &started); err != nil {
		return err
	}
	return p.wait(ctx, started)
}

// task is Pulp's answer to what it does later.
type task struct {
	Href string `json:"task"`
}

// wait returns when a task is completed. A task that ends in another way is an error.
func (p *Pulp) wait(ctx context.Context, started task) error {
	var now struct {
		State string
		Error any
	}
	err := proctest.WaitFor(ctx, func(ctx context.Context) error {
		if err := p.Admin(ctx, http.MethodGet, started.Href, nil, &now); err != nil {
			return err
		}
		switch now.State {
		case "waiting", "running":
			return fmt.Errorf("the task is %s", now.State)
		}
		return nil
	}, p.processes...)
	if err == nil && now.State != "completed" {
		err = fmt.Errorf("task %s %s: %v", started.Href, now.State, now.Error)
	}
	return err
}

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-auth/latchkey/api"
)

// maxAnswer bounds what is read of one answer, after decompression.
const maxAnswer = 16 << 20

// maxRedirects bounds how often a request is sent on within one host.
const maxRedirects = 5

// call is one request to the API.
type call struct {
	method string
	path   []string // segments below [api.Prefix], not escaped
	query  url.Values
	body   any // sent as JSON; nil: no body
	public bool
	latest bool // caches on the way have to ask the server
	// secrets are those in the body, for hiding them in errors.
	secrets []string
}

// do sends a request and reads the answer into out; nil means that the server
// must answer without content.
func (c *Client) do(ctx context.Context, q call, out any) error {
	path, err := joinPath(q.path)
	if err != nil {
		return fmt.Errorf("%s: %w", q.method, err)
	}
	target := c.base + api.Prefix + path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	response, body, err := c.send(ctx, q, target)
	if err != nil {
		return err
	}
	if err := decode(response, body, out); err != nil {
		return fmt.Errorf("%s %s: %w", q.method, target, err)
	}
	return nil
}

// send makes a request and returns a successful answer with its whole body.
func (c *Client) send(ctx context.Context, q call, target string) (*http.Response, []byte, error) {
	request, err := newRequest(ctx, q, target)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("User-Agent", c.userAgent)
	request.Header.Set("Accept", "application/json, application/problem+json")
	if !q.public {
		c.authorize(request)
	}
	if q.latest {
		request.Header.Set("Cache-Control", "no-cache")
	}
	hide := func(s string) string { return scrubber(q.secrets...)(c.scrub(s)) }
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, transportFailure(ctx, q.method, target, err, hide)
	}
	defer response.Body.Close()
	body, err := readBounded(response.Body)
	switch {
	case errors.Is(err, ErrForeign):
		return nil, nil, fmt.Errorf("%s %s: %d: %w", q.method, target, response.StatusCode, err)
	case err != nil:
		return nil, nil, transportFailure(ctx, q.method, target, err, hide)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, nil, c.problemOf(q.method, target, response, body, hide)
	}
	return response, body, nil
}

// joinPath escapes segments. Those that a server or proxy would clean away are
// refused: without its id, ending one token would address all of them.
func joinPath(segments []string) (string, error) {
	var path strings.Builder
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", fmt.Errorf("%w: %q is no name or id", ErrInvalid, s)
		}
		path.WriteString("/" + url.PathEscape(s))
	}
	return path.String(), nil
}

func newRequest(ctx context.Context, q call, target string) (*http.Request, error) {
	var body io.Reader
	if q.body != nil {
		encoded, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: encoding the request: %w", q.method, target, err)
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, q.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", q.method, target, err)
	}
	if q.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// readBounded reads a whole answer, and refuses one that is too large.
func readBounded(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%w: it is larger than %d MiB", ErrForeign, maxAnswer>>20)
	}
	return body, nil
}

// decode reads the one JSON document of a successful answer.
func decode(response *http.Response, body []byte, out any) error {
	if out == nil {
		if response.StatusCode != http.StatusNoContent {
			return fmt.Errorf("%w: %s with %s, where no content was expected", ErrForeign, status(response), contentType(response))
		}
		return nil
	}
	if contentType(response) != "application/json" {
		return fmt.Errorf("%w: %s with %s, where JSON was expected", ErrForeign, status(response), contentType(response))
	}
	// The decoder's error may quote a piece of the answer, where secrets are.
	if json.Unmarshal(body, out) != nil {
		return fmt.Errorf("%w: %s with JSON that cannot be read", ErrForeign, status(response))
	}
	return nil
}

// problemOf makes the error for an answer that is not a success.
func (c *Client) problemOf(method, target string, response *http.Response, body []byte, hide func(string) string) error {
	e := &Error{
		Method:     method,
		URL:        target,
		Status:     response.StatusCode,
		RetryAfter: retryAfter(response.Header.Get("Retry-After"), c.now()),
	}
	var p api.Problem
	known := contentType(response) == "application/problem+json" && json.Unmarshal(body, &p) == nil && p.Code != ""
	if !known {
		e.Problem = api.Problem{
			Title:  http.StatusText(response.StatusCode),
			Status: response.StatusCode,
			Detail: fmt.Sprintf("%v: it has %s", ErrForeign, contentType(response)),
		}
		return e
	}
	for _, field := range []*string{&p.Type, &p.Title, &p.Detail, &p.Field, &p.Scope, &p.RequestID} {
		*field = hide(*field)
	}
	e.Problem = p
	return e
}

// contentType returns the media type of an answer in words that are safe to
// print.
func contentType(response *http.Response) string {
	value := response.Header.Get("Content-Type")
	if value == "" {
		return "no content type"
	}
	media, _, err := mime.ParseMediaType(value)
	if err != nil || len(media) > 100 {
		return "an unreadable content type"
	}
	return media
}

func status(response *http.Response) string {
	return fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
}

// checkRedirect lets a server tidy its own paths and nothing else: elsewhere
// the credential would be given away, and with another method the request
// would not be the one that was made.
func checkRedirect(request *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case request.URL.Scheme != first.URL.Scheme || request.URL.Host != first.URL.Host:
		return fmt.Errorf("%w: the server points to %q", ErrRedirect, request.URL.Scheme+"://"+request.URL.Host)
	case request.Method != first.Method:
		return fmt.Errorf("%w: the server turns %s into %s", ErrRedirect, first.Method, request.Method)
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: the server redirects more than %d times", ErrRedirect, maxRedirects)
	}
	return nil
}

// transportFailure makes the error for a request that got no whole answer.
func transportFailure(ctx context.Context, method, target string, err error, hide func(string) string) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", method, target, context.Cause(ctx))
	}
	if errors.Is(err, ErrRedirect) {
		return fmt.Errorf("%s %s: %w", method, target, err)
	}
	text := fmt.Sprintf("%s %s: %v: %v", method, target, ErrUnreachable, err)
	return &transportError{text: hide(text), cause: err}
}

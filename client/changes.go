package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/latchkey-auth/latchkey/api"
)

// maxEventLine bounds a line of a stream of events.
const maxEventLine = 64 << 10

// ChangeEvent is one event of the stream of changes.
type ChangeEvent struct {
	Name string // [api.EventChange], [api.EventSeen] or [api.EventReset]
	api.Change
}

// Changes follows the change log behind a position, or from now on where after
// is negative. The right latchkey:check:read is needed. The iteration ends with
// the first error; when the server ended the stream, which it does now and
// then, that is io.EOF, and a new call can resume behind the last position.
//
// The stream is not bounded by [Options.Timeout]. The server sends something at
// least every second: whoever hears nothing for longer should end ctx and ask
// anew.
func (c *Client) Changes(ctx context.Context, after int64) iter.Seq2[ChangeEvent, error] {
	return func(yield func(ChangeEvent, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		target := c.base + api.Prefix + "/changes"
		if after >= 0 {
			target += "?" + url.Values{"after": {strconv.FormatInt(after, 10)}}.Encode()
		}
		response, err := c.openStream(ctx, target, eventStream)
		if err != nil {
			yield(ChangeEvent{}, err)
			return
		}
		defer response.Body.Close()
		events := bufio.NewReaderSize(response.Body, maxEventLine)
		for {
			e, err := readEvent(events)
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, ErrForeign) {
					err = transportFailure(ctx, http.MethodGet, target, err, c.scrub)
				}
				yield(ChangeEvent{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// eventStream is the media type of a stream of events.
const eventStream = "text/event-stream"

// openStream asks for an answer of this media type that is not bounded in time
// or length, and returns it if it is one.
func (c *Client) openStream(ctx context.Context, target, media string) (*http.Response, error) {
	request, err := newRequest(ctx, call{method: http.MethodGet}, target)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", c.userAgent)
	request.Header.Set("Accept", media+", application/problem+json")
	c.authorize(request)
	response, err := c.streams.Do(request)
	if err != nil {
		return nil, transportFailure(ctx, request.Method, target, err, c.scrub)
	}
	if response.StatusCode == http.StatusOK && contentType(response) == media {
		return response, nil
	}
	defer response.Body.Close()
	body, err := readBounded(response.Body)
	switch {
	case err != nil:
		return nil, transportFailure(ctx, request.Method, target, err, c.scrub)
	case response.StatusCode >= 200 && response.StatusCode <= 299:
		return nil, fmt.Errorf("%s %s: %w: %s with %s, where %s was expected", request.Method, target, ErrForeign, status(response), contentType(response), media)
	}
	return nil, c.problemOf(request.Method, target, response, body, c.scrub)
}

// readEvent reads the next event that has data. Other fields than its name and
// its data, and comments, say nothing here (HTML standard, section 9.2.6).
func readEvent(r *bufio.Reader) (ChangeEvent, error) {
	var e ChangeEvent
	var data []byte
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return e, fmt.Errorf("%w: an event with a line of more than %d bytes", ErrForeign, maxEventLine)
		}
		if err != nil {
			return e, err // what was begun is no event
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 && len(data) > 0 {
			if json.Unmarshal(data, &e.Change) != nil {
				return e, fmt.Errorf("%w: an event with JSON that cannot be read", ErrForeign)
			}
			return e, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.Name = string(value)
		case "data":
			if len(data)+len(value) > maxEventLine {
				return e, fmt.Errorf("%w: an event of more than %d bytes", ErrForeign, maxEventLine)
			}
			data = append(data, value...)
		}
	}
}

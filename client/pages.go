package client

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// all walks through the pages of a list, beginning at a cursor. It ends with
// the first error, and asks for a page only when the one before is used up.
func all[T any](ctx context.Context, cursor string, page func(ctx context.Context, cursor string) (api.Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		at := cursor
		for {
			p, err := page(ctx, at)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			if p.Next == at {
				yield(none, fmt.Errorf("%w: the next page of a list is the same page", ErrForeign))
				return
			}
			at = p.Next
		}
	}
}

// query collects the parameters that are set.
type query url.Values

func (q query) text(key, value string) {
	if value != "" {
		url.Values(q).Set(key, value)
	}
}

func (q query) number(key string, value int) {
	if value != 0 {
		url.Values(q).Set(key, strconv.Itoa(value))
	}
}

func (q query) flag(key string, value *bool) {
	if value != nil {
		url.Values(q).Set(key, strconv.FormatBool(*value))
	}
}

func (q query) time(key string, value time.Time) {
	if !value.IsZero() {
		url.Values(q).Set(key, value.UTC().Format(time.RFC3339Nano))
	}
}

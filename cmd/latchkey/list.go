package main

import (
	"iter"

	"github.com/spf13/pflag"
)

// largestPage is the most that the server gives at once.
const largestPage = 1000

// addLimitFlag adds the flag that bounds a list.
func addLimitFlag(f *pflag.FlagSet, limit *int, otherwise int) {
	f.IntVar(limit, "limit", otherwise, "show at most so many; 0 for all")
}

// pageSize is how many to ask for at once, to show so many and to know whether
// there are more.
func pageSize(limit int) int {
	if limit <= 0 || limit >= largestPage {
		return largestPage
	}
	return limit + 1
}

// collect reads a list up to a limit, 0 for no limit, and says whether there
// is more.
func collect[T any](items iter.Seq2[T, error], limit int) (found []T, more bool, err error) {
	if limit < 0 {
		return nil, false, &usageError{text: "--limit: it cannot be negative"}
	}
	for item, err := range items {
		if err != nil {
			return nil, false, err
		}
		if limit > 0 && len(found) == limit {
			return found, true, nil
		}
		found = append(found, item)
	}
	return found, false, nil
}

// Package portable is the form in which a whole database leaves one store and
// enters another, of the same kind or of the other.
//
// A database is a list of tables, a table a list of rows, and a value is nil,
// an int64, a string or a []byte, as SQLite keeps it: times are microseconds
// since 1970, truths 0 or 1, lists and maps JSON or "" when they are empty. The
// tables and columns are read from the database's own schema, so that a
// migration that adds one needs nothing here. What only the one database knows,
// such as the integers by which SQLite's rows refer to each other, is not part
// of the form.
//
// The package knows neither SQL nor files.
package portable

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

var (
	// ErrInUse says that a database cannot be replaced, because a server or
	// another program has it open.
	ErrInUse = errors.New("the database is in use")

	// ErrForm says that rows do not fit the database that they are meant for.
	ErrForm = errors.New("the rows do not fit the database")
)

// Table is a table of the portable form.
type Table struct {
	Name    string
	Columns []string
}

// Rows is the rows of a table. A row is good until the next one is asked for.
// After an error there are no more.
type Rows = iter.Seq2[[]any, error]

// Source is one consistent state of a database.
type Source interface {
	// Schema returns the version of the database's schema; 0: it has none.
	Schema() int64

	// Tables lists the tables, each after those that it refers to.
	Tables() []Table

	// Rows reads a table in the order of its key.
	Rows(ctx context.Context, t Table) Rows

	// Position returns the number of the newest change, 0 when there is none.
	Position(ctx context.Context) (int64, error)
}

// Target is a database whose content is being replaced. Until its transaction
// is committed, nobody else sees anything of that.
type Target interface {
	Source

	// Clear removes all rows and brings the schema up to date.
	Clear(ctx context.Context) error

	// Insert adds rows to a table, whose columns must be those of t.
	Insert(ctx context.Context, t Table, rows Rows) error

	// Restart makes the change log begin with the given number, under which
	// it says at the given time that everything may have changed.
	Restart(ctx context.Context, position int64, now time.Time) error
}

// leftOut are tables that are not part of the form, with the reason.
var leftOut = map[string]string{
	"schema_versions": "says which migrations this one database has seen",
	"changes":         "is read by servers that run; after a restore, all of them load everything anew",
	"change_counter":  "is set by Target.Restart, above any number that was given out before",
	"probe":           "is written to see whether that can be done",
	"token_counts":    "is kept by triggers on the table of tokens, which count what is inserted",
}

// LeftOut reports whether a table is deliberately no part of the form.
func LeftOut(table string) bool { return leftOut[table] != "" }

// LeftOutTables lists the tables that are no part of the form.
func LeftOutTables() []string { return slices.Sorted(maps.Keys(leftOut)) }

// Order puts tables behind those that they refer to, and else in the order of
// their names. refers lists by table what it refers to; itself does not count.
func Order(tables []Table, refers map[string][]string) ([]Table, error) {
	waiting := slices.SortedFunc(slices.Values(tables), func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	var ordered []Table
	done := map[string]bool{}
	for len(waiting) > 0 {
		i := slices.IndexFunc(waiting, func(t Table) bool {
			return !slices.ContainsFunc(refers[t.Name], func(to string) bool { return to != t.Name && !done[to] })
		})
		if i < 0 {
			return nil, fmt.Errorf("the tables from %s on refer to each other, or to one that is left out", waiting[0].Name)
		}
		done[waiting[i].Name] = true
		ordered = append(ordered, waiting[i])
		waiting = slices.Delete(waiting, i, i+1)
	}
	return ordered, nil
}

// Match finds the table that rows of t are for, and fails with [ErrForm] when
// there is none or its columns are others; their order does not matter.
func Match(tables []Table, t Table) error {
	i := slices.IndexFunc(tables, func(o Table) bool { return o.Name == t.Name })
	if i < 0 {
		return fmt.Errorf("%w: it has no table %q", ErrForm, t.Name)
	}
	want, got := slices.Sorted(slices.Values(tables[i].Columns)), slices.Sorted(slices.Values(t.Columns))
	if !slices.Equal(want, got) {
		return fmt.Errorf("%w: its table %s has the columns %q, not %q", ErrForm, t.Name, want, got)
	}
	return nil
}

// Copy adds everything in from to a database that holds nothing.
func Copy(ctx context.Context, to Target, from Source) error {
	for _, t := range from.Tables() {
		if err := to.Insert(ctx, t, from.Rows(ctx, t)); err != nil {
			return err
		}
	}
	return nil
}

// Empty reports whether a database has no account, no token and no server
// secret, which is what one is like that no server has started on.
func Empty(ctx context.Context, s Source) (bool, error) {
	for _, t := range s.Tables() {
		if t.Name != "accounts" && t.Name != "tokens" && t.Name != "server_keys" {
			continue
		}
		for _, err := range s.Rows(ctx, t) {
			return false, err
		}
	}
	return true, nil
}

package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
)

// Options are what a backup is made with.
type Options struct {
	Keys    *serverkey.Ring // the server's secrets, to seal with
	Now     time.Time
	Program string // the version of this program
}

// Write writes a backup of a database to w.
func Write(ctx context.Context, w io.Writer, from portable.Source, o Options) (Summary, error) {
	s := Summary{
		Header: Header{Format: format, Taken: o.Now.UTC().Truncate(time.Microsecond), Schema: from.Schema(), Program: o.Program},
		Rows:   map[string]int64{},
	}
	if s.Schema == 0 {
		return s, ErrNoDatabase
	}
	var err error
	if s.Position, err = from.Position(ctx); err != nil {
		return s, err
	}
	if s.Secrets, err = secretsOf(ctx, from); err != nil {
		return s, err
	}
	if len(s.Secrets) == 0 {
		return s, ErrNoDatabase
	}
	e := newEncoder(w)
	if err := e.json(s.Header); err != nil {
		return s, err
	}
	for _, t := range from.Tables() {
		if s.Rows[t.Name], err = e.table(t, from.Rows(ctx, t)); err != nil {
			return s, err
		}
	}
	digest := e.hash.Sum(nil)
	end := trailer{Rows: s.Rows, Digest: hex.EncodeToString(digest), Seal: o.Keys.SealText(purpose, digest)}
	if err := e.json(map[string]trailer{"end": end}); err != nil {
		return s, err
	}
	return s, e.close()
}

// secretsOf lists the ids of the server secrets that a database knows.
func secretsOf(ctx context.Context, from portable.Source) ([]string, error) {
	var ids []string
	for _, t := range from.Tables() {
		at := slices.Index(t.Columns, "id")
		if t.Name != "server_keys" || at < 0 {
			continue
		}
		for row, err := range from.Rows(ctx, t) {
			if err != nil {
				return nil, err
			}
			id, _ := row[at].(string)
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// encoder writes lines, and a digest of them on the side.
type encoder struct {
	zip  *gzip.Writer
	buf  *bufio.Writer
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	line []byte
}

func newEncoder(w io.Writer) *encoder {
	e := &encoder{hash: sha256.New(), zip: gzip.NewWriter(w)}
	e.buf = bufio.NewWriterSize(io.MultiWriter(e.zip, e.hash), 64<<10)
	return e
}

// flush passes on all lines, so that the digest is that of all.
func (e *encoder) flush() error {
	if err := e.buf.Flush(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

func (e *encoder) close() error {
	if err := e.zip.Close(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

func (e *encoder) json(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := e.buf.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return e.flush()
}

// table writes the rows of a table and counts them.
func (e *encoder) table(t portable.Table, rows portable.Rows) (n int64, err error) {
	if err := e.json(tableLine{t.Name, t.Columns}); err != nil {
		return 0, err
	}
	for row, err := range rows {
		if err != nil {
			return n, err
		}
		if err := e.row(row); err != nil {
			return n, fmt.Errorf("write the table %s: %w", t.Name, err)
		}
		n++
	}
	return n, e.flush()
}

// row writes one row as a JSON array: texts and numbers as they are, bytes as
// an array of one text in base64.
func (e *encoder) row(row []any) error {
	e.line = append(e.line[:0], '[')
	for i, v := range row {
		if i > 0 {
			e.line = append(e.line, ',')
		}
		switch v := v.(type) {
		case nil:
			e.line = append(e.line, "null"...)
		case int64:
			e.line = strconv.AppendInt(e.line, v, 10)
		case []byte:
			e.line = append(e.line, `["`...)
			e.line = base64.StdEncoding.AppendEncode(e.line, v)
			e.line = append(e.line, `"]`...)
		case string:
			if !utf8.ValidString(v) {
				return fmt.Errorf("column %d is not UTF-8", i+1)
			}
			text, err := json.Marshal(v)
			if err != nil {
				return err
			}
			e.line = append(e.line, text...)
		default:
			return fmt.Errorf("column %d is a %T", i+1, v)
		}
	}
	e.line = append(e.line, ']', '\n')
	_, err := e.buf.Write(e.line)
	return err
}

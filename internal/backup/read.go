package backup

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
)

// maxLine bounds a line of a backup, in bytes: far beyond any row.
const maxLine = 16 << 20

// Reader reads a backup, from the first line to the last.
type Reader struct {
	lines *bufio.Scanner
	hash  hash.Hash
	keys  *serverkey.Ring

	// Header is what the backup says about itself. Until Load has returned, it
	// may be a lie.
	Header Header
}

// Open reads the header of a backup. It fails with [ErrNoBackup],
// [ErrNewerFormat] or [ErrForeign].
func Open(r io.Reader, keys *serverkey.Ring) (*Reader, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, ErrNoBackup
	}
	b := &Reader{lines: bufio.NewScanner(zip), hash: sha256.New(), keys: keys}
	b.lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	if !b.lines.Scan() || !bytes.HasPrefix(b.lines.Bytes(), []byte(`{"latchkey_backup":`)) {
		return nil, ErrNoBackup
	}
	line := b.lines.Bytes()
	if err := json.Unmarshal(line, &b.Header); err != nil {
		return nil, ErrNoBackup
	}
	if b.Header.Format > format {
		return nil, fmt.Errorf("%w: its form is %d, this program knows %d", ErrNewerFormat, b.Header.Format, format)
	}
	if b.Header.Format < 1 || b.Header.Schema < 1 {
		return nil, ErrNoBackup
	}
	b.count(line)
	for _, k := range keys.Keys() {
		for _, id := range b.Header.Secrets {
			if id == k.ID() {
				return b, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: it names %s", ErrForeign, plainList(b.Header.Secrets))
}

// plainList names ids from a file that nothing vouches for.
func plainList(ids []string) string {
	if len(ids) > 5 {
		ids = append(ids[:5:5], "…")
	}
	return fmt.Sprintf("%.40q", ids)
}

// count takes a line into the digest.
func (b *Reader) count(line []byte) {
	b.hash.Write(line)
	b.hash.Write([]byte{'\n'})
}

// Load gives every table with its rows to insert, and then checks that the
// backup is whole and unchanged: until it returns nil, nothing that was
// inserted may count. It fails with [ErrDamaged] or [ErrForeign].
func (b *Reader) Load(ctx context.Context, insert func(context.Context, portable.Table, portable.Rows) error) error {
	counts := map[string]int64{}
	var end *trailer
	line, err := b.next()
	for err == nil && end == nil {
		var begin struct {
			tableLine

			End *trailer `json:"end"`
		}
		if json.Unmarshal(line, &begin) != nil || begin.End == nil && begin.Table == "" {
			return fmt.Errorf("%w: a line is neither a table nor the end", ErrDamaged)
		}
		if end = begin.End; end != nil {
			break
		}
		b.count(line)
		if _, twice := counts[begin.Table]; twice {
			return fmt.Errorf("%w: a table is in it twice", ErrDamaged)
		}
		t := portable.Table{Name: begin.Table, Columns: begin.Columns}
		rows := &rowReader{b: b, columns: len(t.Columns)}
		if err := insert(ctx, t, rows.all); err != nil {
			return err
		}
		if !rows.ended {
			return fmt.Errorf("%w: not all rows of a table were read", ErrDamaged)
		}
		counts[t.Name] = rows.n
		line, err = rows.after, rows.err
	}
	if err != nil {
		return err
	}
	return b.verify(*end, counts)
}

// next reads a line. It is good until the next one.
func (b *Reader) next() ([]byte, error) {
	if b.lines.Scan() {
		return b.lines.Bytes(), nil
	}
	switch err := b.lines.Err(); {
	case err == nil, errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: it ends too early", ErrDamaged)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.Is(err, bufio.ErrTooLong), isCorrupt(err):
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	default:
		return nil, fmt.Errorf("read the backup: %w", err)
	}
}

// isCorrupt reports whether the compression found something impossible.
func isCorrupt(err error) bool { return strings.HasPrefix(err.Error(), "flate: ") }

// verify compares the trailer with what was read, and sees that nothing
// follows.
func (b *Reader) verify(end trailer, counts map[string]int64) error {
	digest := b.hash.Sum(nil)
	if end.Digest != hex.EncodeToString(digest) || !maps.Equal(end.Rows, counts) {
		return fmt.Errorf("%w: its digest is another", ErrDamaged)
	}
	sealed, err := b.keys.OpenText(purpose, end.Seal)
	if err != nil {
		return ErrForeign
	}
	if !bytes.Equal(sealed, digest) {
		return fmt.Errorf("%w: its seal is that of another backup", ErrDamaged)
	}
	if b.lines.Scan() {
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	}
	if b.lines.Err() != nil { // the checksum of the compression, or what is no compression
		return fmt.Errorf("%w: something is wrong behind its end", ErrDamaged)
	}
	return nil
}

// rowReader reads the rows of one table.
type rowReader struct {
	b       *Reader
	columns int
	n       int64
	ended   bool
	after   []byte // the line after the rows
	err     error  // why there is none
}

func (r *rowReader) all(yield func([]any, error) bool) {
	values := make([]any, r.columns)
	for {
		line, err := r.b.next()
		if err == nil && (len(line) == 0 || line[0] != '[') {
			r.after, r.ended = line, true
			return
		}
		if err == nil {
			r.b.count(line)
			err = parseRow(line, values)
		}
		if err != nil {
			r.err = err
			yield(nil, err)
			return
		}
		r.n++
		if !yield(values, nil) {
			return
		}
	}
}

// parseRow reads what encoder.row wrote.
func parseRow(line []byte, values []any) error {
	var parsed []any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&parsed); err != nil || len(parsed) != len(values) || d.More() {
		return fmt.Errorf("%w: a line is not a row of its table", ErrDamaged)
	}
	for i, v := range parsed {
		var err error
		if values[i], err = parseValue(v); err != nil {
			return fmt.Errorf("%w: a value is none of the form", ErrDamaged)
		}
	}
	return nil
}

var errValue = errors.New("no value of the form")

func parseValue(v any) (any, error) {
	switch v := v.(type) {
	case nil, string:
		return v, nil
	case json.Number:
		return v.Int64()
	case []any:
		if len(v) == 1 {
			if text, ok := v[0].(string); ok {
				return base64.StdEncoding.Strict().DecodeString(text)
			}
		}
	}
	return nil, errValue
}

package auditchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Head names a state of the chain: its last seal by number and hash. Whoever
// has kept one can tell later that nothing up to it was cut off or rewritten.
// The zero Head is the chain without any seal.
type Head struct {
	Number int64
	Hash   []byte
}

// ErrHead says that a text is not that of a head.
var ErrHead = errors.New("a head is a number, a colon and 64 hexadecimal digits, as 'latchkey audit head' prints it")

// String returns the form that [ParseHead] reads; "" for the zero Head.
func (h Head) String() string {
	if h.Number == 0 {
		return ""
	}
	return strconv.FormatInt(h.Number, 10) + ":" + hex.EncodeToString(h.Hash)
}

// ParseHead reads a head; [ErrHead] when it is none.
func ParseHead(text string) (Head, error) {
	number, encoded, ok := strings.Cut(strings.TrimSpace(text), ":")
	n, errN := strconv.ParseInt(number, 10, 64)
	hash, errH := hex.DecodeString(encoded)
	if !ok || errN != nil || errH != nil || n <= 0 || len(hash) != sha256.Size {
		return Head{}, ErrHead
	}
	return Head{Number: n, Hash: hash}, nil
}

// precedes reports whether a seal continues the chain that ends with h.
func (h Head) precedes(l store.Seal) bool {
	return l.Number == h.Number+1 && bytes.Equal(l.Previous, h.Hash)
}

// load finds out where the chain stands: what the database has, and what the
// file says that it should have.
func (c *Chain) load(ctx context.Context) error {
	file, err := readHead(c.HeadFile)
	if errors.Is(err, ErrHead) {
		c.alarm("audit.unanchored", "no_head", err.Error())
	} else if err != nil {
		return err
	}
	if err := c.reload(ctx, file); err != nil {
		return err
	}
	c.loaded, c.anchor, c.saved = true, file, file
	return nil
}

// reload finds out where the chain in the database stands, which once was at
// the given head.
func (c *Chain) reload(ctx context.Context, once Head) error {
	last, err := c.lastNumber(ctx)
	if err != nil {
		return err
	}
	start, err := c.startBefore(ctx, max(0, last-recent))
	if err != nil {
		return err
	}
	seals, err := c.Store.Seals(ctx, store.SealQuery{After: start.Number, Limit: recent + 1})
	if err != nil {
		return err
	}
	c.head, c.adopted, c.top, c.holes = start, start.Number == 0, 0, map[int64]time.Time{}
	for i, l := range seals {
		if places, err := parsePlaces(l.Members); err == nil && i == 0 && start.Number > 0 {
			c.top = places[0] - 1
		}
		if err := c.advance(l); err != nil {
			return err
		}
	}
	return c.compare(ctx, once, last)
}

// startBefore returns the head that the chain had when its last seal was the
// one with this number, or where it begins if that was trimmed.
func (c *Chain) startBefore(ctx context.Context, number int64) (Head, error) {
	m, err := c.Store.TrimmedTo(ctx)
	if err == nil && m.Number >= number {
		return Head{Number: m.Number, Hash: m.Hash}, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) || number == 0 {
		return Head{}, ignoreNotFound(err)
	}
	seals, err := c.Store.Seals(ctx, store.SealQuery{After: number - 1, Limit: 1})
	if err != nil || len(seals) == 0 {
		return Head{Number: number}, err
	}
	return Head{Number: seals[0].Number, Hash: hashOf(seals[0])}, nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// compare holds the database against the head in the file. Where the database
// is behind, the next seal continues from the file's head, so that the gap
// stays to be seen.
func (c *Chain) compare(ctx context.Context, file Head, last int64) error {
	switch {
	case file.Number == 0 && last > 0 && c.HeadFile != "":
		c.adrift = true
		c.alarm("audit.unanchored", "no_head", fmt.Sprintf("the file with the head of the audit log is missing: that seal %d was the last one cannot be told", last))
	case file.Number > last:
		c.alarm("audit.broken", "cut", fmt.Sprintf("the end of the audit log was removed, or an older copy restored: it has seals up to %d, and this server has seen %d", last, file.Number))
		c.head, c.adopted = file, false
	case file.Number > 0:
		seals, err := c.Store.Seals(ctx, store.SealQuery{After: file.Number - 1, Limit: 1})
		if err != nil {
			return err
		}
		if len(seals) > 0 && seals[0].Number == file.Number && !bytes.Equal(hashOf(seals[0]), file.Hash) {
			c.alarm("audit.broken", "rewritten", fmt.Sprintf("seal %d of the audit log is not the one that this server has seen", file.Number))
		}
	}
	return nil
}

// readHead reads the file with the head; the zero Head where there is none.
func readHead(path string) (Head, error) {
	if path == "" {
		return Head{}, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("read the head of the audit log: %w", err)
	}
	head, err := ParseHead(string(text))
	if err != nil {
		return Head{}, fmt.Errorf("read the head of the audit log, %s: %w", path, err)
	}
	return head, nil
}

// save writes the head to its file, whole or not at all.
func (c *Chain) save() error {
	if c.HeadFile == "" || c.head.Number == c.saved.Number {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.HeadFile), ".audit-head-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the head of the audit log: %w", err)
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.WriteString(c.head.String() + "\n"); err != nil {
		return errors.Join(fmt.Errorf("write the head of the audit log: %w", err), tmp.Close())
	}
	if err := errors.Join(tmp.Close(), os.Rename(tmp.Name(), c.HeadFile)); err != nil {
		return fmt.Errorf("write the head of the audit log: %w", err)
	}
	c.saved = c.head
	return nil
}

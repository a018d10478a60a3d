package throttle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrSnapshot is returned for bytes that Snapshot did not write, or that were
// damaged since.
var ErrSnapshot = errors.New("throttle: not a snapshot of login counters")

// snapshotMagic begins every snapshot; its last byte is the version.
const snapshotMagic = "lkthrot\x01"

const entrySize = len(key{}) + 8

// Snapshot writes out what is charged and who is trusted, for Restore after a
// restart. It holds keyed hashes, times and the key of the hashes: no names,
// but guesses of names can be tried on it, so it belongs into a file that
// only the server reads.
//
// The layout is the magic, the seed, five tables of a count and that many
// entries (pair, address, account, narrow, trusted), and the SHA-256 of all.
// Numbers are big-endian.
func (l *Logins) Snapshot() []byte {
	t := l.tables.Load()
	out := append([]byte(snapshotMagic), t.seed[:]...)
	for _, limiter := range t.limiters() {
		all := limiter.entries()
		out = binary.BigEndian.AppendUint32(out, uint32(len(all)))
		for _, e := range all {
			out = append(out, e.key[:]...)
			out = binary.BigEndian.AppendUint64(out, uint64(e.full))
		}
	}
	all := t.trusted.entries()
	out = binary.BigEndian.AppendUint32(out, uint32(len(all)))
	for _, e := range all {
		out = append(append(out, e.account[:]...), e.address[:]...)
		out = binary.BigEndian.AppendUint64(out, uint64(e.at))
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

func (t *tables) limiters() [4]*Limiter {
	return [4]*Limiter{t.pair, t.address, t.account, t.narrow}
}

// Restore replaces all counters by those of a snapshot. It is meant for the
// start: attempts that are under way are not charged to the new counters.
// Budgets that were paid off since are left out, and no entry is taken for
// more charged than the rates of today allow, however old or odd the clock
// was. The error is ErrSnapshot; the counters are unchanged then.
func (l *Logins) Restore(snapshot []byte) error {
	body, found := bytes.CutPrefix(snapshot, []byte(snapshotMagic))
	if !found {
		return fmt.Errorf("%w: unknown beginning or version", ErrSnapshot)
	}
	if len(body) < sha256.Size {
		return fmt.Errorf("%w: too short", ErrSnapshot)
	}
	end := len(snapshot) - sha256.Size
	if sum := sha256.Sum256(snapshot[:end]); !bytes.Equal(sum[:], snapshot[end:]) {
		return fmt.Errorf("%w: the checksum does not fit", ErrSnapshot)
	}
	r := reader{rest: body[:len(body)-sha256.Size]}
	t := l.newTables(seed(r.take(len(seed{}))))
	for _, limiter := range t.limiters() {
		for range r.count(entrySize) {
			limiter.add(entry{key: r.key(), full: r.int64()})
		}
	}
	now := l.opts.Now()
	for range r.count(len(key{}) + entrySize) {
		account, address, at := r.key(), r.key(), time.Unix(0, r.int64())
		if at.After(now) {
			at = now
		}
		if now.Sub(at) < l.opts.Trust {
			t.trusted.add(account, address, at)
		}
	}
	if r.short || len(r.rest) > 0 {
		return fmt.Errorf("%w: the tables do not fit its length", ErrSnapshot)
	}
	l.tables.Store(t)
	return nil
}

// reader takes numbers off the front of a text. Once that was too short, it
// gives zeros and says so.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.short = nil, true
		return make([]byte, n)
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) key() key { return key(r.take(len(key{}))) }

func (r *reader) int64() int64 { return int64(binary.BigEndian.Uint64(r.take(8))) }

// count reads how many entries follow; more than fit is none.
func (r *reader) count(size int) int {
	n := int(binary.BigEndian.Uint32(r.take(4)))
	if n > len(r.rest)/size {
		r.rest, r.short = nil, true
		return 0
	}
	return n
}

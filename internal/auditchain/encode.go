package auditchain

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// encoder writes fields so that two different lists of fields never give the
// same bytes: numbers as 8 bytes, big-endian; texts behind their length.
type encoder []byte

func (b *encoder) number(n int64)   { *b = binary.BigEndian.AppendUint64(*b, uint64(n)) }
func (b *encoder) time(t time.Time) { b.number(t.UnixMicro()) }

func (b *encoder) text(s string) {
	b.number(int64(len(s)))
	*b = append(*b, s...)
}

func (b *encoder) bytes(p []byte) {
	b.number(int64(len(p)))
	*b = append(*b, p...)
}

// Digest is the SHA-256 of an event as it is stored: of all its fields but the
// place and the code. Times count in microseconds. docs/audit.md describes the
// form, so that others can check an export.
func Digest(e store.Event) [sha256.Size]byte {
	b := make(encoder, 0, 768)
	b.text("latchkey event 1")
	b.text(e.ID)
	b.time(e.At)
	for _, s := range []string{
		e.Action, e.Outcome, e.Reason, e.ActorID, e.ActorName, e.TokenID, e.Target, e.Addr, e.Agent, e.RequestID, e.CorrelationID,
	} {
		b.text(s)
	}
	b.number(int64(e.Count))
	b.number(int64(len(e.Detail)))
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		b.text(k)
		b.text(e.Detail[k])
	}
	return sha256.Sum256(b)
}

// leaf is the hash by which a seal vouches for an event: over its digest and its
// code.
func leaf(e store.Event) [sha256.Size]byte {
	digest := Digest(e)
	b := make(encoder, 0, 128)
	b.text("latchkey leaf 1")
	b.bytes(digest[:])
	b.bytes(e.MAC)
	return sha256.Sum256(b)
}

// signed is what the signature of a seal is over.
func signed(l store.Seal) []byte {
	b := make(encoder, 0, 256+len(l.Tags)+len(l.Members))
	b.text("latchkey seal 1")
	b.number(l.Number)
	b.time(l.At)
	b.bytes(l.Previous)
	b.text(l.Members)
	b.number(int64(l.Count))
	b.time(l.First)
	b.time(l.Last)
	b.bytes(l.Root)
	b.bytes(l.Tags)
	if l.Adopted {
		b.number(1)
	} else {
		b.number(0)
	}
	b.text(l.KeyID)
	return b
}

// hashOf returns the hash by which the next seal is tied to l.
func hashOf(l store.Seal) []byte {
	sum := sha256.Sum256(signed(l))
	return sum[:]
}

// signedTrim is what the signature of a beginning is over.
func signedTrim(m store.Trimmed) []byte {
	b := make(encoder, 0, 256)
	b.text("latchkey trim 1")
	b.number(m.Number)
	b.bytes(m.Hash)
	b.time(m.Through)
	b.number(m.Removed)
	b.time(m.At)
	b.text(m.KeyID)
	return b
}

// rootOf returns the hash over the leaves of a seal's events in their order.
func rootOf(leaves [][sha256.Size]byte) []byte {
	h := sha256.New()
	for _, d := range leaves {
		_, _ = h.Write(d[:]) // a hash never returns an error
	}
	return h.Sum(nil)
}

// tagLength is how much of an event's leaf its seal repeats, in bytes, to
// name the event that is not what it was. The root is what vouches.
const tagLength = 8

func tagsOf(leaves [][sha256.Size]byte) []byte {
	tags := make([]byte, 0, len(leaves)*tagLength)
	for _, d := range leaves {
		tags = append(tags, d[:tagLength]...)
	}
	return tags
}

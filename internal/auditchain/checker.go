package auditchain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// mostFindings bounds what a report says in full.
const mostFindings = 1000

// checker goes through seals in order and collects what is wrong.
type checker struct {
	keys   map[string]ed25519.PublicKey
	report api.AuditReport

	head  Head // of the seals so far; its Hash is nil when it is not known
	begun bool // the first seal may have any number

	// doubtful is the first of the seals at the end that were signed with keys
	// which are not known here. A later seal vouches for them, as it is tied to
	// them by hashes.
	doubtful int64
	key      string // of that one

	anchors []anchor
}

type anchor struct {
	source string
	head   Head
	seen   bool
	fits   bool
}

func (k *checker) find(f api.AuditFinding) {
	if len(k.report.Findings) == mostFindings {
		k.report.More++
		return
	}
	k.report.Findings = append(k.report.Findings, f)
}

// expect adds a head that was kept elsewhere.
func (k *checker) expect(source string, h Head) {
	if h.Number > 0 {
		k.anchors = append(k.anchors, anchor{source: source, head: h})
	}
}

// begin takes note of what was removed from the old end.
func (k *checker) begin(m store.Trimmed) {
	through := m.Through
	k.report.Through, k.report.Removed = &through, m.Removed
	k.head, k.begun = Head{Number: m.Number, Hash: m.Hash}, true
	if key, known := k.keys[m.KeyID]; known && !ed25519.Verify(key, signedTrim(m), m.Signature) {
		k.find(api.AuditFinding{Kind: "trim_changed", Seal: m.Number, Text: "what is said of the events that were removed for their age was changed"})
	}
	k.compare(k.head)
}

// member is an event as a seal's list of places leads to it.
type member struct {
	place   int64
	id      string
	missing bool
	omitted bool // nothing but its leaf is known
	leaf    [sha256.Size]byte
	origin  origin
	attests bool // origin tells something
}

// seal checks a seal against what it vouches for. It reports whether the
// signature is one of a known key.
func (k *checker) seal(l store.Seal, members []member) {
	k.report.Seals++
	if k.report.FirstSeal == 0 {
		k.report.FirstSeal = l.Number
	}
	k.report.LastSeal = l.Number
	k.link(l)
	sound := k.signature(l)
	k.members(l, members, sound)
	k.head = Head{Number: l.Number, Hash: hashOf(l)}
	k.begun = true
	k.compare(k.head)
}

// link checks the tie to the seal before.
func (k *checker) link(l store.Seal) {
	first := k.head.Number + 1
	switch {
	case k.begun && l.Number > first || !k.begun && l.Number > 1:
		k.find(api.AuditFinding{Kind: "seal_missing", Seal: first, Text: "missing: " + sealsText(first, l.Number-1) + ", with their events"})
		k.settle() // nothing ties what came before to what follows
	case l.Number != first:
		k.find(api.AuditFinding{Kind: "seal_changed", Seal: l.Number, Text: fmt.Sprintf("seal %d stands behind seal %d", l.Number, k.head.Number)})
	case !bytes.Equal(l.Previous, k.head.Hash):
		k.find(api.AuditFinding{Kind: "seal_changed", Seal: l.Number, Text: fmt.Sprintf("seal %d does not continue the one before: one of them was changed or replaced", l.Number)})
		k.settle()
	}
}

func sealsText(from, to int64) string {
	if from == to {
		return fmt.Sprintf("seal %d", from)
	}
	return fmt.Sprintf("seals %d to %d", from, to)
}

// signature checks who made the seal, and reports whether it can be believed.
func (k *checker) signature(l store.Seal) bool {
	key, known := k.keys[l.KeyID]
	if !known {
		if k.doubtful == 0 {
			k.doubtful, k.key = l.Number, l.KeyID
		}
		return true // until the end says otherwise
	}
	if !ed25519.Verify(key, signed(l), l.Signature) {
		k.find(api.AuditFinding{Kind: "seal_changed", Seal: l.Number, Text: fmt.Sprintf("seal %d was changed: its signature does not fit", l.Number)})
		k.settle()
		return false
	}
	k.doubtful = 0
	return true
}

// settle reports seals that nothing vouches for.
func (k *checker) settle() {
	if k.doubtful == 0 {
		return
	}
	k.find(api.AuditFinding{Kind: "unknown_key", Seal: k.doubtful, Text: fmt.Sprintf("%s: signed with the key %q, which is not known here, and no later seal vouches for it", sealsText(k.doubtful, k.head.Number), printable(k.key))})
	k.doubtful = 0
}

// members checks the events of a seal.
func (k *checker) members(l store.Seal, members []member, sound bool) {
	before := len(k.report.Findings) + int(k.report.More)
	leaves := make([][sha256.Size]byte, 0, len(members))
	for i, m := range members {
		leaves = append(leaves, m.leaf)
		finding := api.AuditFinding{Seal: l.Number, Place: m.place, Event: printable(m.id)}
		named := fmt.Sprintf("event %s at place %d of seal %d", printable(m.id), m.place, l.Number)
		fits := !sound || bytes.Equal(tagAt(l.Tags, i), m.leaf[:tagLength])
		forged := m.attests && (m.origin == nobodys || m.origin == unattested && !l.Adopted)
		switch {
		case m.missing:
			finding.Event = ""
			finding.Kind, finding.Text = "missing", fmt.Sprintf("the event at place %d of seal %d is missing", m.place, l.Number)
		case !fits && m.attests && m.origin == ours:
			finding.Kind, finding.Text = "moved", named+" is one that a server wrote, but not there"
		case !fits || forged:
			finding.Kind, finding.Text = "changed", named+" was changed or replaced"
		case m.omitted:
			k.report.Omitted++
			continue
		default:
			k.report.Events++
			continue
		}
		k.find(finding)
	}
	same := len(members) == l.Count && len(l.Tags) == len(members)*tagLength && bytes.Equal(rootOf(leaves), l.Root)
	if !same && before == len(k.report.Findings)+int(k.report.More) {
		k.find(api.AuditFinding{Kind: "seal_changed", Seal: l.Number, Text: fmt.Sprintf("seal %d does not fit its events", l.Number)})
	}
}

func tagAt(tags []byte, i int) []byte {
	if len(tags) < (i+1)*tagLength {
		return nil
	}
	return tags[i*tagLength : (i+1)*tagLength]
}

// compare holds the chain up to here against heads that were kept elsewhere.
func (k *checker) compare(h Head) {
	for i := range k.anchors {
		a := &k.anchors[i]
		if a.head.Number != h.Number {
			continue
		}
		a.seen, a.fits = true, bytes.Equal(a.head.Hash, h.Hash)
		if !a.fits {
			k.find(api.AuditFinding{Kind: "seal_changed", Seal: h.Number, Text: fmt.Sprintf("seal %d is not the one that was %s seen: the log was rewritten", h.Number, a.words())})
		}
	}
}

func (a anchor) words() string {
	if a.source == "given" {
		return "given as"
	}
	return "once"
}

// finish checks the end and completes the report.
func (k *checker) finish() api.AuditReport {
	k.settle()
	for _, a := range k.anchors {
		switch {
		case !a.seen && a.head.Number > k.head.Number:
			k.find(api.AuditFinding{Kind: "cut", Seal: k.head.Number + 1, Text: "the end was cut off: " + sealsText(k.head.Number+1, a.head.Number) + " once were there, with their events"})
		case !a.seen && k.report.Through == nil && k.report.FirstSeal <= a.head.Number:
			k.find(api.AuditFinding{Kind: "seal_missing", Seal: a.head.Number, Text: fmt.Sprintf("seal %d, whose head was kept, is missing", a.head.Number)})
		case !a.seen && a.head.Number < k.report.FirstSeal:
			a.fits = true // removed for its age
		}
		k.report.Anchors = append(k.report.Anchors, api.AuditAnchor{Source: a.source, Head: a.head.String(), Fits: a.fits})
	}
	k.report.Head = k.head.String()
	k.report.Intact = len(k.report.Findings) == 0
	return k.report
}

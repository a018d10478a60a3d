package auditchain

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// maxLine bounds a line of an export, in bytes.
const maxLine = 1 << 20

var (
	// ErrNoExport says that a file does not begin as an export does.
	ErrNoExport = errors.New("this is not an export of an audit log: its first line is no start")

	// ErrKey says that a text is not that of a public key.
	ErrKey = errors.New("a key is an id, a colon and 64 hexadecimal digits, as 'latchkey audit head' prints it")
)

// ParseKeys reads public keys in the form of [HexKeys].
func ParseKeys(texts map[string]string) (map[string]ed25519.PublicKey, error) {
	keys := make(map[string]ed25519.PublicKey, len(texts))
	for id, text := range texts {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return nil, ErrKey
		}
		keys[id] = raw
	}
	return keys, nil
}

// VerifyFile checks an export without any server. Keys are those that the
// reader trusts; nil: those in the file, which the report says. Given is a head
// that the reader has kept, or the zero Head: without one nobody knows whether
// the file ends where the log did. The error is that of r, or [ErrNoExport];
// everything else that is wrong is in the report.
func VerifyFile(r io.Reader, keys map[string]ed25519.PublicKey, given Head) (api.AuditReport, error) {
	f := &file{lines: bufio.NewReaderSize(r, 64<<10)}
	line, err := f.next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrNoExport
		}
		return api.AuditReport{}, err
	}
	var start api.AuditExportStart
	if strict(line, &start) != nil || start.Type != api.AuditStart || start.Version != 1 {
		return api.AuditReport{}, ErrNoExport
	}
	if f.keys = keys; keys == nil {
		f.report.OwnKeys = true
		if f.keys, err = ParseKeys(start.Keys); err != nil {
			return api.AuditReport{}, fmt.Errorf("the first line: %w", err)
		}
	}
	f.expect("given", given)
	if err := f.run(); err != nil {
		return api.AuditReport{}, err
	}
	return f.finish(), nil
}

// file is an export on its way through a checker.
type file struct {
	checker
	lines   *bufio.Reader
	number  int // of the line
	members []member
	events  int64
	ended   bool
}

// next returns the next line, [io.EOF] behind the last one.
func (f *file) next() ([]byte, error) {
	var line []byte
	for {
		part, err := f.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < maxLine:
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("line %d is longer than any of an export", f.number+1)
		case err != nil && !(errors.Is(err, io.EOF) && len(line) > 0):
			return nil, err
		}
		f.number++
		return bytes.TrimSuffix(line, []byte("\n")), nil
	}
}

func (f *file) run() error {
	for {
		line, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		f.line(line)
	}
	if !f.ended {
		f.find(api.AuditFinding{Kind: "cut", Text: "the file ends without a last line: its end was cut off, or it was not written to the end"})
	}
	if len(f.members) > 0 {
		f.find(api.AuditFinding{Kind: "inserted", Place: f.members[0].place, Event: printable(f.members[0].id), Text: "the last events of the file are in no seal"})
	}
	return nil
}

// line takes in one line.
func (f *file) line(line []byte) {
	var of struct {
		Type string `json:"type"`
	}
	err := json.Unmarshal(line, &of)
	if err == nil && f.ended {
		err = errors.New("it stands behind the end")
	}
	if err == nil {
		switch of.Type {
		case api.AuditEvent:
			err = f.event(line)
		case api.AuditOmitted:
			err = f.omitted(line)
		case api.AuditSeal:
			err = f.sealed(line)
		case api.AuditEnd:
			err = f.end(line)
		default:
			err = errors.New("there is no such kind of line")
		}
	}
	if err != nil {
		f.find(api.AuditFinding{Kind: "form", Text: fmt.Sprintf("line %d cannot be read: %s", f.number, printable(err.Error()))})
	}
}

func (f *file) event(line []byte) error {
	var e api.AuditExportEvent
	if err := strict(line, &e); err != nil {
		return err
	}
	f.events++
	whole := stored(e.Event)
	whole.MAC = e.Code
	m := member{place: e.Place, id: e.ID, leaf: leaf(whole)}
	if hex.EncodeToString(m.leaf[:]) != e.Hash {
		f.find(api.AuditFinding{Kind: "changed", Place: e.Place, Event: printable(e.ID),
			Text: fmt.Sprintf("line %d: event %s does not have the hash that stands beside it", f.number, printable(e.ID))})
	}
	return f.member(m)
}

func (f *file) omitted(line []byte) error {
	var e api.AuditExportOmitted
	if err := strict(line, &e); err != nil {
		return err
	}
	raw, err := hex.DecodeString(e.Hash)
	if err != nil || len(raw) != sha256.Size {
		return errors.New("its hash is none")
	}
	return f.member(member{place: e.Place, omitted: true, leaf: [sha256.Size]byte(raw)})
}

func (f *file) member(m member) error {
	if len(f.members) >= maxMembers {
		return errors.New("there are more events than a seal has")
	}
	f.members = append(f.members, m)
	return nil
}

// sealed checks a seal with the events that stand before it.
func (f *file) sealed(line []byte) error {
	var s api.AuditExportSeal
	if err := strict(line, &s); err != nil {
		return err
	}
	l := store.Seal{
		Number: s.Number, At: s.At, Previous: s.Previous, Members: s.Members, Count: s.Count, First: s.First, Last: s.Last,
		Root: s.Root, Tags: s.Tags, Adopted: s.Adopted, KeyID: s.Key, Signature: s.Signature,
	}
	if f.report.Seals == 0 && l.Number > 1 { // an export may begin anywhere
		f.head, f.begun = Head{Number: l.Number - 1, Hash: l.Previous}, true
	}
	f.seal(l, f.claimed(l))
	f.members = nil
	return nil
}

// claimed puts the events before a seal where its list of places wants them.
func (f *file) claimed(l store.Seal) []member {
	places, err := parsePlaces(l.Members)
	if err != nil {
		return f.members
	}
	have := make(map[int64]member, len(f.members))
	for _, m := range f.members {
		if _, twice := have[m.place]; twice {
			f.stray(m)
		}
		have[m.place] = m
	}
	members := make([]member, len(places))
	for i, p := range places {
		m, ok := have[p]
		if !ok {
			m = member{place: p, missing: true}
		}
		members[i] = m
		delete(have, p)
	}
	for _, m := range f.members {
		if _, left := have[m.place]; left {
			f.stray(m)
		}
	}
	return members
}

func (f *file) stray(m member) {
	f.find(api.AuditFinding{Kind: "inserted", Place: m.place, Event: printable(m.id),
		Text: fmt.Sprintf("before line %d: event %s at place %d is not one that the seal vouches for", f.number, printable(m.id), m.place)})
}

func (f *file) end(line []byte) error {
	var e api.AuditExportEnd
	if err := strict(line, &e); err != nil {
		return err
	}
	f.ended = true
	if e.Error != "" {
		f.find(api.AuditFinding{Kind: "cut", Text: "the export was broken off: " + printable(e.Error)})
	}
	if e.Seals != f.report.Seals || e.Events != f.events || e.Head != f.head.String() {
		f.find(api.AuditFinding{Kind: "cut", Text: fmt.Sprintf("the last line counts %d events in %d seals, and there are %d in %d", e.Events, e.Seals, f.events, f.report.Seals)})
	}
	return nil
}

// strict decodes a line that is exactly as an export has it. Of two fields of
// one name, of another order or another spelling, one reader would take one
// thing and another reader another.
func strict(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	var again bytes.Buffer
	e := json.NewEncoder(&again)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	if !bytes.Equal(bytes.TrimSuffix(again.Bytes(), []byte("\n")), line) {
		return errors.New("it is not written as an export is")
	}
	return nil
}

//go:build e2e && linux

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// hunt looks for secrets in all forms in which one could be written down. It
// may be used by several goroutines at once.
type hunt struct {
	mu    sync.Mutex
	named map[string]bool
	begun [1 << 16]bool       // by the first two bytes of a form, as most places hold none
	forms map[uint64][]needle // by the first eight
}

// needle is one form of a secret.
type needle struct {
	what string
	text []byte
}

// shortest is the length of the shortest form that is looked for: below that,
// chance would find some.
const shortest = 12

func newHunt() *hunt { return &hunt{named: map[string]bool{}, forms: map[uint64][]needle{}} }

// plant has the hunt look for a secret, and returns it.
func (h *hunt) plant(what, secret string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(secret) < shortest {
		panic(fmt.Sprintf("%s is too short to be looked for", what))
	}
	if h.named[secret] {
		return secret
	}
	h.named[secret] = true
	for _, part := range parts(secret) {
		for _, form := range written(part) {
			h.add(what, form)
		}
	}
	return secret
}

// plantBytes is plant for a key that is no text.
func (h *hunt) plantBytes(what string, key []byte) {
	h.plant(what, string(key))
	if half := key[:len(key)/2]; len(half) >= shortest {
		h.plant("half of "+what, string(half))
	}
}

func (h *hunt) add(what string, form []byte) {
	if len(form) < shortest {
		return
	}
	h.begun[binary.LittleEndian.Uint16(form)] = true
	key := binary.LittleEndian.Uint64(form)
	h.forms[key] = append(h.forms[key], needle{what, form})
}

// parts lists what of a secret may not be seen. Of tokens the first characters
// may, by which lists show them; the rest must not, and neither must a half.
func parts(secret string) []string {
	all := []string{secret}
	hidden := secret
	switch {
	case len(secret) == 42 && strings.HasPrefix(secret, "lk"):
		hidden = secret[10:]
	case len(secret) == 40 && strings.Trim(secret, "0123456789abcdef") == "":
		hidden = secret[8:]
		raw, _ := hex.DecodeString(secret)
		all = append(all, string(raw))
	case strings.HasPrefix(secret, "eyJ") && strings.Count(secret, ".") == 2: // what is signed says nothing secret
		hidden = secret[strings.LastIndexByte(secret, '.')+1:]
	default:
		return all
	}
	return append(all, hidden, hidden[:len(hidden)/2], hidden[len(hidden)/2:])
}

// written lists how a text can be written.
func written(text string) [][]byte {
	quoted, _ := json.Marshal(text)
	wide := make([]byte, 0, 2*len(text))
	for _, b := range []byte(text) {
		wide = append(wide, b, 0)
	}
	forms := map[string]bool{
		text: true, url.QueryEscape(text): true, url.PathEscape(text): true,
		string(quoted[1 : len(quoted)-1]): true, string(wide): true,
		hex.EncodeToString([]byte(text)): true, strings.ToUpper(hex.EncodeToString([]byte(text))): true,
		strings.Trim(fmt.Sprintf("%d", []byte(text)), "[]"): true, // bytes, printed
	}
	for before := range 3 { // where in three bytes the secret begins
		inside := inBase64At(text, before)
		forms[inside] = true
		forms[strings.NewReplacer("+", "-", "/", "_").Replace(inside)] = true
	}
	var list [][]byte
	for form := range forms {
		list = append(list, []byte(form))
	}
	return list
}

// inBase64At returns the characters of a longer text in base64 that are
// determined by the secret alone, which begins at so many bytes.
func inBase64At(secret string, before int) string {
	encoded := base64.RawStdEncoding.EncodeToString([]byte("xx"[:before] + secret))
	return encoded[(before*8+5)/6 : (before+len(secret))*8/6]
}

// found names the secrets in a content, with what stands before them.
func (h *hunt) found(content []byte) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]string{}
	for i := 0; i+8 <= len(content); i++ {
		if !h.begun[binary.LittleEndian.Uint16(content[i:])] {
			continue
		}
		for _, n := range h.forms[binary.LittleEndian.Uint64(content[i:])] {
			if _, is := seen[n.what]; !is && bytes.HasPrefix(content[i:], n.text) {
				seen[n.what] = strings.ToValidUTF8(string(content[max(0, i-80):i]), "?")
			}
		}
	}
	return seen
}

// clean fails the test for each secret in a content, and when the canary is
// not in it: what is known to be there shows that the place was really looked
// into, and that a secret would have been found.
func (h *hunt) clean(t *testing.T, where, canary string, content []byte) {
	t.Helper()
	for what, before := range h.found(content) {
		t.Errorf("%s has %s, behind %q, want it nowhere", where, what, before)
	}
	look := newHunt()
	look.plant("the canary", canary)
	if len(look.found(content)) == 0 {
		t.Errorf("%s (%d bytes) has not even %q, so that nothing could be found there", where, len(content), canary)
	}
}

// files reads all files below a folder into one content, with their names, and
// unpacked where they are packed. Some can be left out by their name.
func files(t *testing.T, folder string, without ...string) []byte {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) { // a server is at work there
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		for _, name := range without {
			if d.Name() == name {
				return nil
			}
		}
		content, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		fmt.Fprintf(&all, "\n%s\n", path)
		all.Write(content)
		if packed, err := gzip.NewReader(bytes.NewReader(content)); err == nil {
			if _, err := all.ReadFrom(packed); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, err)
	return all.Bytes()
}

// TestHunt: a secret is found in every form and place in which it can be.
func TestHunt(t *testing.T) {
	token, digits, key := "lkp_abc123"+strings.Repeat("Zy", 16), strings.Repeat("0f1e2d3c4b", 4), []byte("0123456789\x00\xff\"</>+~!key-key-key")
	h := newHunt()
	h.plant("the token", token)
	h.plant("the digits", digits)
	h.plantBytes("the key", key)
	raw, _ := hex.DecodeString(digits)
	quoted, _ := json.Marshal(string(key[12:]))
	for what, content := range map[string]string{
		"plain":               token,
		"without its prefix":  token[10:],
		"a half":              "x" + token[26:],
		"percent":             url.QueryEscape("a b" + token),
		"hexadecimal":         fmt.Sprintf("%x", token),
		"capital hexadecimal": fmt.Sprintf("%X", token),
		"digits":              digits,
		"digits as bytes":     string(raw),
		"bytes in base64":     base64.StdEncoding.EncodeToString(append([]byte("ab"), raw...)),
		"key":                 string(key),
		"half of the key":     "x" + string(key[:16]),
		"key in hexadecimal":  hex.EncodeToString(key),
		"key printed":         fmt.Sprintf("%d", key),
		"key in a URL":        url.QueryEscape(string(key)),
		"key in base64 URL":   base64.RawURLEncoding.EncodeToString(append([]byte("a"), key...)),
	} {
		if len(h.found([]byte("some text "+content+" and more"))) == 0 {
			t.Errorf("found(%s) = nothing, want a secret", what)
		}
	}
	for before := range 7 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", before) + ":" + token + "tail"))
		if len(h.found([]byte(text))) == 0 {
			t.Errorf("found(%s) = nothing, want the token", text)
		}
	}
	for _, content := range []string{"", "short", token[:10] + strings.Repeat(".", 40), string(quoted[:6]), digits[:8], strings.Repeat("a", 100)} {
		if got := h.found([]byte(content)); len(got) != 0 {
			t.Errorf("found(%q) = %q, want nothing", content, got)
		}
	}
	folder := t.TempDir()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte(`{"row":"` + token + `"}`))
	must(t, w.Close())
	must(t, os.WriteFile(filepath.Join(folder, "backup"), packed.Bytes(), 0o600))
	if got := h.found(files(t, folder)); len(got) != 1 {
		t.Errorf("in a packed file %q is found, want the token", got)
	}
	if got := h.found(files(t, folder, "backup")); len(got) != 0 {
		t.Errorf("without that file %q is found, want nothing", got)
	}
}

// Package dockerauth reads the static users and the access control list of a
// configuration of docker_auth (github.com/cesanta/docker_auth), and says with
// which accounts and grants the same people may do the same here, as far as
// grants can say it. What they cannot say is left out and told, with the line
// of the file: nobody may do more afterwards than before.
//
// The package is text alone: it asks no server and makes nothing. Other
// sources of users than the file itself are named and not read.
//
// docker_auth takes the first entry of the list that matches a request, and no
// other; an entry may allow nothing. Grants add up. So an entry becomes a grant
// only for what no earlier one with fewer actions may match, too.
package dockerauth

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds what is read.
const maxFile = 16 << 20

// ErrFile says that a file is no configuration of docker_auth. Errors that wrap
// it say why, and repeat nothing of it but names of keys.
var ErrFile = errors.New("not a configuration of docker_auth")

// Options say how to translate. The zero value lets nobody do more than they
// could before.
type Options struct {
	// Widen takes entries over whose patterns can only be written in a wider
	// form: a * in a glob stops at a slash, and one in a grant does not.
	Widen bool

	// Usable reports whether a user's name and stored hash can be used here; why
	// not, in words that do not repeat the hash. Nil takes all.
	Usable func(name, hash string) error
}

// User is an account to make.
type User struct {
	Name   string
	Hash   string // as the file has it
	Line   int
	Grants []string // its own
}

// Plan is what there is to make, and what became of each part of the file.
type Plan struct {
	Users     []User
	Group     []string // grants of a group that all of Users are in
	Anonymous []string // grants of nobody in particular
	Notes     []Note   // by line
}

// Outcome is what became of a part of the file.
type Outcome string

// Outcomes.
const (
	Taken  Outcome = "taken"
	Partly Outcome = "partly"
	Left   Outcome = "left"
)

// Note tells of one part of the file.
type Note struct {
	Line    int     `json:"line"`
	What    string  `json:"what"` // "user alice", "entry 3", …
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text"`
}

// file is what is read of a configuration.
type file struct {
	users   []user
	entries []entry
	notes   []Note
}

// user is a row of users.
type user struct {
	name   string
	line   int
	hash   string
	open   bool // any password will do
	labels map[string][]string
}

// Read reads a configuration and translates it. Errors wrap [ErrFile] or are
// those of the reader.
func Read(r io.Reader, o Options) (Plan, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return Plan{}, err
	}
	if len(text) > maxFile {
		return Plan{}, fmt.Errorf("%w: it is too long", ErrFile)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil || len(document.Content) != 1 {
		return Plan{}, fmt.Errorf("%w: it cannot be read as YAML", ErrFile) // the error might quote a hash
	}
	f, err := readFile(document.Content[0])
	if err != nil {
		return Plan{}, err
	}
	return f.plan(o), nil
}

// elsewhere are the keys for users and rights that are not in the file itself.
var elsewhere = map[string]string{
	"google_auth": "users", "github_auth": "users", "gitlab_auth": "users", "oidc_auth": "users", "ldap_auth": "users", "mongo_auth": "users",
	"xorm_auth": "users", "ext_auth": "users", "plugin_authn": "users",
	"acl_mongo": "rights", "acl_xorm": "rights", "ext_authz": "rights", "plugin_authz": "rights", "casbin_authz": "rights",
}

func readFile(top *yaml.Node) (*file, error) {
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: it has no keys", ErrFile)
	}
	f := &file{}
	known := false
	for key, value := range pairs(top) {
		var err error
		switch key.Value {
		case "users":
			known = true
			err = f.readUsers(value)
		case "acl":
			known = true
			err = f.readEntries(value)
		default:
			if of, found := elsewhere[key.Value]; found && value.Tag != "!!null" {
				f.note(key.Line, key.Value, Left, "%s from elsewhere: they are not in the file", of)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if !known {
		return nil, fmt.Errorf("%w: it has neither users nor acl", ErrFile)
	}
	return f, nil
}

func (f *file) note(line int, what string, o Outcome, format string, args ...any) {
	f.notes = append(f.notes, Note{line, what, o, fmt.Sprintf(format, args...)})
}

func (f *file) readUsers(node *yaml.Node) error {
	if node.Tag == "!!null" {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("%w: line %d: users have names", ErrFile, node.Line)
	}
	seen := map[string]bool{}
	for key, value := range pairs(node) {
		if seen[key.Value] {
			return fmt.Errorf("%w: line %d: a user is there twice", ErrFile, key.Line)
		}
		seen[key.Value] = true
		if value.Tag == "!!null" {
			f.note(key.Line, userTitle(key.Value), Left, "there is nothing about it, so that it could never log in")
			continue
		}
		var about struct {
			Password *string             `yaml:"password"`
			Labels   map[string][]string `yaml:"labels"`
		}
		if value.Decode(&about) != nil {
			return fmt.Errorf("%w: line %d: a user has a password and lists of labels", ErrFile, value.Line)
		}
		u := user{name: key.Value, line: key.Line, labels: about.Labels, open: about.Password == nil}
		if about.Password != nil {
			u.hash = *about.Password
		}
		f.users = append(f.users, u)
	}
	return nil
}

func (f *file) readEntries(node *yaml.Node) error {
	if node.Tag == "!!null" {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		return fmt.Errorf("%w: line %d: acl is a list", ErrFile, node.Line)
	}
	for i, item := range node.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		e := entry{number: i + 1, line: item.Line}
		if item.Kind != yaml.MappingNode {
			return fmt.Errorf("%w: line %d: an entry has match and actions", ErrFile, item.Line)
		}
		for key, value := range pairs(item) {
			var err error
			switch key.Value {
			case "match":
				err = e.readMatch(value)
			case "actions":
				err = value.Decode(&e.actions)
			}
			if err != nil {
				return fmt.Errorf("%w: line %d: %s is not as it should be", ErrFile, value.Line, key.Value)
			}
		}
		f.entries = append(f.entries, e)
	}
	return nil
}

func (e *entry) readMatch(node *yaml.Node) error {
	if node.Tag == "!!null" {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return ErrFile
	}
	for key, value := range pairs(node) {
		if key.Value == "labels" {
			if err := value.Decode(&e.labels); err != nil {
				return err
			}
			continue
		}
		if value.Tag == "!!null" {
			continue
		}
		var text string
		if err := value.Decode(&text); err != nil {
			return err
		}
		switch key.Value {
		case "account":
			e.account = &text
		case "type":
			e.typ = &text
		case "name":
			e.name = &text
		default:
			e.others = append(e.others, key.Value)
		}
	}
	slices.Sort(e.others)
	return nil
}

// pairs walks over the keys and values of a mapping. Aliases are what they
// stand for.
func pairs(node *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			value := node.Content[i+1]
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			if !yield(node.Content[i], value) {
				return
			}
		}
	}
}

func userTitle(name string) string {
	if name == "" {
		return `user ""`
	}
	return "user " + strings.ToValidUTF8(name, "?")
}

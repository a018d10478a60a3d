package scope

import (
	"fmt"
	"slices"
	"strings"
)

// Types of what a registry has, and their actions, as the distribution
// specification of tokens has them
// (https://distribution.github.io/distribution/spec/auth/scope/).
const (
	TypeRepository = "repository"
	TypeRegistry   = "registry"

	Catalog = "catalog" // the one name of the type [TypeRegistry]

	Pull = "pull"
	Push = "push"

	Anything = anything // the action that stands for all
)

// MaxResources bounds what one request of a registry's client asks for.
const MaxResources = 128

// Resource is something in a registry with what a client wants to do there.
type Resource struct {
	Type    string // without its class, which is deprecated and ignored
	Name    string
	Actions []string // as asked for, each once; may be empty

	// Odd marks a name that no repository can have. Nothing grants it.
	Odd bool
}

// String returns the resource in the form in which it is asked for.
func (r Resource) String() string {
	return r.Type + ":" + r.Name + ":" + strings.Join(r.Actions, ",")
}

// ParseResources reads the values of "scope" parameters: several in one, with
// spaces between them, or each in one of its own. What is asked for twice is
// one resource with the actions of both. Errors wrap [ErrSyntax].
func ParseResources(values []string) ([]Resource, error) {
	var list []Resource
	for _, value := range values {
		for text := range strings.SplitSeq(value, " ") {
			if text == "" {
				continue
			}
			r, err := ParseResource(text)
			if err != nil {
				return nil, err
			}
			if list = merged(list, r); len(list) > MaxResources {
				return nil, fmt.Errorf("%w: more than %d are asked for at once", ErrSyntax, MaxResources)
			}
		}
	}
	return list, nil
}

// merged adds a resource to a list, or its actions to those of the same one.
func merged(list []Resource, r Resource) []Resource {
	i := slices.IndexFunc(list, func(o Resource) bool { return o.Type == r.Type && o.Name == r.Name })
	if i < 0 {
		return append(list, r)
	}
	for _, a := range r.Actions {
		if !slices.Contains(list[i].Actions, a) {
			list[i].Actions = append(list[i].Actions, a)
		}
	}
	return list
}

// ParseResource reads one resource. The name may begin with a host and a port,
// so the type ends at the first colon and the actions begin behind the last.
// Errors wrap [ErrSyntax].
func ParseResource(text string) (Resource, error) {
	if len(text) > MaxRuleLength {
		return Resource{}, fmt.Errorf("%w: longer than %d bytes", ErrSyntax, MaxRuleLength)
	}
	first, last := strings.IndexByte(text, ':'), strings.LastIndexByte(text, ':')
	if first < 0 || first == last {
		return Resource{}, fmt.Errorf("%w: %q is not of the form type:name:actions", ErrSyntax, text)
	}
	if strings.HasPrefix(text, anything) {
		return Resource{}, fmt.Errorf("%w: %q has no type", ErrSyntax, text)
	}
	typ, err := parseType(text[:first])
	if err != nil {
		return Resource{}, err
	}
	r := Resource{Type: typ, Name: text[first+1 : last]}
	r.Odd = !isRepositoryName(r.Name)
	for action := range strings.SplitSeq(text[last+1:], ",") {
		switch {
		case action != anything && strings.TrimLeft(action, "abcdefghijklmnopqrstuvwxyz") != "":
			return Resource{}, fmt.Errorf("%w: %q is not an action", ErrSyntax, action)
		case action != "" && !slices.Contains(r.Actions, action):
			r.Actions = append(r.Actions, action)
		}
	}
	return r, nil
}

// isRepositoryName reports whether a name is of the grammar's resourcename:
// components with slashes between them, perhaps behind a host.
func isRepositoryName(s string) bool {
	head, rest, more := strings.Cut(s, "/")
	if !isComponent(head) && !(more && isHost(head)) {
		return false
	}
	for more {
		head, rest, more = strings.Cut(rest, "/")
		if !isComponent(head) {
			return false
		}
	}
	return true
}

// isComponent reports whether a text is a part of a repository's name between
// two slashes: lower-case letters and digits, with a dot, one or two
// underscores or any number of hyphens in between.
func isComponent(s string) bool {
	for i := 0; ; {
		from := i
		for i < len(s) && isLowerAlnum(s[i]) {
			i++
		}
		if i == from {
			return false
		}
		if i == len(s) {
			return true
		}
		switch {
		case strings.HasPrefix(s[i:], "__"):
			i += 2
		case s[i] == '-':
			for i < len(s) && s[i] == '-' {
				i++
			}
		case s[i] == '.', s[i] == '_':
			i++
		default:
			return false
		}
	}
}

// isHost reports whether a text is a host name, perhaps with a port.
func isHost(s string) bool {
	host, port, hasPort := strings.Cut(s, ":")
	if hasPort && (port == "" || strings.Trim(port, "0123456789") != "") {
		return false
	}
	for part := range strings.SplitSeq(host, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !isLowerAlnum(c) && (c < 'A' || c > 'Z') && c != '-' {
				return false
			}
		}
	}
	return true
}

func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// wanted says what the values of a key look like.
func (e *entry) wanted() string {
	switch e.kind {
	case boolean:
		return "true or false"
	case number:
		return "a whole number " + e.span() + e.orZero()
	case duration:
		return "a duration such as 90d, 12h or 30m, " + e.span() + e.orZero()
	case textList:
		if len(e.choices) > 0 {
			return "a list of some of " + strings.Join(e.choices, ", ")
		}
		return "a list of texts"
	case prefixList:
		return "a list of addresses and networks, such as [192.0.2.1, 10.0.0.0/8]"
	case sections:
		return "a list, each with keys such as " + e.children[0].name
	}
	if len(e.choices) > 0 {
		return "one of " + strings.Join(e.choices, ", ")
	}
	return "a text"
}

// span is the numbers and durations that are allowed, besides 0.
func (e *entry) span() string {
	if e.kind == duration {
		return "from " + FormatDuration(time.Duration(e.min)) + " to " + FormatDuration(time.Duration(e.max))
	}
	return "from " + strconv.FormatInt(e.min, 10) + " to " + strconv.FormatInt(e.max, 10)
}

func (e *entry) orZero() string {
	if e.zero == "" {
		return ""
	}
	return ", or 0 (" + e.zero + ")"
}

func (e *entry) inRange(n int64) bool {
	return (n == 0 && e.zero != "") || (n >= e.min && n <= e.max)
}

// decode sets the field from a value that a layer gave: a string, or a slice
// of strings for lists. Errors say what is wanted, never what was given.
func (e *entry) decode(field reflect.Value, value any) error {
	if e.isList() {
		return e.decodeList(field, value)
	}
	s, ok := value.(string)
	if !ok {
		return errors.New("want " + e.wanted())
	}
	switch e.kind {
	case text:
		return e.decodeText(field, s)
	case secretText:
		return decodeSecret(field, s)
	case boolean:
		if s != "true" && s != "false" {
			return errors.New("want true or false")
		}
		field.SetBool(s == "true")
	case number:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || !e.inRange(n) {
			return errors.New("want " + e.wanted())
		}
		field.SetInt(n)
	case duration:
		d, err := ParseDuration(s)
		if err != nil || !e.inRange(int64(d)) {
			return errors.New("want " + e.wanted())
		}
		field.SetInt(int64(d))
	}
	return nil
}

func (e *entry) decodeText(field reflect.Value, s string) error {
	if strings.ContainsFunc(s, isControl) {
		return errors.New("there is a line break or another control character in it")
	}
	if strings.TrimSpace(s) != s {
		return errors.New("there are spaces around it")
	}
	if len(e.choices) > 0 && !slices.Contains(e.choices, s) {
		return errors.New("want " + e.wanted())
	}
	field.SetString(s)
	return nil
}

// hidden is what [secret.Text] shows.
const hidden = "[hidden]"

func decodeSecret(field reflect.Value, s string) error {
	if s == hidden {
		return fmt.Errorf("%s stands for a secret that was not shown; put the secret here, or remove the key", hidden)
	}
	field.Set(reflect.ValueOf(secret.New(s)))
	return nil
}

func (e *entry) decodeList(field reflect.Value, value any) error {
	items, ok := value.([]any)
	if !ok {
		return errors.New("want " + e.wanted())
	}
	list := reflect.MakeSlice(field.Type(), 0, len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok {
			return errors.New("want " + e.wanted())
		}
		if e.kind == prefixList {
			p, err := parsePrefix(s)
			if err != nil {
				return fmt.Errorf("element %d: %w", i+1, err)
			}
			list = reflect.Append(list, reflect.ValueOf(p))
			continue
		}
		one := reflect.New(field.Type().Elem()).Elem()
		if err := (&entry{kind: text, choices: e.choices}).decodeText(one, s); err != nil {
			return fmt.Errorf("element %d: %w", i+1, err)
		}
		list = reflect.Append(list, one)
	}
	field.Set(list)
	return nil
}

// parsePrefix reads a network, or an address as the network of it alone. IPv4
// networks written as IPv6 become what they are.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("want an address or a network, such as 192.0.2.1 or 10.0.0.0/8")
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("the address has more bits than its network; write %s for the network, or the address alone", p.Masked())
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, errors.New("the network is wider than all IPv4 addresses")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

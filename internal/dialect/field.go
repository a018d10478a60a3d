package dialect

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Field is a CharField of a serializer: text that a client sends. The zero
// value of all but Name is the framework's default.
type Field struct {
	Name  string
	Label string // for people, shown by OPTIONS
	Help  string // likewise
	Type  string // likewise; default "string"

	ReadOnly   bool // shown by OPTIONS, but not read
	Optional   bool // may be left out
	AllowBlank bool // may be ""
	KeepSpaces bool // spaces around it count; otherwise they are trimmed
	MaxLength  int  // in characters; 0: any

	// Check is one more condition: it returns a message, or "" when it is met.
	Check func(text string) string
}

// Validated reads the body and checks the fields of the view. It returns the
// texts of those that were sent, or all that is wrong with any of them.
func (r *Request) Validated() (map[string]string, error) {
	in, err := r.data()
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	var wrong []FieldError
	for _, f := range r.view.Fields {
		if f.ReadOnly {
			continue
		}
		text, sent, messages := f.validate(in.fields[f.Name], in.html)
		switch {
		case len(messages) > 0:
			wrong = append(wrong, FieldError{f.Name, messages})
		case sent:
			texts[f.Name] = text
		}
	}
	if len(wrong) > 0 {
		return nil, Invalid(wrong...)
	}
	return texts, nil
}

// validate checks one value, in the order of the framework's CharField.
func (f Field) validate(v value, html bool) (text string, sent bool, messages []string) {
	text = v.text
	if v.kind == isText && !f.KeepSpaces {
		text = strings.TrimFunc(text, isSpace)
	}
	switch {
	case v.kind == isAbsent, html && f.Optional && !f.AllowBlank && v.kind == isText && v.text == "":
		if f.Optional {
			return "", false, nil
		}
		return "", false, []string{"This field is required."}
	case v.kind == isText && text == "":
		if f.AllowBlank {
			return "", true, nil
		}
		return "", false, []string{"This field may not be blank."}
	case v.kind == isNull:
		return "", false, []string{"This field may not be null."}
	case v.kind == isOther:
		return "", false, []string{"Not a valid string."}
	}
	return text, true, f.faults(text, v.surrogate)
}

// faults are what the validators of the field find, all of them.
func (f Field) faults(text string, surrogate rune) (messages []string) {
	if f.MaxLength > 0 && utf8.RuneCountInString(text) > f.MaxLength {
		messages = append(messages, fmt.Sprintf("Ensure this field has no more than %d characters.", f.MaxLength))
	}
	if strings.ContainsRune(text, 0) {
		messages = append(messages, "Null characters are not allowed.")
	}
	if surrogate != 0 {
		messages = append(messages, fmt.Sprintf("Surrogate characters are not allowed: U+%X.", surrogate))
	}
	if f.Check != nil {
		if message := f.Check(text); message != "" {
			messages = append(messages, message)
		}
	}
	return messages
}

// isSpace reports whether Python's str.strip removes the character: what
// Unicode calls a space, and the four separators of ASCII.
func isSpace(r rune) bool { return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f) }

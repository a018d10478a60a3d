package dialect

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON reads a JSON object. Of a member that is there twice the last one
// counts, as in Python. The charset of the media type is not looked at: JSON
// is UTF-8 (RFC 8259, section 8.1).
func parseJSON(body []byte) (data, error) {
	if !utf8.Valid(body) {
		return data{}, badJSON("the body is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return data{}, badJSON(err.Error())
	}
	whole = bytes.TrimSpace(whole)
	if whole[0] != '{' {
		if whole[0] == 'n' {
			return data{}, NonField("No data provided")
		}
		return data{}, NonField("Invalid data. Expected a dictionary, but got " + pythonType(whole) + ".")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(whole, &members); err != nil {
		return data{}, badJSON(err.Error())
	}
	fields := make(map[string]value, len(members))
	for name, raw := range members {
		fields[name] = jsonValue(raw)
	}
	return data{fields: fields}, nil
}

// badJSON words a syntax error. What follows the dash is the parser's own in
// the original too.
func badJSON(what string) error {
	return Detail(http.StatusBadRequest, "JSON parse error - "+what)
}

// pythonType names the type that Python reads a JSON value as.
func pythonType(raw []byte) string {
	switch raw[0] {
	case '[':
		return "list"
	case '"':
		return "str"
	case 't', 'f':
		return "bool"
	}
	if bytes.ContainsAny(raw, ".eE") {
		return "float"
	}
	return "int"
}

func jsonValue(raw json.RawMessage) value {
	switch raw[0] {
	case 'n':
		return value{kind: isNull}
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return value{kind: isOther}
		}
		return value{kind: isText, text: text, surrogate: loneSurrogate(raw)}
	case 't', 'f', '[', '{':
		return value{kind: isOther}
	}
	return value{kind: isText, text: pythonNumber(string(raw))}
}

// pythonNumber returns the text that Python makes of a JSON number, which is
// what a number that is sent for a password is compared as.
func pythonNumber(literal string) string {
	if !strings.ContainsAny(literal, ".eE") {
		if literal == "-0" {
			return "0"
		}
		return literal
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil { // beyond all bounds
		if strings.HasPrefix(literal, "-") {
			return "-inf"
		}
		return "inf"
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, _ := strings.Cut(text, "e")
	if n, _ := strconv.Atoi(exponent); n < -4 || n >= 16 {
		return text
	}
	text = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// loneSurrogate returns the first half of a surrogate pair that stands alone
// in a JSON string, or 0. Go's decoder replaces them all by one character, so
// that different passwords would be the same.
func loneSurrogate(raw []byte) rune {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		r := escaped(raw[i:])
		if !utf16.IsSurrogate(r) {
			continue
		}
		i += 4
		if i+2 >= len(raw) || raw[i+1] != '\\' || utf16.DecodeRune(r, escaped(raw[i+2:])) == utf8.RuneError {
			return r
		}
		i += 6
	}
	return 0
}

// escaped reads what follows a backslash as "u" and four hexadecimal digits; 0
// if it is another escape.
func escaped(raw []byte) rune {
	if len(raw) < 5 || raw[0] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(raw[1:5]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}

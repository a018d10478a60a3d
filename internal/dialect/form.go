package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"unicode/utf8"
)

// parseForm reads a form as Django's QueryDict does: of a field that is there
// twice the last one counts, escapes that make no sense stand for themselves,
// and only "&" separates. A body that is not UTF-8 is Latin-1.
func parseForm(body []byte) data {
	text := string(body)
	if !utf8.ValidString(text) {
		text = latin1(body)
	}
	fields := map[string]value{}
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, content, _ := strings.Cut(pair, "=")
		fields[unescape(name)] = value{kind: isText, text: unescape(content)}
	}
	return data{fields: fields, html: true}
}

func latin1(raw []byte) string {
	runes := make([]rune, len(raw))
	for i, b := range raw {
		runes[i] = rune(b)
	}
	return string(runes)
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2]))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return strings.ToValidUTF8(b.String(), string(utf8.RuneError))
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// parseMultipart reads a form of parts, which must be whole. A part with a file
// name is a file, which no field here takes.
func parseMultipart(body []byte, boundary string) (data, error) {
	if boundary == "" {
		return data{}, badMultipart("Invalid boundary in multipart: None")
	}
	if !bytes.Contains(body, []byte("--"+boundary+"--")) {
		return data{}, badMultipart("the end is missing")
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	in := data{fields: map[string]value{}, html: true}
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return in, nil
		}
		if err != nil {
			return data{}, badMultipart("a part cannot be read")
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return data{}, badMultipart("a part cannot be read")
		}
		_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		switch name := strings.TrimSpace(params["name"]); {
		case err != nil || name == "":
		case params["filename"] != "":
			in.fields[name] = value{kind: isOther}
		case in.fields[name].kind != isOther: // files come last in the original
			in.fields[name] = value{kind: isText, text: strings.ToValidUTF8(string(content), string(utf8.RuneError))}
		}
	}
}

func badMultipart(what string) error {
	return Detail(http.StatusBadRequest, fmt.Sprintf("Multipart form parse error - %s", what))
}

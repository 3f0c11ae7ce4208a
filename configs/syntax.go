package configs

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// checkText finds what cannot be YAML at all, with a place, which the YAML parser would not give.
func checkText(data []byte) (position, string) {
	if len(data) > maxFileSize {
		return position{1, 1}, fmt.Sprintf("the file is larger than %s: this is not a configuration of mqedge", formatSize(maxFileSize))
	}
	if bytes.HasPrefix(data, []byte("\uFEFF")) {
		return position{1, 1}, "the file begins with a byte order mark: save it as UTF-8 without one"
	}
	at := position{1, 1}
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		switch {
		case c == utf8.RuneError && size == 1:
			return at, fmt.Sprintf("byte 0x%02x is not UTF-8: save the file as UTF-8", data[0])
		case c == '\n':
			at = position{at.line + 1, 0}
		case unprintable(c) && c != '\t' && c != '\r':
			return at, fmt.Sprintf("character U+%04X is not allowed in YAML: remove it", c)
		}
		at.column++
		data = data[size:]
	}
	return at, ""
}

// unprintable says which characters no value may hold. They are those that YAML 1.2.2 section 5.1 excludes, and tab,
// the line ends and the byte order mark.
func unprintable(c rune) bool {
	return c < ' ' || c >= 0x7f && c <= 0x9f || c == 0xFEFF || c == 0xFFFE || c == 0xFFFF
}

var errorLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// locate returns the place of a syntax error: the first line that turns the lines before it into something that
// cannot be YAML. The line that the parser names is often where the surrounding block began, or missing.
func locate(data []byte, err error) position {
	const most = 4 << 20 // bytes to parse in search of it: a second, and enough for a file of some hundred lines
	line := 1
	fmt.Sscanf(string(errorLine.Find([]byte(err.Error()))), "yaml: line %d", &line)
	head, parsed := data, len(data)
	for parsed <= most && !parses(head) {
		end := bytes.LastIndexByte(head[:len(head)-1], '\n')
		head = head[:end+1]
		parsed += len(head)
	}
	if parsed <= most {
		line = 1 + bytes.Count(head, []byte("\n"))
	}
	text := lineText(data, line)
	return position{line, 1 + len(text) - len(strings.TrimLeft(text, " "))}
}

func parses(data []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := nextDocument(decoder); err != nil {
			return err == io.EOF
		}
	}
}

func lineText(data []byte, line int) string {
	lines := strings.SplitN(string(data), "\n", line+1)
	return lines[min(line, len(lines))-1]
}

// syntaxMessage is what the parser says, followed by what it usually comes from.
func syntaxMessage(data []byte, line int, err error) string {
	text := lineText(data, line)
	if indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]; strings.Contains(indent, "\t") {
		return "the line is indented with a tab: YAML wants spaces"
	}
	message := errorLine.ReplaceAllString(err.Error(), "")
	for _, hint := range [][2]string{
		{"mapping values are not allowed", `a value that contains ": " needs quotes, and keys of one section need one indentation`},
		{"cannot start any token", "a value that begins with @, ` or % needs quotes"},
		{"did not find expected node content", "a value that begins with one of : , [ ] { } # & * ! | needs quotes"},
		{"did not find expected key", "keys of one section need one indentation, and quotes need an end"},
		{"did not find expected '-' indicator", "items of one list need one indentation"},
		{"did not find expected ',' or ']'", "the list needs a comma or its ]"},
		{"did not find expected ',' or '}'", "the section needs a comma or its }, and ${…} in it needs quotes"},
		{"could not find expected ':'", `a key needs ": " after it`},
		{"unexpected end of stream", "quotes that are opened here need an end"},
		{"unknown anchor", "define it with & above its first use"},
	} {
		if strings.Contains(message, hint[0]) {
			return "not valid YAML: " + message + ": " + hint[1]
		}
	}
	return "not valid YAML: " + message
}

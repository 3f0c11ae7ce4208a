package haproxy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/configs/convert"
)

const maxSize = 16 << 20

// line is a keyword with its arguments.
type line struct {
	words []string
	at    convert.Place
	unset []string // variables of the environment in it that are not set
	used  bool     // it has been carried over, or there is a note about it
}

// section is a line that begins one, and those up to the next.
type section struct {
	kind, name string
	head       *line
	lines      []*line
	comments   []string
	defaults   *section // nil: none
}

func kinds() []string {
	return []string{
		"global", "defaults", "frontend", "backend", "listen", "resolvers", "peers", "userlist", "mailers", "program", "cache",
		"ring", "log-forward", "http-errors", "fcgi-app", "crt-store", "traces", "log-profile", "acme",
	}
}

// read returns the sections of a file.
func read(file string) ([]*section, error) {
	data, err := contents(file)
	if err != nil {
		return nil, err
	}
	r := reader{file: file, env: map[string]string{}}
	number := 0
	for text := range strings.Lines(string(data)) {
		number++
		if err := r.line(strings.TrimRight(text, "\r\n"), number); err != nil {
			return nil, fmt.Errorf("%s:%d: this is not an HAProxy configuration: %w", file, number, err)
		}
	}
	return r.sections, nil
}

func contents(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(f, maxSize+1)); err == nil && len(data) > maxSize {
			return nil, fmt.Errorf("%s: it has more than %d MiB: is it a configuration?", file, maxSize>>20)
		} else if err == nil {
			return data, nil
		}
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return nil, fmt.Errorf("%s: cannot read the file: %w", file, err)
}

type reader struct {
	file     string
	env      map[string]string // what the file itself sets
	sections []*section
	skipped  []*line  // .if before the first section
	skip     int      // conditional blocks that are open, whose lines are left out
	comments []string // of which it is not known yet what they are about
}

func (r *reader) line(text string, number int) error {
	words, comment, unset, err := r.split(text)
	if err != nil {
		return err
	}
	if comment != "" {
		r.comments = append(r.comments, comment) // of what follows, or stands on the same line
	}
	if len(words) == 0 {
		return nil
	}
	l := &line{words: words, unset: unset, at: convert.Place{File: r.file, Line: number, Word: words[0], Order: number}}
	if strings.HasPrefix(words[0], ".") {
		r.macro(l)
		return nil
	}
	switch {
	case r.skip > 0:
		return nil
	case slices.Contains(kinds(), words[0]):
		r.begin(l)
		return nil
	case len(r.sections) == 0:
		return fmt.Errorf("%s is not in a section such as frontend or backend", convert.Shown(words[0]))
	}
	s := r.sections[len(r.sections)-1]
	s.lines, s.comments, r.comments = append(s.lines, l), append(s.comments, r.comments...), nil
	if s.kind == "global" && len(words) > 2 && (words[0] == "setenv" || words[0] == "presetenv") {
		if _, there := r.lookup(words[1]); !there || words[0] == "setenv" {
			r.env[words[1]] = words[2]
		}
	}
	return nil
}

// macro leaves out what stands under a condition, which only HAProxy could work out, and keeps the line that says so.
func (r *reader) macro(l *line) {
	switch l.words[0] {
	case ".if":
		r.skip++
		switch {
		case r.skip > 1: // is left out with the other
		case len(r.sections) == 0:
			r.skipped = append(r.skipped, l)
		default:
			s := r.sections[len(r.sections)-1]
			s.lines = append(s.lines, l)
		}
	case ".endif":
		r.skip = max(r.skip-1, 0)
	}
}

func (r *reader) begin(l *line) {
	s := &section{kind: l.words[0], head: l, comments: r.comments}
	s.lines, r.skipped = r.skipped, nil
	r.comments = nil
	args := l.words[1:]
	if len(args) > 0 && args[0] != "from" {
		s.name, args = args[0], args[1:]
	}
	var from string
	if len(args) > 1 && args[0] == "from" {
		from = args[1]
	}
	for _, before := range slices.Backward(r.sections) {
		if before.kind == "defaults" && (from == "" || before.name == from) && s.kind != "global" && (from != "" || s.kind != "defaults") {
			s.defaults = before
			break
		}
	}
	r.sections = append(r.sections, s)
}

func (r *reader) lookup(name string) (string, bool) {
	if value, there := r.env[name]; there {
		return value, true
	}
	return os.LookupEnv(name)
}

// split takes a line apart at spaces, with HAProxy's quotes, escapes and variables.
func (r *reader) split(text string) (words []string, comment string, unset []string, err error) {
	var word strings.Builder
	began := false
	var quote byte
	end := func() {
		if began {
			words = append(words, word.String())
		}
		word.Reset()
		began = false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quote != '\'':
			escaped, n := unescape(text[i:], quote == '"')
			word.WriteString(escaped)
			began, i = true, i+n-1
		case quote == 0 && (c == ' ' || c == '\t'):
			end()
		case quote == 0 && c == '#':
			end()
			return words, strings.TrimSpace(text[i+1:]), unset, nil
		case (c == '"' || c == '\'') && (quote == 0 || quote == c):
			began = true
			if quote == 0 {
				quote = c
			} else {
				quote = 0
			}
		case c == '$' && quote == '"':
			value, n, missing, err := r.variable(text[i:])
			if err != nil {
				return nil, "", nil, err
			}
			if missing != "" {
				unset = append(unset, missing)
			}
			word.WriteString(value)
			i += n - 1
		default:
			word.WriteByte(c)
			began = true
		}
	}
	if quote != 0 {
		return nil, "", nil, fmt.Errorf("the quote %c is not closed", quote)
	}
	end()
	return words, "", unset, nil
}

// unescape reads what begins with a backslash, and returns how long it is. One that escapes nothing stands for itself.
func unescape(text string, quoted bool) (string, int) {
	if len(text) < 2 {
		return `\`, 1
	}
	switch c := text[1]; c {
	case ' ', '\\', '#', '"', '\'':
		return string(c), 2
	case '$':
		if quoted {
			return "$", 2
		}
	case 'n':
		return "\n", 2
	case 'r':
		return "\r", 2
	case 't':
		return "\t", 2
	case 'x':
		var b byte
		if len(text) >= 4 {
			if _, err := fmt.Sscanf(text[2:4], "%02x", &b); err == nil {
				return string([]byte{b}), 4
			}
		}
	}
	return `\`, 1
}

// variable reads $NAME, ${NAME} or ${NAME-default}, and returns how long it is; missing is its name if it is not set.
func (r *reader) variable(text string) (value string, length int, missing string, err error) {
	name, fallback, length := "", "", 0
	if inner, ok := strings.CutPrefix(text, "${"); ok {
		inner, _, ok = strings.Cut(inner, "}")
		if !ok {
			return "", 0, "", errors.New("${ is not closed")
		}
		length = len(inner) + 3
		name, fallback, _ = strings.Cut(strings.TrimSuffix(inner, "[*]"), "-")
	} else {
		length = 1
		for length < len(text) && isName(text[length]) {
			length++
		}
		name = text[1:length]
	}
	if name == "" {
		return "$", 1, "", nil
	}
	if value, there := r.lookup(name); there {
		return value, length, "", nil
	}
	if fallback == "" {
		missing = name
	}
	return fallback, length, missing, nil
}

func isName(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

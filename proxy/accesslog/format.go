package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// nginxBasic is the format that nginx's documentation of the stream log module uses.
const nginxBasic = "$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time"

// Format turns records into lines. It is immutable: any number of goroutines may use it at once.
type Format struct {
	asJSON bool
	ops    []op
	tail   string
	escape func(dst []byte, from int) []byte
	empty  string // printed for a variable that has no value
}

type op struct {
	literal string // goes before the variable
	value   appender
}

// Compile understands "json" (an object with every variable that has a value), "nginx" (the format of nginx's
// documentation), and nginx's own templates of $name and ${name}. A template may begin with nginx's parameter
// "escape=json " or "escape=default ".
func Compile(format string) (*Format, error) {
	switch format {
	case "json":
		return &Format{asJSON: true}, nil
	case "nginx":
		format = nginxBasic
	}
	f := &Format{escape: escapeText, empty: "-"}
	// A YAML block scalar ends with a newline that nobody meant.
	rest := strings.TrimSuffix(format, "\n")
	if after, ok := strings.CutPrefix(rest, "escape="); ok {
		mode, template, _ := strings.Cut(after, " ")
		switch mode {
		case "default":
		case "json":
			f.escape, f.empty = escapeJSON, ""
		default:
			return nil, fmt.Errorf("%.20q is not supported: write escape=json or escape=default", "escape="+mode)
		}
		rest = template
	}
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return nil, fmt.Errorf("control character %q in the format: a record is one line (in YAML, fold several lines with >-)", rest[i])
	}
	for {
		literal, after, found := strings.Cut(rest, "$")
		if !found {
			f.tail = rest
			break
		}
		name, remaining, err := cutName(after)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(variables[:], func(v variable) bool { return v.name == name })
		if i < 0 {
			return nil, unknownVariable(name)
		}
		f.ops = append(f.ops, op{literal: literal, value: variables[i].text})
		rest = remaining
	}
	if len(f.ops) == 0 {
		return nil, fmt.Errorf("format %.40q has no variable: write json, nginx, or a template such as %q", format, "$remote_addr $status")
	}
	return f, nil
}

// Append appends the line for r, without a newline, to dst.
func (f *Format) Append(dst []byte, r *Record) []byte {
	if f.asJSON {
		return appendJSON(dst, r)
	}
	for i := range f.ops {
		dst = append(dst, f.ops[i].literal...)
		from := len(dst)
		dst = f.ops[i].value(dst, r)
		if len(dst) == from {
			dst = append(dst, f.empty...)
			continue
		}
		dst = f.escape(dst, from)
	}
	return append(dst, f.tail...)
}

func appendJSON(dst []byte, r *Record) []byte {
	dst = append(dst, '{')
	for i := range variables {
		v := &variables[i]
		start := len(dst)
		dst = append(dst, '"')
		dst = append(dst, v.name...)
		dst = append(dst, `":`...)
		from := len(dst)
		if v.number != nil {
			dst = v.number(dst, r)
			if len(dst) == from {
				dst = dst[:start]
				continue
			}
		} else {
			dst = append(dst, '"')
			from++
			dst = v.text(dst, r)
			if len(dst) == from {
				dst = dst[:start]
				continue
			}
			dst = append(escapeJSON(dst, from), '"')
		}
		dst = append(dst, ',')
	}
	// The last byte is a comma: the status, among others, is always there.
	dst[len(dst)-1] = '}'
	return dst
}

// cutName takes the name of a variable off the text behind a dollar sign.
func cutName(s string) (name, rest string, err error) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		name, rest, ok = strings.Cut(inner, "}")
		if !ok {
			return "", "", fmt.Errorf("%.20q has no closing brace", "${"+inner)
		}
		return name, rest, nil
	}
	n := 0
	for n < len(s) && (s[n] == '_' || '0' <= s[n] && s[n] <= '9' || 'a' <= s[n] && s[n] <= 'z' || 'A' <= s[n] && s[n] <= 'Z') {
		n++
	}
	if n == 0 {
		return "", "", errors.New("a dollar sign without the name of a variable: write $name or ${name}")
	}
	return s[:n], s[n:], nil
}

func unknownVariable(name string) error {
	best, distance := "", 4
	for _, known := range Variables() {
		if d := editDistance(name, known); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return fmt.Errorf("unknown variable $%.40s: there are $%s", name, strings.Join(Variables(), " $"))
	}
	return fmt.Errorf("unknown variable $%s: did you mean $%s?", name, best)
}

// editDistance is Levenshtein's; names that differ much in length are far apart without a look at them.
func editDistance(a, b string) int {
	if len(a) > len(b)+3 {
		return len(a) - len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

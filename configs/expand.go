package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	expandForms  = "write ${VAR}, ${VAR:-default} or ${file:/path}, and $${ for a literal ${"
	maxValueFile = 64 << 10
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces ${…} in a value. What is put in is not looked at again.
func (d *decoder) expand(text string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), nil
		}
		if literal, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(literal + "${")
			text = rest
			continue
		}
		b.WriteString(before)
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", errors.New("${ is not closed by }: " + expandForms)
		}
		value, err := d.lookUp(inner)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = after
	}
}

// escape is the inverse of expand for a text without anything to look up.
func escape(text string) string {
	return strings.ReplaceAll(text, "${", "$${")
}

func (d *decoder) lookUp(inner string) (string, error) {
	if file, ok := strings.CutPrefix(inner, "file:"); ok {
		return d.valueFile(file)
	}
	name, fallback, hasDefault := strings.Cut(inner, ":-")
	if !variableName.MatchString(name) || strings.Contains(fallback, "${") {
		return "", fmt.Errorf("%s cannot be expanded: %s", shown("${"+inner+"}"), expandForms)
	}
	value, set := os.LookupEnv(name)
	switch {
	case hasDefault && value == "":
		return fallback, nil
	case !set:
		return "", fmt.Errorf("environment variable %s is not set: set it, or write ${%s:-default}", name, name)
	}
	return value, nil
}

func (d *decoder) valueFile(file string) (string, error) {
	if file == "" {
		return "", errors.New("${file:} names no file: " + expandForms)
	}
	file = d.resolve(file)
	data, err := readRegular(file, maxValueFile)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(data) {
		return "", fmt.Errorf("%s is not UTF-8 text: name a text file", file)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// readRegular reads a whole file of at most limit bytes. Anything that could keep it waiting is refused.
func readRegular(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %s", file, cause(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read %s: it is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %s", file, cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %s", file, cause(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("cannot read %s: it is larger than %s", file, formatSize(limit))
	}
	return data, nil
}

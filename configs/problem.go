package configs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a file: where it is, which key it is about, and what would be right.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Path    string `json:"path"`   // "" when it is about the file
	Message string `json:"message"`
	Warning bool   `json:"warning"` // the file can be used all the same
}

// String returns FILE:LINE:COL: path.to.key: message.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems are all that is wrong with a file, in the order of the file.
type Problems []Problem

// Err returns the errors among them as one, a line each, and nil when there are only warnings.
func (ps Problems) Err() error {
	var lines []string
	for _, p := range ps {
		if !p.Warning {
			lines = append(lines, p.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
}

type position struct{ line, column int }

// report collects problems and remembers where in the file each key stands.
type report struct {
	file     string
	problems Problems
	broken   map[string]bool     // the paths that an error is about
	at       map[string]position // by path; a section or list is where its key is
}

func newReport(file string) *report {
	return &report{file: file, broken: map[string]bool{}, at: map[string]position{}}
}

func (r *report) add(at position, path, message string, warning bool) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: at.line, Column: at.column, Path: path, Message: message, Warning: warning,
	})
	if !warning {
		r.broken[path] = true
	}
}

// errorf reports what is wrong with the value at path, or with its absence: then the place is the nearest section
// that is written.
func (r *report) errorf(path, format string, args ...any) {
	at, path := r.place(path)
	r.add(at, path, fmt.Sprintf(format, args...), false)
}

// errorfOnce is errorf for a value that nothing is known to be wrong with yet.
func (r *report) errorfOnce(path, format string, args ...any) {
	if !r.failed(path) {
		r.errorf(path, format, args...)
	}
}

// warnf is errorf for what the file can be used in spite of.
func (r *report) warnf(path, format string, args ...any) {
	at, path := r.place(path)
	r.add(at, path, fmt.Sprintf(format, args...), true)
}

// failed says whether there is an error about path, so that nothing need be concluded from its value.
func (r *report) failed(path string) bool {
	_, shown := r.place(path)
	return r.broken[path] || r.broken[shown]
}

// place returns where path is, and the path as the file has it: a list written as its only item has no index.
func (r *report) place(path string) (position, string) {
	shown := path
	for {
		if at, ok := r.at[path]; ok {
			return at, shown
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return position{1, 1}, shown
		}
		if path[cut] == '[' && path == shown {
			shown = path[:cut]
		}
		path = path[:cut]
	}
}

package nginx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	crossplane "github.com/nginxinc/nginx-go-crossplane"
)

const (
	maxSize  = 16 << 20 // of all files together
	maxDepth = 100      // of blocks in blocks
)

// directive is one of nginx's, with its place. The children of a block have it as their parent.
type directive struct {
	name   string
	args   []string
	file   string
	line   int
	order  int // in the order that nginx reads them
	parent *directive
	block  []*directive // nil: not a block
	used   bool         // it has been carried over, or there is a note about it

	comments []string // in a block, and above it
}

func (d *directive) String() string { return fmt.Sprintf("%s:%d", d.file, d.line) }

// parse reads a file and all it includes. The directive returned is the block that the file is.
func parse(file string) (*directive, error) {
	r := reader{kept: map[string][]byte{}}
	payload, err := crossplane.Parse(file, &crossplane.ParseOptions{
		CombineConfigs: true,
		// Other versions and modules know other directives. Each is looked at here when it is used.
		SkipDirectiveContextCheck: true, SkipDirectiveArgsCheck: true,
		Open:          r.open,
		ParseComments: true,
		LexOptions:    lexOptions(),
	})
	switch {
	case r.err != nil:
		return nil, r.told(payload)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	root := &directive{file: file, line: 1, used: true, block: []*directive{}}
	next := 0
	for _, config := range payload.Config {
		root.add(config.Parsed, &next)
	}
	return root, nil
}

func (d *directive) add(parsed crossplane.Directives, next *int) {
	var above []string
	for _, p := range parsed {
		if p.Comment != nil {
			above, d.comments = append(above, *p.Comment), append(d.comments, *p.Comment)
			continue
		}
		*next++
		child := &directive{name: p.Directive, file: p.File, line: p.Line, order: *next, parent: d}
		for _, arg := range p.Args {
			child.args = append(child.args, unescape(arg))
		}
		if p.Block != nil {
			child.block = []*directive{}
			child.comments, above = above, nil
			child.add(p.Block, next)
		}
		d.block = append(d.block, child)
	}
}

// unescape does what nginx does with backslashes, and the parser leaves undone.
func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\'`, `'`, `\t`, "\t", `\r`, "\r", `\n`, "\n").Replace(s)
}

func lexOptions() crossplane.LexOptions {
	return crossplane.LexOptions{Lexers: []crossplane.RegisterLexer{(&crossplane.Lua{}).RegisterLexer()}}
}

// reader opens files for the parser, once each, and only those whose blocks are well formed.
type reader struct {
	kept map[string][]byte
	size int64
	err  error // the first
}

func (r *reader) open(file string) (io.ReadCloser, error) {
	data, known := r.kept[file]
	if !known {
		var err error
		data, err = r.read(file)
		if err == nil {
			err = wellFormed(file, data)
		}
		if err != nil {
			r.err = errors.Join(r.err, err)
			return nil, err
		}
		r.kept[file] = data
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// told returns the errors with the places of the includes that led to them.
func (r *reader) told(payload *crossplane.Payload) error {
	var errs []error
	if payload != nil {
		for _, e := range payload.Errors {
			p, ok := errors.AsType[*crossplane.ParseError](e.Error)
			if ok && p.File != nil && p.Line != nil && slices.Contains(strings.Split(r.err.Error(), "\n"), p.What) {
				errs = append(errs, fmt.Errorf("%s:%d: include: %s", *p.File, *p.Line, p.What))
			}
		}
	}
	if errs == nil {
		return r.err
	}
	return errors.Join(errs...)
}

func (r *reader) read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read the file: %w", file, cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1-r.size))
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read the file: %w", file, cause(err))
	}
	if r.size += int64(len(data)); r.size > maxSize {
		return nil, fmt.Errorf("%s: with this the configuration has more than %d MiB: is it one?", file, maxSize>>20)
	}
	return data, nil
}

// cause is what the system said, without the path.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// wellFormed finds what would not be a tree of directives. The parser takes some of that for something else.
func wellFormed(file string, data []byte) error {
	tokens := crossplane.LexWithOptions(bytes.NewReader(data), lexOptions())
	defer func() {
		for range tokens { // the sender is to end
		}
	}()
	depth, words, line := 0, 0, 1
	for t := range tokens {
		line = t.Line
		failed := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: this is not an nginx configuration: %s", file, line, fmt.Sprintf(format, args...))
		}
		if t.Error != nil {
			if p, ok := errors.AsType[*crossplane.ParseError](t.Error); ok {
				if p.Line != nil {
					line = *p.Line
				}
				return failed("%s", p.What)
			}
			return failed("%v", t.Error)
		}
		switch {
		case t.IsQuoted:
			words++
		case strings.HasPrefix(t.Value, "#"):
		case t.Value == ";" || t.Value == "{":
			if words == 0 {
				return failed("unexpected %q", t.Value)
			}
			words = 0
			if t.Value == "{" {
				if depth++; depth > maxDepth {
					return failed("blocks are nested more than %d deep", maxDepth)
				}
			}
		case t.Value == "}":
			if words > 0 {
				return failed(`unexpected "}" where ";" is missing`)
			}
			depth--
		default:
			words++
		}
	}
	if words > 0 || depth > 0 {
		return fmt.Errorf("%s:%d: this is not an nginx configuration: it ends within a directive", file, line)
	}
	return nil
}

package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"gopkg.in/yaml.v3"
)

const maxFileSize = 4 << 20

// Check finds the mistakes that only those see who act on a configuration. It names each by its path, as Path makes it;
// one in a value that is known to be wrong already is not told again.
type Check func(c *Config, errorf func(path, format string, args ...any))

// Path returns the path of a key, such as upstreams.emqx.tries, from the steps to it. A name that could be taken for
// several steps is quoted.
func Path(steps ...string) string {
	path := ""
	for _, step := range steps {
		path = namePath(path, step)
	}
	return path
}

// Load reads and checks a file, also by more checks. The Config is nil if any of the problems is an error.
func Load(file string, more ...Check) (*Config, Problems) {
	data, err := readConfig(file)
	if err != nil {
		return nil, Problems{{File: file, Line: 1, Column: 1, Message: err.Error()}}
	}
	return Parse(file, data, more...)
}

// Parse is Load for the text of a file already read. The folder of name is where relative paths start.
func Parse(name string, data []byte, more ...Check) (*Config, Problems) {
	r := newReport(name)
	cfg := parse(r, name, data)
	for _, check := range more {
		if cfg != nil {
			check(cfg, r.errorfOnce)
		}
	}
	r.problems.sort()
	if r.problems.Err() != nil {
		return nil, r.problems
	}
	return cfg, r.problems
}

func parse(r *report, name string, data []byte) *Config {
	if at, message := checkText(data); message != "" {
		r.add(at, "", message, false)
		return nil
	}
	root := r.document(data)
	if root == nil || !resolveAliases(r, root) {
		return nil
	}
	dir := filepath.Dir(name)
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	d := decoder{report: r, dir: dir, keys: schemaPaths()}
	v := reflect.New(reflect.TypeFor[Config]()).Elem()
	v.Set(defaultOf(v.Type()))
	d.section(root, v, path{})
	cfg := v.Interface().(Config)
	cfg.Dir = dir

	c := checker{report: r, cfg: &cfg, now: time.Now()}
	c.run()
	return &cfg
}

func readConfig(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %s", cause(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("this is a directory: give the name of a file in it")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %s", cause(err))
	}
	return data, nil
}

// cause is what the operating system said, without the path that messages name themselves.
func cause(err error) string {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err.Error()
	}
	return err.Error()
}

// document parses data as the one YAML document a file holds, and returns its top, or nil after an error.
func (r *report) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	first, err := nextDocument(decoder)
	if err == io.EOF || err == nil && isNull(first.Content[0]) {
		r.add(position{1, 1}, "", "the file holds no configuration: it needs at least listeners and upstreams", false)
		return nil
	}
	if err != nil {
		r.syntax(data, err)
		return nil
	}
	second, err := nextDocument(decoder)
	if err == nil {
		r.add(position{second.Line, second.Column}, "",
			"a second document begins here: keep one, without a --- line between", false)
		return nil
	}
	if err != io.EOF {
		r.syntax(data, err)
		return nil
	}
	return first.Content[0]
}

func (r *report) syntax(data []byte, err error) {
	at := locate(data, err)
	r.add(at, "", syntaxMessage(data, at.line, err), false)
}

// nextDocument returns io.EOF after the last one.
func nextDocument(decoder *yaml.Decoder) (node *yaml.Node, err error) {
	// The YAML parser panics where it doubts itself, and what it reads is not ours.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	node = &yaml.Node{}
	if err := decoder.Decode(node); err != nil {
		return nil, err
	}
	return node, nil
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

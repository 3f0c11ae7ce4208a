package nginx

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/configs"
)

// Options of Import. The zero value works.
type Options struct {
	// Protocol is mqtt or tcp for all listeners; "" goes by ports and names.
	Protocol string
}

// Result is what became of an nginx configuration.
type Result struct {
	Config configs.Config
	YAML   []byte // Config with comments
	Notes  []Note // in the order in which nginx reads the directives
	// Problems are what `mqedge check` says of YAML on this machine, as the file mqedge.yaml: above all, files that are
	// not here. What a note says already is not among them.
	Problems configs.Problems
}

// Import turns an nginx configuration into one of mqedge. It fails if the file, or one that it includes, cannot be read,
// if that is not an nginx configuration, or if there is nothing in it for mqedge.
func Import(file string, o Options) (*Result, error) {
	root, err := parse(file)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	im := importer{
		dir: dir, protocol: o.Protocol, cfg: configs.Default(), comments: map[string]string{},
		blocks: map[string]*directive{}, targets: map[*directive]*target{}, made: map[string]string{}, taken: map[string]*directive{},
	}
	im.cfg.Listeners, im.cfg.Upstreams = map[string]*configs.Listener{}, map[string]*configs.Upstream{}
	streams := streamsOf(root)
	for _, stream := range streams {
		im.stream(stream)
	}
	for _, http := range root.all("http") {
		im.http(http)
	}
	im.accessLog(streams)
	im.admin()
	im.leftovers(root)

	result := &Result{Config: im.cfg, Notes: im.sorted()}
	if len(im.cfg.Listeners) == 0 {
		return result, nothing(file, streams, result.Notes)
	}
	result.YAML = append([]byte(head(file)), im.cfg.Short(im.comments)...)
	_, problems := configs.Parse("mqedge.yaml", result.YAML)
	for _, p := range problems {
		// There is a note about these, with the place in nginx's file.
		if !p.Warning || !strings.HasSuffix(p.Path, ".min_version") && !strings.HasSuffix(p.Path, ".max_version") {
			result.Problems = append(result.Problems, p)
		}
	}
	return result, nil
}

// ErrNothing is returned when a file holds nothing for mqedge; the Result has the notes that say why.
var ErrNothing = errors.New("there is nothing to import")

func nothing(file string, streams []*directive, notes []Note) error {
	switch {
	case len(notes) > 0 && len(streams) > 0:
		return fmt.Errorf("%s: %w: no server of stream {} could be carried over", file, ErrNothing)
	case len(streams) > 0:
		return fmt.Errorf("%s: %w: stream {} has no server", file, ErrNothing)
	}
	return fmt.Errorf("%s: %w: it has no stream {} block, which is what mqedge replaces", file, ErrNothing)
}

func head(file string) string {
	return "# Made from " + shown(filepath.Base(file)) + " by `mqedge import nginx`. A remark such as nginx.conf:12 names the line that\n" +
		"# a section comes from. Every other key has its default: see `mqedge check --print FILE`.\n\n"
}

// importer collects the result.
type importer struct {
	notes
	dir      string // of the file
	protocol string
	cfg      configs.Config
	comments map[string]string // by path, see configs.Config.Short

	blocks  map[string]*directive  // upstreams of the stream at hand, by name
	targets map[*directive]*target // by upstream
	made    map[string]string      // names of upstreams, by all that is in them
	taken   map[string]*directive  // the listen of each address
}

// streamsOf returns the stream blocks. A file that is made to be included in one is such a block by itself.
func streamsOf(root *directive) []*directive {
	streams := root.all("stream")
	if len(streams) > 0 {
		return streams
	}
	fragment := false
	for _, d := range root.block {
		if d.name != "server" || d.block == nil {
			continue
		}
		for _, child := range d.block {
			fragment = fragment || child.name == "proxy_pass"
		}
	}
	if !fragment {
		return nil
	}
	stream := &directive{name: "stream", file: root.file, line: 1, parent: root, block: root.block, used: true}
	for _, d := range stream.block {
		d.parent = stream
	}
	root.block = []*directive{stream}
	return []*directive{stream}
}

func (im *importer) stream(stream *directive) {
	clear(im.blocks)
	for _, u := range stream.all("upstream") {
		switch {
		case len(u.args) != 1 || u.block == nil:
			im.add(u, "is not understood, a name and a block are expected: left out")
		case im.blocks[u.args[0]] != nil:
			im.add(u, "%s is there already in line %d, which nginx refuses: the first is taken", shown(u.args[0]), im.blocks[u.args[0]].line)
		default:
			im.blocks[u.args[0]] = u
		}
	}
	for _, s := range stream.all("server") {
		im.server(s)
	}
	for _, u := range stream.all("upstream") {
		if im.targets[u] == nil && len(u.args) == 1 {
			im.leave(u, "no server that is imported passes to %s: left out", shown(u.args[0]))
		}
	}
}

// leave tells that a block is not carried over, which is all there is to say about what is in it.
func (im *importer) leave(d *directive, format string, args ...any) {
	im.add(d, format, args...)
	d.settle()
}

func (d *directive) settle() {
	for _, child := range d.block {
		child.used = true
		child.settle()
	}
}

// admin makes way for a listener where the default of admin.bind is.
func (im *importer) admin() {
	admin := netip.MustParseAddrPort(im.cfg.Admin.Bind)
	for port := admin.Port(); port != 0; port++ {
		bind := netip.AddrPortFrom(admin.Addr(), port).String()
		listen, at := im.conflict(bind)
		if listen == nil {
			im.cfg.Admin.Bind = bind
			return
		}
		im.comments["admin.bind"] = at + " is taken, " + im.origin(listen)
	}
}

// origin is the place of a directive as a remark has it, from the folder of the file.
func (im *importer) origin(d *directive) string {
	file := d.file
	if absolute, err := filepath.Abs(file); err == nil {
		if rel, err := filepath.Rel(im.dir, absolute); err == nil && filepath.IsLocal(rel) {
			file = rel
		}
	}
	return fmt.Sprintf("%s:%d", shown(file), d.line)
}

// leftovers tells of every directive that nothing has come of.
func (im *importer) leftovers(d *directive) {
	for _, child := range d.block {
		if !child.used && !slices.Contains(silent(), child.name) {
			im.leave(child, "%s", reason(child))
			continue
		}
		im.leftovers(child)
	}
}

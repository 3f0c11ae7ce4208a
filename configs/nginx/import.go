package nginx

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mqedge/mqedge/configs/convert"
)

// Options of Import. The zero value works.
type Options struct {
	// Protocol is mqtt or tcp for all listeners; "" goes by ports and names.
	Protocol string
}

// Import turns an nginx configuration into one of mqedge. It fails if the file, or one that it includes, cannot be read,
// if that is not an nginx configuration, or if there is nothing in it for mqedge.
func Import(file string, o Options) (*convert.Result, error) {
	root, err := parse(file)
	if err != nil {
		return nil, err
	}
	draft, err := convert.NewDraft(file)
	if err != nil {
		return nil, err
	}
	im := importer{
		Draft: draft, protocol: o.Protocol,
		blocks: map[string]*directive{}, targets: map[*directive]*target{}, made: map[string]string{},
	}
	streams := streamsOf(root)
	for _, stream := range streams {
		im.stream(stream)
	}
	for _, http := range httpsOf(root) {
		im.http(http)
	}
	im.accessLog(streams)
	im.leftovers(root)
	if im.Empty() {
		notes := im.Notes()
		return &convert.Result{Config: im.Config, Notes: notes}, nothing(file, streams, notes)
	}
	return im.Finish(file, "nginx", "nginx.conf:12"), nil
}

// ErrNothing is returned when a file holds nothing for mqedge; the Result has the notes that say why.
var ErrNothing = errors.New("there is nothing to import")

func nothing(file string, streams []*directive, notes []convert.Note) error {
	switch {
	case len(notes) > 0 && len(streams) > 0:
		return fmt.Errorf("%s: %w: no server of stream {} could be carried over", file, ErrNothing)
	case len(streams) > 0:
		return fmt.Errorf("%s: %w: stream {} has no server", file, ErrNothing)
	}
	return fmt.Errorf("%s: %w: it has no stream {} block and no grpc_pass, which is what mqedge replaces", file, ErrNothing)
}

// importer collects the result.
type importer struct {
	*convert.Draft
	protocol string

	blocks  map[string]*directive  // upstreams of the stream at hand, by name
	targets map[*directive]*target // by upstream
	made    map[string]string      // names of upstreams, by all that is in them
	scripts []*directive           // the js_set of the stream at hand

	calls        bool // upstreams are those of calls
	carriedCalls bool // there is a listener of them
}

// streamsOf returns the stream blocks. A file that is made to be included in one is such a block by itself.
func streamsOf(root *directive) []*directive {
	return blocksOf(root, "stream", func(server *directive) bool { return has(server, "proxy_pass") })
}

// httpsOf returns the http blocks, likewise.
func httpsOf(root *directive) []*directive {
	return blocksOf(root, "http", func(server *directive) bool {
		return slices.ContainsFunc(locations(server), func(l *directive) bool { return has(l, "grpc_pass") })
	})
}

func has(d *directive, name string) bool {
	return slices.ContainsFunc(d.block, func(child *directive) bool { return child.name == name })
}

func blocksOf(root *directive, name string, isServer func(*directive) bool) []*directive {
	if blocks := root.all(name); len(blocks) > 0 {
		return blocks
	}
	if !slices.ContainsFunc(root.block, func(d *directive) bool { return d.name == "server" && d.block != nil && isServer(d) }) {
		return nil
	}
	block := &directive{name: name, file: root.file, line: 1, parent: root, block: root.block, used: true}
	for _, d := range block.block {
		d.parent = block
	}
	root.block = []*directive{block}
	return []*directive{block}
}

func (im *importer) stream(stream *directive) {
	im.readUpstreams(stream)
	im.readScripts(stream)
	for _, s := range stream.all("server") {
		im.server(s)
	}
	for _, u := range stream.all("upstream") {
		if im.targets[u] == nil && len(u.args) == 1 {
			im.leave(u, "no server that is imported passes to %s: left out", convert.Shown(u.args[0]))
		}
	}
}

// readUpstreams notes the upstreams of a block by their names.
func (im *importer) readUpstreams(block *directive) {
	clear(im.blocks)
	for _, u := range block.all("upstream") {
		switch {
		case len(u.args) != 1 || u.block == nil:
			im.add(u, "is not understood, a name and a block are expected: left out")
		case im.blocks[u.args[0]] != nil:
			im.add(u, "%s is there already in line %d, which nginx refuses: the first is taken", convert.Shown(u.args[0]), im.blocks[u.args[0]].line)
		default:
			im.blocks[u.args[0]] = u
		}
	}
}

// readScripts notes which variables scripts set, without a word yet.
func (im *importer) readScripts(block *directive) {
	im.scripts = nil
	for _, d := range block.block {
		if d.name == "js_set" {
			im.scripts = append(im.scripts, d)
		}
		for _, child := range d.block {
			if d.name == "server" && child.name == "js_set" {
				im.scripts = append(im.scripts, child)
			}
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

package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// Options of Import. The zero value works.
type Options struct {
	// Protocol is mqtt or tcp for all listeners; "" goes by ports, names and rules about MQTT.
	Protocol string
}

// ErrNothing is returned when a file holds nothing for mqedge; the Result has the notes that say why.
var ErrNothing = errors.New("there is nothing to import")

// Import turns an HAProxy configuration into one of mqedge. It fails if the file cannot be read, if that is not an HAProxy
// configuration, or if there is nothing in it for mqedge.
func Import(file string, o Options) (*convert.Result, error) {
	sections, err := read(file)
	if err != nil {
		return nil, err
	}
	if len(sections) == 0 {
		return nil, fmt.Errorf("%s: %w: it is empty", file, ErrNothing)
	}
	draft, err := convert.NewDraft(file)
	if err != nil {
		return nil, err
	}
	im := importer{
		Draft: draft, protocol: o.Protocol, global: &section{kind: "global"},
		backends: map[string]*section{}, resolvers: map[string]*section{}, reached: map[*section]bool{}, made: map[string]string{},
	}
	im.collect(sections)
	for _, s := range sections {
		if s.kind == "frontend" || s.kind == "listen" {
			im.frontend(s)
		}
	}
	im.accessLog(sections)
	im.leftovers(sections)
	if im.Empty() {
		return &convert.Result{Config: im.Config, Notes: im.Notes()}, fmt.Errorf(
			"%s: %w: it has no frontend or listen of streams, or of gRPC, which is what mqedge replaces", file, ErrNothing)
	}
	return im.Finish(file, "haproxy", "haproxy.cfg:12"), nil
}

// importer collects the result.
type importer struct {
	*convert.Draft
	protocol string
	global   *section

	backends  map[string]*section // listens too
	resolvers map[string]*section
	reached   map[*section]bool
	made      map[string]string // names of upstreams, by all that is in them
}

// note tells of a line, which needs no other word then.
func (im *importer) note(l *line, format string, args ...any) {
	l.used = true
	im.Note(l.place(), format, args...)
}

// place names a line by its keyword, and an option by its name too.
func (l *line) place() convert.Place {
	at := l.at
	if first := l.words[0]; len(l.words) > 1 && (first == "option" || first == "timeout" || first == "no" || first == "stats" || first == "http-check" || first == "tcp-check") {
		at.Word = first + " " + l.words[1]
	}
	return at
}

// collect finds the sections that others name.
func (im *importer) collect(sections []*section) {
	for _, s := range sections {
		named := map[string]map[string]*section{"backend": im.backends, "listen": im.backends, "resolvers": im.resolvers}[s.kind]
		switch {
		case s.kind == "global" && im.global.head == nil:
			im.global = s
		case s.kind == "global":
			im.global.lines = append(im.global.lines, s.lines...)
			s.lines = nil
		case named != nil && named[s.name] != nil:
			im.note(s.head, "%s is there already in line %d, which HAProxy refuses: the first is taken", convert.Shown(s.name), named[s.name].head.at.Line)
		case named != nil:
			named[s.name] = s
		}
		for _, l := range s.lines {
			for _, name := range l.unset {
				im.Note(l.place(), "the variable %s is not set here, so it is empty: run this with the environment of HAProxy", convert.Shown(name))
			}
		}
	}
}

// frontend makes listeners of a frontend, or of a listen.
func (im *importer) frontend(f *section) {
	if off := f.own("disabled"); off != nil {
		im.leave(f, "is disabled: left out")
		return
	}
	b, why := im.backendOf(f)
	if b == nil {
		im.leave(f, "left out, as %s", why)
		return
	}
	calls, why := im.calls(f, b)
	if why != "" {
		im.leave(f, "%s", why)
		return
	}
	binds := im.binds(f)
	if len(binds) == 0 {
		im.leave(f, "left out, as it has no bind that mqedge can have")
		return
	}
	port := portOf(binds)
	if len(im.servers(b, port)) == 0 && im.template(b, &configs.Upstream{}) == nil {
		im.leave(f, "left out, as %s %s has no server that can be carried over", b.kind, convert.Shown(b.name))
		return
	}
	for len(binds) > 0 {
		var kind []bind
		kind, binds = sameKind(binds)
		im.listener(f, b, kind, calls, port)
	}
}

// portOf is that of endpoints without one: of the frontend, if it has one only.
func portOf(binds []bind) int {
	if len(binds) != 1 || len(binds[0].binds) != 1 {
		return 0
	}
	return convert.Ports(binds[0].binds)[0]
}

// backendOf finds where a frontend leads. The text tells what is in the way, if it is nil.
func (im *importer) backendOf(f *section) (*section, string) {
	if f.last("stats", "enable") != nil && len(f.own("server")) == 0 || f.last("stats", "uri") != nil && len(f.own("server")) == 0 {
		return nil, "it is HAProxy's page of statistics: mqedge has its own at the admin address, with metrics at /metrics"
	}
	var rules []*line
	fallback := f.last("default_backend")
	name := fallback.arg(1)
	for _, l := range f.own("use_backend") {
		l.used = false
		switch {
		case len(l.words) == 2 && name == "":
			name, l.used = l.words[1], true
		case convert.NamesExHook(l.text()) && f.http(): // EMQX's calls are what mqedge is for
			name, l.used = l.arg(1), true
		default:
			rules = append(rules, l)
		}
	}
	if ws := slices.IndexFunc(rules, func(l *line) bool { return im.webSocket(im.backends[l.arg(1)]) }); ws >= 0 && f.http() && !im.webSocket(im.backends[name]) {
		if im.backends[name] != nil && fallback.arg(1) == name {
			im.note(fallback, "only what goes to %s is carried over, which is MQTT over WebSocket: the other requests are HTTP, keep HAProxy for them at another address", convert.Shown(rules[ws].arg(1)))
		}
		name = rules[ws].arg(1)
	}
	for _, l := range rules {
		if l.arg(1) == name {
			l.used = true
			continue
		}
		im.note(l, "mqedge has one upstream for a listener, and no rules: left out; give what goes to %s a listener with an address of its own", convert.Shown(l.arg(1)))
	}
	switch b := im.backends[name]; {
	case name == "" && (len(f.own("server")) > 0 || len(f.own("server-template")) > 0):
		return f, ""
	case name == "":
		return nil, "it leads to no backend without a condition, where mqedge has one upstream for a listener"
	case strings.Contains(name, "%["):
		return nil, "where it leads is worked out for each connection, where mqedge has one upstream for a listener"
	case b == nil:
		return nil, "there is no backend " + convert.Shown(name)
	default:
		return b, ""
	}
}

// webSocket reports whether a backend, by itself, is one of MQTT over WebSocket.
func (im *importer) webSocket(b *section) bool {
	if b == nil || im.http2(b) {
		return false
	}
	protocol, _ := im.stream(&section{}, b, nil).Protocol()
	return protocol == "mqtt_ws"
}

// callKind is what an HTTP frontend carries.
type callKind int

const (
	streams   callKind = iota // not HTTP, or passed on as bytes
	anyCalls                  // gRPC
	hookCalls                 // gRPC of EMQX's hooks
	websocket
)

// calls says what a frontend carries, or why it is nothing for mqedge.
func (im *importer) calls(f, b *section) (kind callKind, why string) {
	if frontend, backend := f.http(), b.http(); !frontend && !backend {
		return streams, ""
	}
	if im.http2(b) {
		texts := slices.Concat([]string{f.name, b.name}, f.comments, b.comments)
		for _, s := range []*section{f, b} {
			for _, l := range s.lines {
				texts = append(texts, l.text())
			}
		}
		if slices.ContainsFunc(texts, convert.NamesExHook) {
			return hookCalls, ""
		}
		return anyCalls, ""
	}
	if protocol, _ := im.stream(f, b, nil).Protocol(); protocol == "mqtt_ws" {
		return websocket, ""
	}
	return streams, "is HTTP: left out, keep HAProxy for it; gRPC would have servers with proto h2, and MQTT over WebSocket the ports 8083 or 8084 or ws in a name"
}

// http2 says whether servers of a backend are spoken to in HTTP/2, as gRPC is.
func (im *importer) http2(b *section) bool {
	for _, l := range slices.Concat(b.under("server"), b.under("default-server")) {
		for i, word := range l.words {
			if (word == "proto" || word == "alpn" || word == "check-proto") && strings.Contains(l.arg(i+1), "h2") {
				return true
			}
		}
	}
	return false
}

// leave tells that a section is not carried over, which is all there is to say about what is in it.
func (im *importer) leave(s *section, format string, args ...any) {
	im.note(s.head, format, args...)
	for _, l := range s.lines {
		l.used = true
	}
}

// leftovers tells of every line that nothing has come of.
func (im *importer) leftovers(sections []*section) {
	for _, s := range sections {
		switch {
		case s.head.used && (s.kind == "frontend" || s.kind == "listen"):
		case s.kind == "backend" && !im.reached[s]:
			im.leave(s, "no frontend that is imported leads to %s: left out", convert.Shown(s.name))
		case s.kind == "resolvers" && !im.reached[s]:
			im.leave(s, "names are resolved by the system's resolver, when they are dialled: nothing to set")
		}
		if text := sectionReasons()[s.kind]; text != "" {
			im.leave(s, "%s", text)
		}
		for _, l := range s.lines {
			if !l.used && !slices.ContainsFunc(silent(), func(k string) bool { return l.begins(strings.Fields(k)...) }) {
				im.note(l, "%s", reason(s, l))
			}
		}
	}
}

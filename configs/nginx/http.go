package nginx

import (
	"path"
	"strings"

	"github.com/mqedge/mqedge/configs/convert"
)

// http looks for what EMQX uses of it; the rest of it is for a server of HTTP.
func (im *importer) http(http *directive) {
	im.readUpstreams(http)
	im.calls = true
	defer func() { im.calls = false }()
	whole := true
	for _, server := range http.all("server") {
		if !im.httpServer(server) {
			whole = false
		}
	}
	carried := im.carriedCalls
	for _, child := range http.block {
		if child.name != "server" && (child.name != "upstream" || im.targets[child] == nil) {
			child.used = true
			child.settle()
		}
	}
	switch {
	case !carried:
		im.leave(http, "mqedge is no server of HTTP: keep nginx for what it serves")
	case !whole:
		im.add(http, "mqedge is no server of HTTP: keep nginx for what is not grpc_pass")
	}
}

// httpServer makes a listener of a server with grpc_pass, and says whether it could.
func (im *importer) httpServer(server *directive) bool {
	var passes []*directive
	upgrade := (*directive)(nil)
	for _, location := range locations(server) {
		for _, d := range location.block {
			switch {
			case d.name == "grpc_pass":
				passes = append(passes, d)
			case d.name == "proxy_set_header" && len(d.args) == 2 && strings.EqualFold(d.args[0], "upgrade"):
				upgrade = location
			}
		}
	}
	switch {
	case passes != nil:
		return im.grpc(server, passes)
	case upgrade != nil:
		im.leave(server, "is HTTP: left out; the WebSocket of location %s can be a listener of its own, with protocol mqtt_ws and the address of EMQX's WebSocket listener (8083)",
			convert.Shown(strings.Join(upgrade.args, " ")))
	default:
		im.leave(server, "is HTTP: left out, keep nginx for it")
	}
	return false
}

// locations returns those of a block, and those in them.
func locations(d *directive) []*directive {
	var found []*directive
	for _, child := range d.block {
		if child.name == "location" {
			found = append(append(found, child), locations(child)...)
		}
	}
	return found
}

// otherLocations tells of those beside the one that is carried over.
func (im *importer) otherLocations(server *directive, carried *directive) {
	for _, location := range locations(server) {
		if location.used || within(location, carried) || within(carried, location) {
			location.used = true
			continue
		}
		_, to := im.passOf(location)
		_, here := im.passOf(carried)
		switch {
		case to != "" && to == here: // one of several methods
			location.used = true
			location.settle()
		case to != "":
			im.leave(location, "mqedge has one upstream for a listener, that of line %d: left out, give these calls a listener of their own", carried.line)
		case answersCalls(location):
			im.leave(location, "mqedge answers failures with a status of gRPC by itself: nothing to set")
		default:
			im.leave(location, "is HTTP: left out, keep nginx for it")
		}
	}
}

// answersCalls says whether a location is there to make a status of gRPC of an error page.
func answersCalls(location *directive) bool {
	for _, d := range location.block {
		if d.name == "internal" || d.name == "add_header" && len(d.args) > 0 && strings.HasPrefix(strings.ToLower(d.args[0]), "grpc-") {
			return true
		}
	}
	return false
}

func within(inner, outer *directive) bool {
	for at := inner; at != nil; at = at.parent {
		if at == outer {
			return true
		}
	}
	return false
}

// aboutHooks returns what tells that calls are those of EMQX's ExHook, or "".
func aboutHooks(server, location *directive, to string, t *target) string {
	texts := append([]string{to, t.name}, location.args...)
	for _, name := range server.block {
		if name.name == "server_name" {
			texts = append(texts, name.args...)
		}
	}
	for _, d := range []*directive{location, server, t.from} {
		texts = append(texts, d.comments...)
	}
	for _, text := range texts {
		if convert.NamesExHook(text) {
			return text
		}
	}
	return ""
}

// schemeOf takes grpc:// or grpcs:// off, and adds the port that nginx goes to if there is none.
func schemeOf(to string) (rest string, secure bool) {
	scheme, rest, found := strings.Cut(to, "://")
	if !found {
		return to, false
	}
	rest, _, _ = strings.Cut(rest, "/")
	return rest, strings.EqualFold(scheme, "grpcs")
}

// isRoot says whether a location takes all that no other does.
func isRoot(location *directive) bool {
	return len(location.args) > 0 && path.Clean(location.args[len(location.args)-1]) == "/"
}

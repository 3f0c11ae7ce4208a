package nginx

import (
	"strings"

	"github.com/mqedge/mqedge/configs/convert"
)

// http looks for what EMQX uses of it; the rest of it is for a server of HTTP.
func (im *importer) http(http *directive) {
	servers := http.all("server")
	for _, server := range servers {
		im.httpServer(server)
	}
	im.leave(http, "mqedge is no server of HTTP: keep nginx for what it serves")
}

func (im *importer) httpServer(server *directive) {
	grpc, upgrade := (*directive)(nil), (*directive)(nil)
	for _, location := range server.all("location") {
		for _, d := range location.block {
			switch {
			case d.name == "grpc_pass":
				grpc = d
			case d.name == "proxy_set_header" && len(d.args) == 2 && strings.EqualFold(d.args[0], "upgrade"):
				upgrade = location
			}
		}
	}
	switch {
	case grpc != nil:
		im.grpc(server, grpc)
	case upgrade != nil:
		im.leave(server, "is HTTP: left out; the WebSocket of location %s can be a listener of its own, with protocol mqtt_ws and the address of EMQX's WebSocket listener (8083)",
			convert.Shown(strings.Join(upgrade.args, " ")))
	default:
		im.leave(server, "is HTTP: left out, keep nginx for it")
	}
}

// grpc tells of a server with grpc_pass, until mqedge has protocol grpc: then it becomes a listener of that.
func (im *importer) grpc(server, pass *directive) {
	im.leave(server, "has grpc_pass %s: left out, this version of mqedge cannot balance gRPC yet, keep nginx for it", convert.Shown(strings.Join(pass.args, " ")))
}

package nginx

import (
	"strings"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// protocolOf decides what a listener speaks, see [convert.Stream.Protocol].
func (im *importer) protocolOf(s *directive, t *target, l *configs.Listener) (protocol, why string) {
	var addresses, names []string
	for _, e := range t.endpoints {
		addresses = append(addresses, e.Address)
		names = append(names, e.Address[:strings.LastIndexByte(e.Address, ':')])
	}
	filter, preread := im.on(s, "mqtt", false), im.on(s, "mqtt_preread", false)
	protocol, why = convert.Stream{
		Said: im.protocol, Front: convert.Ports(l.Bind), Behind: convert.Ports(addresses), Names: append(names, t.name),
		TLS: l.TLS != nil, TLSBehind: im.on(s, "proxy_ssl", false), Passed: im.on(s, "ssl_preread", false),
		MQTT: filter || preread,
	}.Protocol()
	if why == convert.TLSPassed && im.protocol == "mqtt" {
		im.add(s, "its TLS does not end here, so it stays protocol tcp: mqedge could not read what clients say")
	}
	return protocol, why
}

package hook

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	mostNodes          = 1000
	mostLoadedRequest  = 64 << 10 // EMQX sends some 200 bytes
	brokerInfo         = 1        // in the request of OnProviderLoaded, BrokerInfo{version=1, sysdescr=2, …}
	loadedMeta         = 2
	brokerVersion      = 1
	brokerDescr        = 2
	mostFieldOfABroker = 1 << 10
)

// Broker is what an EMQX node says of itself.
type Broker struct {
	Node        string // "emqx@10.0.0.1"; "" of EMQX 4.3.0 to 4.3.13 and 4.4.0 to 4.4.2, which do not say it here
	Version     string // "5.8.9"
	Cluster     string // "emqxcl"; "" likewise
	Description string // "EMQX"
}

// Loaded is an OnProviderLoaded that EMQX sent.
type Loaded struct {
	Version Version
	Broker  Broker
	Request []byte // to be sent to providers as it is; not to be changed
}

// Nodes keeps the last OnProviderLoaded of each EMQX node, because no EMQX up to 5.8 ever sends it again, and a provider that comes later is to hear it
// too. It holds the last thousand nodes. The zero value is ready. It has no lock of its own.
type Nodes struct {
	all []Loaded // the longest known first
}

// ParseLoaded reads the request of OnProviderLoaded; any version's will do. It is false when the request is malformed, or larger than any EMQX makes it.
func ParseLoaded(request []byte) (Broker, bool) {
	if len(request) > mostLoadedRequest {
		return Broker{}, false
	}
	var version, descr, node, metaVer, metaDes, cluster []byte
	for len(request) > 0 {
		f, rest, ok := next(request)
		if !ok {
			return Broker{}, false
		}
		request = rest
		if f.typ != protowire.BytesType {
			continue
		}
		switch f.num {
		case brokerInfo:
			ok = texts(f.value, map[protowire.Number]*[]byte{brokerVersion: &version, brokerDescr: &descr})
		case loadedMeta:
			ok = texts(f.value, map[protowire.Number]*[]byte{metaNode: &node, metaVersion: &metaVer, metaDescr: &metaDes, metaCluster: &cluster})
		}
		if !ok {
			return Broker{}, false
		}
	}
	if len(version) == 0 {
		version = metaVer
	}
	if len(descr) == 0 {
		descr = metaDes
	}
	return Broker{Node: string(node), Version: string(version), Cluster: string(cluster), Description: string(descr)}, true
}

// Caller is what a request of any kind says of the EMQX node that sent it. It is the zero Broker when the request is malformed.
func Caller(m Method, request []byte) Broker {
	if m.Hook == ProviderLoaded {
		b, _ := ParseLoaded(request)
		return b
	}
	fields, ok := Scan(m, request)
	if !ok {
		return Broker{}
	}
	var version, descr, cluster []byte
	into := map[protowire.Number]*[]byte{metaVersion: &version, metaDescr: &descr, metaCluster: &cluster}
	for len(request) > 0 {
		var f field
		if f, request, ok = next(request); !ok {
			return Broker{}
		}
		if f.num == m.Hook.facts().meta && f.typ == protowire.BytesType && !texts(f.value, into) {
			return Broker{}
		}
	}
	if len(fields.Node) > mostFieldOfABroker {
		return Broker{}
	}
	return Broker{Node: string(fields.Node), Version: string(version), Cluster: string(cluster), Description: string(descr)}
}

// AppendLoadedRequest appends an OnProviderLoaded made of what is known of a node, for one whose own was never seen: any other call names the node.
// It leaves out uptime, which is text in v1 and a number since.
func AppendLoadedRequest(dst []byte, b Broker) []byte {
	info := appendText(nil, brokerVersion, b.Version)
	info = appendText(info, brokerDescr, b.Description)
	meta := appendText(nil, metaNode, b.Node)
	meta = appendText(meta, metaVersion, b.Version)
	meta = appendText(meta, metaDescr, b.Description)
	meta = appendText(meta, metaCluster, b.Cluster)
	dst = appendText(dst, brokerInfo, string(info))
	return appendText(dst, loadedMeta, string(meta))
}

// Loaded notes an OnProviderLoaded, of which it keeps a copy. It is false, and notes nothing, when ParseLoaded is.
func (n *Nodes) Loaded(v Version, request []byte) (Broker, bool) {
	b, ok := ParseLoaded(request)
	if ok {
		n.put(Loaded{v, b, slices.Clone(request)})
	}
	return b, ok
}

// Unloaded forgets the node that sent an OnProviderUnloaded.
func (n *Nodes) Unloaded(request []byte) {
	var node, cluster []byte
	for len(request) > 0 {
		f, rest, ok := next(request)
		if !ok {
			return
		}
		request = rest
		if f.num == 1 && f.typ == protowire.BytesType &&
			!texts(f.value, map[protowire.Number]*[]byte{metaNode: &node, metaCluster: &cluster}) {
			return
		}
	}
	n.forget(string(node), string(cluster))
}

// All returns the nodes, the longest known first.
func (n *Nodes) All() []Loaded { return slices.Clone(n.all) }

// put replaces what the node said before, also in another version of the protocol: it has been upgraded.
func (n *Nodes) put(l Loaded) {
	n.forget(l.Broker.Node, l.Broker.Cluster)
	if len(n.all) == mostNodes {
		n.all = slices.Delete(n.all, 0, 1)
	}
	n.all = append(n.all, l)
}

func (n *Nodes) forget(node, cluster string) {
	n.all = slices.DeleteFunc(n.all, func(l Loaded) bool { return l.Broker.Node == node && l.Broker.Cluster == cluster })
}

// texts reads fields of a message, and leaves those that it has not. It is false for a malformed message, and for a text that is none.
func texts(b []byte, into map[protowire.Number]*[]byte) bool {
	for len(b) > 0 {
		f, rest, ok := next(b)
		if !ok {
			return false
		}
		b = rest
		if to := into[f.num]; to != nil && f.typ == protowire.BytesType {
			if len(f.value) > mostFieldOfABroker {
				return false
			}
			*to = f.value
		}
	}
	return true
}

func appendText(dst []byte, num protowire.Number, text string) []byte {
	if text == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), text)
}

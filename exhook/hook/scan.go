package hook

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Fields are what a request says of who and what it is about. They are parts of the request and change with it; what the request does not say is
// empty.
type Fields struct {
	ClientID []byte // of a message that is published or dropped: who sent it
	Username []byte // likewise
	Topic    []byte // of the message
	Node     []byte // the EMQX node that calls
}

// Field numbers inside ClientInfo and ConnInfo, Message, and RequestMeta.
const (
	clientNode, clientID, clientUsername            = 1, 2, 3
	messageNode, messageFrom, messageTopic, headers = 1, 4, 5, 8
	metaNode, metaVersion, metaDescr, metaCluster   = 1, 2, 3, 4
)

// Scan reads a request in time linear in the number of its fields, whatever their size, and without allocation. It is false when the
// request is not protobuf, down to the fields that are read here, or the method is unknown. Fields may repeat: the last counts, and parts of a
// message are one message, as protobuf has it. Texts may be any bytes.
func Scan(m Method, request []byte) (Fields, bool) {
	what := m.Hook.facts()
	if what.rpc == "" {
		return Fields{}, false
	}
	var who, msg party
	var meta []byte
	for len(request) > 0 {
		f, rest, ok := next(request)
		if !ok {
			return Fields{}, false
		}
		request = rest
		if f.typ != protowire.BytesType {
			continue
		}
		switch {
		case f.num == what.message:
			ok = msg.readMessage(f.value)
		case f.num == 1 && what.subject == client:
			ok = who.readClient(f.value)
		case f.num == what.meta:
			meta, ok = last(f.value, metaNode, meta)
		}
		if !ok {
			return Fields{}, false
		}
	}
	if what.subject == message {
		who = msg
	}
	out := Fields{ClientID: who.id, Username: who.username, Topic: msg.topic, Node: meta}
	if len(meta) == 0 { // EMQX 4.3.0 to 4.3.13, 4.4.0 to 4.4.2
		out.Node = who.node
	}
	return out, true
}

// party is what a ClientInfo, a ConnInfo or a Message says.
type party struct{ node, id, username, topic []byte }

func (p *party) readClient(b []byte) bool {
	for len(b) > 0 {
		f, rest, ok := next(b)
		if !ok {
			return false
		}
		b = rest
		if f.typ != protowire.BytesType {
			continue
		}
		switch f.num {
		case clientNode:
			p.node = f.value
		case clientID:
			p.id = f.value
		case clientUsername:
			p.username = f.value
		}
	}
	return true
}

func (p *party) readMessage(b []byte) bool {
	for len(b) > 0 {
		f, rest, ok := next(b)
		if !ok {
			return false
		}
		b = rest
		if f.typ != protowire.BytesType {
			continue
		}
		switch f.num {
		case messageNode:
			p.node = f.value
		case messageFrom:
			p.id = f.value
		case messageTopic:
			p.topic = f.value
		case headers:
			ok = p.readHeader(f.value)
		}
		if !ok {
			return false
		}
	}
	return true
}

// readHeader reads an entry of a protobuf map: key 1, value 2.
func (p *party) readHeader(entry []byte) bool {
	key, ok := last(entry, 1, nil)
	if !ok {
		return false
	}
	if string(key) == "username" {
		p.username, _ = last(entry, 2, nil)
	}
	return true
}

// field is one field of a message. value is its bytes if it has a length, and raw all of it with its tag.
type field struct {
	num        protowire.Number
	typ        protowire.Type
	value, raw []byte
}

// next cuts the first field off a message.
func next(b []byte) (f field, rest []byte, ok bool) {
	// Nearly all fields are short texts with a low number: two bytes and the text. This takes half the time of what follows.
	if len(b) > 1 && b[0] > 7 && b[0] < 0x80 && b[0]&7 == byte(protowire.BytesType) && b[1] < 0x80 && int(b[1]) <= len(b)-2 {
		end := 2 + int(b[1])
		return field{protowire.Number(b[0] >> 3), protowire.BytesType, b[2:end], b[:end]}, b[end:], true
	}
	num, typ, tag := protowire.ConsumeTag(b)
	if tag < 0 || num > protowire.MaxValidNumber {
		return field{}, nil, false
	}
	f = field{num: num, typ: typ}
	var n int
	if typ == protowire.BytesType {
		f.value, n = protowire.ConsumeBytes(b[tag:])
	} else {
		n = protowire.ConsumeFieldValue(num, typ, b[tag:])
	}
	if n < 0 {
		return field{}, nil, false
	}
	f.raw = b[:tag+n]
	return f, b[tag+n:], true
}

// varint is the value of a field of that wire type.
func (f field) varint() uint64 {
	_, _, tag := protowire.ConsumeTag(f.raw)
	v, _ := protowire.ConsumeVarint(f.raw[tag:])
	return v
}

// last returns the last of the fields with that number, or what it was before.
func last(b []byte, num protowire.Number, before []byte) ([]byte, bool) {
	for len(b) > 0 {
		f, rest, ok := next(b)
		if !ok {
			return nil, false
		}
		if f.num == num && f.typ == protowire.BytesType {
			before = f.value
		}
		b = rest
	}
	return before, true
}

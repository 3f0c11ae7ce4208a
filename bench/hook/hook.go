package hook

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Methods, as in :path.
const (
	service        = "/emqx.exhook.v2.HookProvider/"
	ProviderLoaded = service + "OnProviderLoaded"
	Authenticate   = service + "OnClientAuthenticate"
)

// Registered is the hook that a LoadedResponse asks for.
const Registered = "client.authenticate"

const (
	prefixSize = 5 // of a gRPC message: not compressed, four bytes of length
	node       = "emqx@10.0.0.11"
)

// ErrMessage is returned for bytes that are not the message that is due.
var ErrMessage = errors.New("malformed gRPC message")

// Header is that of a request for a method, in the order of EMQX's client.
func Header(path, authority string) [][2]string {
	kind := "emqx.exhook.v2.ClientAuthenticateRequest"
	if path == ProviderLoaded {
		kind = "emqx.exhook.v2.ProviderLoadedRequest"
	}
	return [][2]string{
		{":scheme", "http"}, {":path", path}, {":method", "POST"}, {":authority", authority},
		{"content-type", "application/grpc+proto"}, {"user-agent", "grpc-erlang/0.1.0"}, {"grpc-encoding", "identity"},
		{"grpc-message-type", kind}, {"te", "trailers"}, {"grpc-timeout", "5S"},
	}
}

// ClientID is the i-th of 14 bytes.
func ClientID(i int) string { return fmt.Sprintf("device-%07d", i) }

// LoadedRequest is what OnProviderLoaded brings.
func LoadedRequest() []byte {
	broker := appendString(nil, 1, "5.8.9")
	broker = appendString(broker, 2, "EMQX")
	broker = appendNumber(broker, 3, 3_600_000) // uptime, milliseconds
	broker = appendString(broker, 4, "2026-01-01 00:00:00")
	return message(appendMeta(appendBytes(nil, 1, broker), 2))
}

// LoadedAnswer registers the one hook.
func LoadedAnswer() []byte {
	return message(appendBytes(nil, 1, appendString(nil, 1, Registered)))
}

// AuthenticateRequest is about 300 bytes about that client.
func AuthenticateRequest(client string) []byte {
	info := appendString(nil, 1, node)
	info = appendString(info, 2, client)
	info = appendString(info, 3, "user-of-"+client)
	info = appendString(info, 4, "correct horse battery staple") // the password, in clear as EMQX sends it
	info = appendString(info, 5, "2001:db8:1:2:3:4:5:6")
	info = appendNumber(info, 6, 8883)
	info = appendString(info, 7, "mqtt")
	info = appendString(info, 8, "tenants/example/")
	info = appendNumber(info, 10, 1)
	info = appendString(info, 11, client+".devices.example.com")
	info = appendString(info, 12, "CN="+client+".devices.example.com,OU=Meters,O=Example,C=DE")
	info = appendNumber(info, 13, 49_152)
	return message(appendMeta(appendBytes(nil, 1, info), 3))
}

// AppendAuthenticateAnswer appends a ValuedResponse: stop and return true. It repeats the client's id in a field that protobuf
// lets every reader skip, so that an answer can be told from that to another call.
func AppendAuthenticateAnswer(dst, client []byte) []byte {
	begin := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0)
	dst = appendNumber(dst, 1, 2)
	dst = appendNumber(dst, 3, 1)
	dst = appendBytes(dst, 15, client)
	binary.BigEndian.PutUint32(dst[begin+1:], uint32(len(dst)-begin-prefixSize))
	return dst
}

// Client is the id in an AuthenticateRequest, a part of it.
func Client(request []byte) ([]byte, error) {
	p, err := body(request)
	if err != nil {
		return nil, err
	}
	info, _, err := field(p, 1)
	if err != nil {
		return nil, err
	}
	client, _, err := field(info, 2)
	return client, err
}

// Registers reports whether a LoadedResponse asks for the hook, maybe among others: a proxy may merge the answers of several.
func Registers(answer []byte) bool {
	p, err := body(answer)
	for err == nil {
		var spec, name []byte
		if spec, p, err = field(p, 1); err != nil {
			break
		}
		if name, _, err = field(spec, 1); string(name) == Registered {
			return true
		}
	}
	return false
}

func appendMeta(dst []byte, number int) []byte {
	meta := appendString(nil, 1, node)
	meta = appendString(meta, 2, "5.8.9")
	meta = appendString(meta, 3, "EMQX")
	return appendBytes(dst, number, appendString(meta, 4, "emqxcl"))
}

func message(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

func body(message []byte) ([]byte, error) {
	if len(message) < prefixSize || message[0] != 0 || uint64(binary.BigEndian.Uint32(message[1:])) != uint64(len(message)-prefixSize) {
		return nil, ErrMessage
	}
	return message[prefixSize:], nil
}

// The wire types of protobuf that are used here.
const (
	varint = 0
	length = 2
)

func appendNumber(dst []byte, number int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(number)<<3|varint), v)
}

func appendBytes(dst []byte, number int, v []byte) []byte {
	return append(binary.AppendUvarint(binary.AppendUvarint(dst, uint64(number)<<3|length), uint64(len(v))), v...)
}

func appendString(dst []byte, number int, v string) []byte {
	return appendBytes(dst, number, []byte(v))
}

// field is the first one of that number in a message of numbers and strings, and what follows it.
func field(p []byte, number uint64) (value, rest []byte, err error) {
	for len(p) > 0 {
		key, n := binary.Uvarint(p)
		if n <= 0 {
			return nil, nil, ErrMessage
		}
		p = p[n:]
		v, n := binary.Uvarint(p)
		if n <= 0 {
			return nil, nil, ErrMessage
		}
		p = p[n:]
		switch {
		case key&7 == varint:
			continue
		case key&7 != length || v > uint64(len(p)):
			return nil, nil, ErrMessage
		case key>>3 == number:
			return p[:v], p[v:], nil
		}
		p = p[v:]
	}
	return nil, nil, fmt.Errorf("%w: no field %d", ErrMessage, number)
}

package hook

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// part is a field of a message under test. Texts are declared as bytes: the package takes any.
type part struct {
	name string
	num  int32
	kind descriptorpb.FieldDescriptorProto_Type
	of   string // of a message
	many bool
}

const (
	asBytes   = descriptorpb.FieldDescriptorProto_TYPE_BYTES
	asMessage = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	asBool    = descriptorpb.FieldDescriptorProto_TYPE_BOOL
	asInt32   = descriptorpb.FieldDescriptorProto_TYPE_INT32
	asUint32  = descriptorpb.FieldDescriptorProto_TYPE_UINT32
)

// reference has the messages as the real protobuf implementation knows them, the same for all versions: those that differ are not read.
func reference(t testing.TB) func(name string) *dynamicpb.Message {
	t.Helper()
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("reference.proto"), Package: proto.String("r"), Syntax: proto.String("proto3"),
	}
	add := func(name string, parts ...part) *descriptorpb.DescriptorProto {
		m := &descriptorpb.DescriptorProto{Name: &name}
		for _, p := range parts {
			label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
			if p.many {
				label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
			}
			f := &descriptorpb.FieldDescriptorProto{Name: &p.name, Number: &p.num, Type: &p.kind, Label: &label}
			if p.of != "" {
				f.TypeName = proto.String(".r." + p.of)
			}
			m.Field = append(m.Field, f)
		}
		file.MessageType = append(file.MessageType, m)
		return m
	}
	add("Client", part{"node", 1, asBytes, "", false}, part{"id", 2, asBytes, "", false}, part{"username", 3, asBytes, "", false})
	add("Entry", part{"key", 1, asBytes, "", false}, part{"value", 2, asBytes, "", false})
	add("Message", part{"node", 1, asBytes, "", false}, part{"qos", 3, asUint32, "", false}, part{"id", 4, asBytes, "", false},
		part{"topic", 5, asBytes, "", false}, part{"payload", 6, asBytes, "", false}, part{"headers", 8, asMessage, "Entry", true})
	add("Meta", part{"node", 1, asBytes, "", false})
	for h := ProviderLoaded; h < hookCount; h++ {
		f := h.facts()
		parts := []part{{"meta", int32(f.meta), asMessage, "Meta", false}}
		if f.subject == client {
			parts = append(parts, part{"who", 1, asMessage, "Client", false})
		}
		if f.message != 0 {
			parts = append(parts, part{"message", int32(f.message), asMessage, "Message", false})
		}
		add(f.rpc, parts...)
	}
	add("HookSpec", part{"name", 1, asBytes, "", false}, part{"topics", 2, asBytes, "", true})
	add("LoadedResponse", part{"hooks", 1, asMessage, "HookSpec", true})
	valued := add("ValuedResponse", part{"type", 1, asInt32, "", false}, part{"bool_result", 3, asBool, "", false}, part{"message", 4, asMessage, "Any", false})
	valued.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: proto.String("value")}}
	valued.Field[1].OneofIndex, valued.Field[2].OneofIndex = proto.Int32(0), proto.Int32(0)
	add("Any")
	built, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) *dynamicpb.Message {
		return dynamicpb.NewMessage(built.Messages().ByName(protoreflect.Name(name)))
	}
}

// bytesOf reads a field of a field: bytesOf(m, "who", "id").
func bytesOf(m protoreflect.Message, path ...protoreflect.Name) string {
	for len(path) > 1 {
		f := m.Descriptor().Fields().ByName(path[0])
		if f == nil {
			return ""
		}
		m, path = m.Get(f).Message(), path[1:]
	}
	return string(m.Get(m.Descriptor().Fields().ByName(path[0])).Bytes())
}

// Messages by hand, as bytes on the wire.

func text(num protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), value)
}

func number(num protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), value)
}

func submessage(num protowire.Number, parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return text(num, string(b))
}

package hooks

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// service is the path of the methods.
const service = "/emqx.exhook.v2.HookProvider/"

const (
	loaded       = "OnProviderLoaded"
	authenticate = "OnClientAuthenticate"
	connected    = "OnClientConnected"
	publish      = "OnMessagePublish"
)

// registered are the hooks by the names that a provider gives them.
var registered = [...]string{"client.authenticate", "client.connected", "message.publish"}

// ValuedResponse: what the type means, and the fields of the value.
const (
	ignore, stopAndReturn = 1, 2

	typeField, boolField, messageField = 1, 3, 4
)

// codec hands messages on as the bytes they are.
type codec struct{}

func (codec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (codec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(b)
	return nil
}

func (codec) Name() string { return "proto" }

// text appends a field that has a length.
func text[T string | []byte](b []byte, number protowire.Number, value T) []byte {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(value)))
	return append(b, value...)
}

// number appends a field that is a number.
func number(b []byte, field protowire.Number, value uint64) []byte {
	b = protowire.AppendTag(b, field, protowire.VarintType)
	return protowire.AppendVarint(b, value)
}

// within is the field that the numbers lead to, each inside the one before; nil if there is none.
func within(message []byte, numbers ...protowire.Number) []byte {
	for _, number := range numbers {
		var found []byte
		for f := range fields(message) {
			if f.number == number {
				found = f.value
			}
		}
		message = found
	}
	return message
}

// field is a field of a message. Of one without a length the value is empty.
type field struct {
	number protowire.Number
	value  []byte
	count  uint64 // of a number
}

// fields are those of a message, up to the first that is malformed.
func fields(message []byte) func(yield func(field) bool) {
	return func(yield func(field) bool) {
		for len(message) > 0 {
			number, kind, tag := protowire.ConsumeTag(message)
			if tag < 0 {
				return
			}
			f := field{number: number}
			var size int
			switch kind {
			case protowire.BytesType:
				f.value, size = protowire.ConsumeBytes(message[tag:])
			case protowire.VarintType:
				f.count, size = protowire.ConsumeVarint(message[tag:])
			default:
				size = protowire.ConsumeFieldValue(number, kind, message[tag:])
			}
			if size < 0 || !yield(f) {
				return
			}
			message = message[tag+size:]
		}
	}
}

// loadedResponse registers the hooks.
func loadedResponse() []byte {
	var b []byte
	for _, name := range registered {
		b = text(b, 1, text(nil, 1, name))
	}
	return b
}

// registers tells whether a LoadedResponse has all the hooks, and no other.
func registers(answer []byte) bool {
	var names []string
	for f := range fields(answer) {
		names = append(names, string(within(f.value, 1)))
	}
	slices.Sort(names)
	return slices.Equal(names, registered[:])
}

// valued reads a ValuedResponse.
func valued(answer []byte) (kind uint64, yes bool, message []byte) {
	for f := range fields(answer) {
		switch f.number {
		case typeField:
			kind = f.count
		case boolField:
			yes = f.count == 1
		case messageField:
			message = f.value
		}
	}
	return kind, yes, message
}

package hook

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// What a LoadedResponse may hold at most. EMQX compares every message with every filter, one after the other.
const (
	mostSpecs  = 1000
	mostTopics = 100_000
)

// Spec is a HookSpec: a hook that a provider registers.
type Spec struct {
	Name   string   `json:"name"`
	Topics []string `json:"topics,omitempty"` // none is every topic; of message hooks only
}

// DecodeLoaded reads a provider's answer to OnProviderLoaded as it is: names may be unknown and repeat.
func DecodeLoaded(response []byte) ([]Spec, error) {
	var specs []Spec
	topics := 0
	for len(response) > 0 {
		f, rest, ok := next(response)
		if !ok {
			return nil, errNotProtobuf
		}
		response = rest
		if f.num != 1 || f.typ != protowire.BytesType {
			continue
		}
		s, err := decodeSpec(f.value)
		if err != nil {
			return nil, err
		}
		specs = append(specs, s)
		topics += len(s.Topics)
		if len(specs) > mostSpecs || topics > mostTopics {
			return nil, fmt.Errorf("more than %d hooks or %d topic filters", mostSpecs, mostTopics)
		}
	}
	return specs, nil
}

// AppendLoaded appends the answer to OnProviderLoaded that registers these hooks.
func AppendLoaded(dst []byte, specs []Spec) []byte {
	for _, s := range specs {
		dst = protowire.AppendTag(dst, 1, protowire.BytesType)
		dst = protowire.AppendBytes(dst, encodeSpec(s))
	}
	return dst
}

var errNotProtobuf = errors.New("not a protobuf message")

func decodeSpec(b []byte) (Spec, error) {
	var s Spec
	for len(b) > 0 {
		f, rest, ok := next(b)
		if !ok {
			return Spec{}, errNotProtobuf
		}
		b = rest
		if f.typ != protowire.BytesType || f.num > 2 {
			continue
		}
		if !utf8.Valid(f.value) {
			return Spec{}, errors.New("a hook's name or topic filter is not UTF-8")
		}
		if f.num == 1 {
			s.Name = string(f.value)
		} else {
			s.Topics = append(s.Topics, string(f.value))
		}
		if len(s.Topics) > mostTopics {
			return Spec{}, fmt.Errorf("more than %d topic filters", mostTopics)
		}
	}
	return s, nil
}

func encodeSpec(s Spec) []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendString(b, s.Name)
	for _, topic := range s.Topics {
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendString(b, topic)
	}
	return b
}

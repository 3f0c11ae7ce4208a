package hook

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// EmptySuccess is the message that answers notifications. On the wire it is a frame of length zero, never none: EMQX takes an answer without a
// message as an error.
const EmptySuccess = ""

// ValuedResponse.type. EMQX 4.3.0 to 4.3.2 has the first two the other way round: see the package's text.
const (
	goOn   = 0 // CONTINUE: the value counts, and the next exhook server is asked
	ignore = 1 // IGNORE
	stop   = 2 // STOP_AND_RETURN: the value counts, and no other hook is asked
)

const (
	ignored = "\x08\x01"                                   // type=IGNORE
	allowed = "\x18\x01"                                   // bool_result=true; type=CONTINUE is its zero
	denied  = "\x08\x02\x18\x00"                           // type=STOP_AND_RETURN, bool_result=false
	stopped = "\x08\x02"                                   // type=STOP_AND_RETURN, its value follows
	noEntry = "\x42\x16\x0a\x0dallow_publish\x12\x05false" // Message.headers["allow_publish"] = "false"
)

// Fallback is what to answer when no provider did.
type Fallback uint8

const (
	Error  Fallback = iota // a gRPC status: EMQX's failed_action decides
	Ignore                 // as if no provider wanted the call
	Deny
	Allow
)

// ParseFallback reads what a configuration says of one hook.
func ParseFallback(h Hook, word string) (Fallback, error) {
	words := []string{"error", "ignore", "deny", "allow"}
	switch {
	case h.Class() == Loading || h == None || h >= hookCount:
		return Error, fmt.Errorf("%s has no fallback: remove it", h)
	case h == MessagePublish:
		words = words[:3]
	case h.Class() == Notifying:
		words = words[:2]
	}
	for i, w := range words {
		if w == word {
			return Fallback(i), nil
		}
	}
	return Error, fmt.Errorf("%q is not %s for %s", word, oneOf(words), h)
}

// Neutral is the answer that changes nothing: EmptySuccess, or a ValuedResponse that says IGNORE. What that does to OnClientAuthenticate in EMQX up to
// 5.8 is in the package's text. It is false for OnProviderLoaded, whose empty answer would mean no hooks, and for unknown methods.
func Neutral(h Hook) (string, bool) {
	switch {
	case h == None || h >= hookCount || h == ProviderLoaded:
		return "", false
	case h.Valued():
		return ignored, true
	}
	return EmptySuccess, true
}

// AppendFallback appends the answer to a call that no provider answered. It is false when there is none: for Error, for what ParseFallback does not
// allow, and for a request to deny that is malformed. dst is then as it was.
//
// Allow says CONTINUE, so that other exhook servers are asked too, as they would be after a provider that allows; EMQX 4.3.0 to 4.3.2 takes it as
// IGNORE. Deny is final, as EMQX's own failed_action is. To deny a publish is to give back the message of the request with the header allow_publish
// set to "false": whole, because where headers are not known, in EMQX 4.3, it is published as it comes back.
func AppendFallback(dst []byte, h Hook, f Fallback, request []byte) ([]byte, bool) {
	switch {
	case f == Ignore && h != ProviderUnloaded:
		answer, ok := Neutral(h)
		return append(dst, answer...), ok
	case h == ClientAuthenticate || h == ClientAuthorize:
		switch f {
		case Deny:
			return append(dst, denied...), true
		case Allow:
			return append(dst, allowed...), true
		}
	case h == MessagePublish && f == Deny:
		return appendDenied(dst, request)
	}
	return dst, false
}

func appendDenied(dst []byte, request []byte) ([]byte, bool) {
	size := len(noEntry)
	found, ok := eachOfMessage(request, func(raw []byte) { size += len(raw) })
	if !ok || !found {
		return dst, false
	}
	dst = append(dst, stopped...)
	dst = protowire.AppendTag(dst, 4, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	eachOfMessage(request, func(raw []byte) { dst = append(dst, raw...) })
	return append(dst, noEntry...), true
}

// eachOfMessage visits the fields of the request's message except its headers, of which EMQX takes back allow_publish only.
func eachOfMessage(request []byte, visit func(raw []byte)) (found, ok bool) {
	for len(request) > 0 {
		f, rest, ok := next(request)
		if !ok {
			return false, false
		}
		request = rest
		if f.num != 1 || f.typ != protowire.BytesType {
			continue
		}
		found = true
		for b := f.value; len(b) > 0; {
			if f, b, ok = next(b); !ok {
				return false, false
			}
			if f.num != headers {
				visit(f.raw)
			}
		}
	}
	return found, true
}

// What may be wrong with a provider's answer.
var (
	ErrMalformed = errors.New("the answer is not the message that this call is answered with")
	ErrNoValue   = errors.New("the answer says that its value counts and has none, or one of another type")
	ErrType      = errors.New("the answer has an unknown type")
)

// CheckReply reports whether EMQX will make of a provider's answer what it says, or why not. EMQX itself logs a warning for ErrNoValue and goes on as
// if the provider had ignored the call, also for an answer of no bytes, which is a CONTINUE; a provider that means to ignore says IGNORE. In v1, where
// IGNORE has two numbers, both may come without a value. What a message holds is not checked further than its fields' bounds.
func CheckReply(m Method, reply []byte) error {
	switch {
	case m.Hook == ProviderLoaded:
		if _, err := DecodeLoaded(reply); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return nil
	case m.Hook.Valued():
		return checkValued(m, reply)
	}
	if !wellFormed(reply) {
		return ErrMalformed
	}
	return nil
}

func checkValued(m Method, reply []byte) error {
	kind, value := int32(goOn), protowire.Number(0) // the member of the oneof that came last
	for len(reply) > 0 {
		f, rest, ok := next(reply)
		if !ok {
			return ErrMalformed
		}
		reply = rest
		switch {
		case f.num == 1 && f.typ == protowire.VarintType:
			kind = int32(f.varint())
		case f.num == 3 && f.typ == protowire.VarintType:
			value = f.num
		case f.num == 4 && f.typ == protowire.BytesType:
			value = f.num
			if !wellFormed(f.value) {
				return ErrMalformed
			}
		}
	}
	want := protowire.Number(3)
	if m.Hook == MessagePublish {
		want = 4
	}
	switch {
	case kind < goOn || kind > stop:
		return ErrType
	case kind == ignore, value == want:
		return nil
	case kind == goOn && value == 0 && m.Version == V1:
		return nil
	}
	return ErrNoValue
}

func wellFormed(b []byte) bool {
	for ok := true; len(b) > 0; {
		if _, b, ok = next(b); !ok {
			return false
		}
	}
	return true
}

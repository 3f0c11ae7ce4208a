package grpcrelay

import (
	"encoding/binary"

	"google.golang.org/grpc/codes"
)

// takeHeaders takes a header block of the answer.
func (f *forward) takeHeaders(h *Header, end bool) {
	if f.answerEnd = end; h.wrong != "" || h.tooLarge {
		f.broken(status{codes.Internal, "the provider's header is malformed or too large: " + h.wrong}, codeProtocol)
		return
	}
	if f.head != nil {
		if !end || h.pseudo != 0 {
			f.broken(status{codes.Internal, "the provider's trailers are malformed"}, codeProtocol)
			return
		}
		f.takeTrailers(h)
		return
	}
	switch {
	case h.pseudo != pseudoStatus:
		f.broken(status{codes.Internal, "the provider's header is malformed"}, codeProtocol)
	case h.status < 200:
		if end {
			f.broken(status{codes.Internal, "the provider ended with an interim status"}, codeProtocol)
		}
	case end && h.grpcStatus >= 0 && (h.grpc || h.status == 200):
		f.takeTrailers(h)
	case h.status != 200:
		f.broken(fromHTTP(h.status), codeCancel)
	case !h.grpc:
		f.broken(status{codes.Unknown, "the provider's answer is not gRPC: content-type " + h.Value("content-type")}, codeCancel)
	case end:
		f.broken(status{codes.Unknown, "the provider's answer has no grpc-status"}, codeCancel)
	default:
		f.head = h
		if c := f.call; !c.whole {
			c.kept = false // nothing else can be tried from here on
			c.start(h)
		}
	}
}

// takeData takes DATA; size counts its padding, which is done with.
func (f *forward) takeData(b []byte, size int, end bool) {
	c := f.call
	f.answerEnd = end
	if f.recvWindow -= int64(size); f.recvWindow < 0 {
		f.broken(status{codes.Internal, "the provider sent more than the window"}, codeFlowControl)
		return
	}
	switch {
	case f.head == nil:
		f.broken(status{codes.Internal, "the provider sent a body before a header"}, codeProtocol)
		return
	case c.whole:
		if len(f.answer)+len(b) > c.group.o.AnswerLimit {
			f.broken(status{codes.ResourceExhausted, "the answer is too large"}, codeCancel)
			return
		}
		f.answer = append(f.answer, b...)
		f.credit(size)
	default:
		f.credit(size - len(b))
		c.passData(f, b)
	}
	if end && !f.ended {
		f.broken(status{codes.Internal, "the provider's answer has no trailers"}, codeCancel)
	}
}

// passData hands a part of an answer that is not whole on to the client.
func (c *Call) passData(f *forward, b []byte) {
	cl := c.client
	if n := len(b); n > 0 && len(c.answer) == 0 && !c.waiting && int64(n) <= c.sendWindow && n <= cl.room() {
		cl.data(c.id, b, 0)
		cl.abuse.useful++
		c.sendWindow -= int64(n)
		f.credit(n)
		return
	}
	if cl.buffered+len(b) > c.group.o.Buffered {
		f.broken(status{codes.ResourceExhausted, "the client does not take its answers"}, codeCancel)
		return
	}
	c.answer = append(c.answer, b...)
	cl.buffered += len(b)
	c.pump(false)
	if c.taken > 64<<10 && c.taken > len(c.answer)/2 {
		n := copy(c.answer, c.answer[c.taken:])
		c.answer, c.taken = c.answer[:n], 0
	}
}

// takeTrailers takes the end of an answer that is well-formed so far.
func (f *forward) takeTrailers(h *Header) {
	c := f.call
	if h.grpcStatus < 0 {
		f.broken(status{codes.Unknown, "the provider's trailers have no grpc-status"}, codeCancel)
		return
	}
	o := Outcome{Code: codes.Code(h.grpcStatus), Answered: true}
	if o.Code != codes.OK {
		o.Text = unescapeMessage(h.grpcMessage)
	} else if c.whole {
		if why := f.wrongAnswer(); why != "" {
			f.broken(status{codes.Internal, why}, codeCancel)
			return
		}
		o.Message, o.Compressed = f.answer[prefixSize:], f.answer[0] != 0
	}
	f.finish(o, h)
}

// wrongAnswer says why a whole answer must not go to the client.
func (f *forward) wrongAnswer() string {
	b := f.answer
	switch {
	case len(b) < prefixSize:
		return "the provider's answer has no message"
	case uint32(len(b)-prefixSize) != binary.BigEndian.Uint32(b[1:]):
		return "the provider's answer is not one message"
	case b[0] > 1 || b[0] == 1 && !f.call.head.compressed:
		return "the provider's answer is compressed, which was not asked for"
	}
	return ""
}

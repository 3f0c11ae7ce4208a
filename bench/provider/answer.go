package provider

import (
	"github.com/mqedge/mqedge/bench/h2"
	"github.com/mqedge/mqedge/bench/hook"
)

// answers encodes what all answers have in common.
type answers struct {
	encoder         *h2.Encoder
	header, trailer h2.Block
}

func newAnswers() answers {
	return answers{
		encoder: h2.NewEncoder(),
		header:  h2.Block{Fields: [][2]string{{":status", "200"}, {"content-type", contentType}}},
		trailer: h2.Block{Fields: [][2]string{{"grpc-status", "0"}}},
	}
}

func (a *answers) append(dst []byte, stream uint32, message []byte) []byte {
	header := a.encoder.Encode(&a.header)
	dst = append(h2.AppendFrame(dst, len(header), h2.Headers, h2.EndHeaders, stream), header...)
	dst = append(h2.AppendFrame(dst, len(message), h2.Data, 0, stream), message...)
	trailer := a.encoder.Encode(&a.trailer)
	return append(h2.AppendFrame(dst, len(trailer), h2.Headers, h2.EndHeaders|h2.EndStream, stream), trailer...)
}

// answerReady answers calls in their order, as far as the windows allow.
func (c *conn) answerReady() error {
	waiting := c.ready[:0]
	for i, each := range c.ready {
		var err error
		if c.answer, err = each.appendAnswer(c.answer[:0]); err != nil {
			return err
		}
		n := int64(len(c.answer))
		if n > c.sendWindow {
			waiting = append(waiting, c.ready[i:]...)
			break
		}
		if n > each.credit {
			waiting = append(waiting, each)
			continue
		}
		c.sendWindow -= n
		c.out = c.answers.append(c.out, each.stream, c.answer)
		if each.path == hook.ProviderLoaded {
			c.counts.loaded.Add(1)
		} else {
			c.counts.calls.Add(1)
		}
		c.free = append(c.free, each)
	}
	c.ready = waiting
	return nil
}

func (each *call) appendAnswer(dst []byte) ([]byte, error) {
	if each.path == hook.ProviderLoaded {
		return append(dst, hook.LoadedAnswer()...), nil
	}
	client, err := hook.Client(each.request)
	if err != nil {
		return nil, err
	}
	return hook.AppendAuthenticateAnswer(dst, client), nil
}

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// ProxyMismatch says that the endpoint answers only the other way round: with a PROXY header where none is sent, or
// without one where one is.
type ProxyMismatch struct {
	Expects bool // the endpoint expects a header
}

func (m *ProxyMismatch) Error() string {
	if m.Expects {
		return "the endpoint expects a PROXY header, but send_proxy is off"
	}
	return "the endpoint does not expect a PROXY header, but send_proxy is on"
}

var errClosed = errors.New("the endpoint closed the connection")

// missing says why what was waited for did not come.
func missing(what string, err error) error {
	return fmt.Errorf("no %s: %w", what, reason(err))
}

// reason is err without the addresses, which the reader knows already.
func reason(err error) error {
	var inOperation *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClosed
	case errors.As(err, &inOperation):
		return inOperation.Err
	}
	return err
}

// unlessCanceled is err, unless the probe was called off: then err is only how that was noticed.
func unlessCanceled(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return err
}

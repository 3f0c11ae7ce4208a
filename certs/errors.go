package certs

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrRevoked is what the handshake error of a client with a revoked certificate wraps. The client receives the alert
// bad_certificate, the only one crypto/tls has for it.
var ErrRevoked = errors.New("client certificate revoked")

// fileError says which file cannot be used, why, and what to do about it.
func fileError(what, file string, err error, remedy string) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // it would name the file a second time
	}
	return fmt.Errorf("%s %s: %w: %s", what, file, err, remedy)
}

//go:build !unix

package upgrade

import (
	"errors"
	"os"
	"syscall"
)

// closeOnExec has nothing to do: files are given to a process one by one.
func closeOnExec(int) {}

// Duplicate is for systems with descriptors.
func Duplicate(syscall.Conn) (*os.File, error) { return nil, errors.ErrUnsupported }

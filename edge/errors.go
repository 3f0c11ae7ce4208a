package edge

import (
	"errors"

	"github.com/mqedge/mqedge/configs"
)

var (
	errDraining  = errors.New("mqedge is shutting down")
	errHanding   = errors.New("mqedge is being upgraded: try again in a moment")
	errUpgrading = errors.New("mqedge is being upgraded: the new process reads the file")
)

// ConfigError is a configuration that cannot be used. It says all that is wrong
// with it at once.
type ConfigError struct{ Problems configs.Problems }

func (e *ConfigError) Error() string { return e.Problems.Err().Error() }

// Unwrap returns the errors one by one; warnings are left out.
func (e *ConfigError) Unwrap() []error {
	var out []error
	for _, p := range e.Problems {
		if !p.Warning {
			out = append(out, errors.New(p.String()))
		}
	}
	return out
}

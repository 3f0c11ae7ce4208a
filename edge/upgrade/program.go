package upgrade

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Program is the path of the program that runs, to be called when it begins: later it may have been replaced. It is the path that
// it was started by, where that is known to lead to it, so that a link that is pointed elsewhere counts.
func Program() (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", err
	}
	called, err := exec.LookPath(os.Args[0])
	if err == nil {
		called, err = filepath.Abs(called)
	}
	if err != nil {
		return own, nil
	}
	a, err := os.Stat(own)
	if err != nil {
		return called, nil
	}
	if b, err := os.Stat(called); err != nil || !os.SameFile(a, b) {
		return own, nil
	}
	return called, nil
}

package configs

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	secretSize    = 32
	mostSecrets   = 4
	secretsRemedy = "write one secret a line, at most 4, each the output of openssl rand -base64 32"
)

// ticketKeys checks a file of secrets for session tickets. One that is not there is made when mqedge runs, in a folder
// that has to be there.
func (c *checker) ticketKeys(file, path string) {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(file)); err != nil {
			c.errorf(path, "%s is to be made in a folder that is not there: create the folder, or correct the path", file)
		}
		return
	}
	data, err := readRegular(file, maxValueFile)
	if err != nil {
		c.errorf(path, "%v", err)
		return
	}
	if err := checkSecrets(data); err != nil {
		c.errorf(path, "%s %v: %s", file, err, secretsRemedy)
	}
}

// checkSecrets shows nothing of what a line holds.
func checkSecrets(data []byte) error {
	number, secrets := 0, 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		secrets++
		secret, err := base64.StdEncoding.AppendDecode(nil, line)
		switch {
		case err != nil:
			return fmt.Errorf("line %d is not base64", number)
		case len(secret) != secretSize:
			return fmt.Errorf("line %d holds %d bytes instead of %d", number, len(secret), secretSize)
		case secrets > mostSecrets:
			return fmt.Errorf("line %d is one secret too many", number)
		}
	}
	if secrets == 0 {
		return errors.New("holds no secret")
	}
	return nil
}

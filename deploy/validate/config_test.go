package validate_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/configs"
)

// withoutFiles loads a configuration less what names files: that it loads with them is tested in deploy, and here they do not exist.
func withoutFiles(t *testing.T, text string) *configs.Config {
	t.Helper()
	text = regexp.MustCompile(`(?m)^ *(tls:.*|- \{cert_file.*|certificates:|token_file.*|key_file.*)\n`).ReplaceAllString(text, "")
	if strings.Contains(text, "\ngossip:\n") {
		text = strings.Replace(text, "\ngossip:\n", "\ngossip:\n  bind: 127.0.0.1:7946\n", 1) // where no key is needed
		text = regexp.MustCompile(`(?m)^  advertise: .*\n`).ReplaceAllString(text, "")
	}
	c, problems := configs.Parse(filepath.Join(t.TempDir(), "mqedge.yaml"), []byte(text))
	if err := problems.Err(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

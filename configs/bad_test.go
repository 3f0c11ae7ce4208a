package configs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what Load reports now as what is expected")

func TestEveryMistakeIsReportedWithItsPlaceAndRemedy(t *testing.T) {
	bad, err := filepath.Abs(filepath.Join("testdata", "bad"))
	must(t, err)
	files, err := filepath.Glob(filepath.Join(bad, "*.yaml"))
	must(t, err)
	if len(files) < 20 {
		t.Fatalf("found %d files", len(files))
	}
	dir := t.TempDir()
	fixtures(t, dir)
	t.Chdir(dir)
	t.Setenv("EMPTY", "")
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			must(t, err)
			write(t, filepath.Join(dir, name), data)
			cfg, problems := Load(name)
			if (cfg == nil) != (problems.Err() != nil) {
				t.Errorf("config %v with error %v", cfg, problems.Err())
			}
			var got strings.Builder
			for _, p := range problems {
				got.WriteString(strings.ReplaceAll(p.String(), dir, "DIR") + "\n")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				must(t, os.WriteFile(golden, []byte(got.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if got.String() != string(want) {
				t.Errorf("got\n%swant\n%s", got.String(), want)
			}
			if len(problems) == 0 {
				t.Error("nothing was found wrong")
			}
		})
	}
}

package edge

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/exhook/hook"
)

// Load reads and checks a file as configs.Load does, and for what only running code knows of.
func Load(file string) (*configs.Config, configs.Problems) {
	return configs.Load(file, checkHooks)
}

// checkHooks finds hooks that EMQX would be told to call and that no message could ever be for.
func checkHooks(c *configs.Config, errorf func(path, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		x := c.Upstreams[name].ExHook
		if x == nil {
			continue
		}
		for _, p := range hook.CheckSpecs(specs(x)) {
			if x.Hooks[p.Spec].Name == "" {
				continue // the format wants one
			}
			at := fmt.Sprintf("%s.exhook.hooks[%d]", configs.Path("upstreams", name), p.Spec)
			if p.Topic >= 0 {
				at += fmt.Sprintf(".topics[%d]", p.Topic)
			}
			errorf(at, "%s", p.Text)
		}
	}
}

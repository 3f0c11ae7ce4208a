package convert

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/mqedge/mqedge/configs"
)

// Draft is a configuration that is being made.
type Draft struct {
	Config   configs.Config
	Comments map[string]string // by path, see configs.Config.Short

	dir   string
	notes []Note
	taken map[string]Place // the addresses that are listened on
}

// Result is what became of a configuration.
type Result struct {
	Config configs.Config
	YAML   []byte // Config with comments
	Notes  []Note // in the order in which the other program reads what they are about
	// Problems are what `mqedge check` says of YAML on this machine, as the file mqedge.yaml: above all, files that are
	// not here. What a note says already is not among them.
	Problems configs.Problems
}

// NewDraft returns an empty draft of what is made from a file.
func NewDraft(file string) (*Draft, error) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	d := &Draft{Config: configs.Default(), Comments: map[string]string{}, dir: dir, taken: map[string]Place{}}
	d.Config.Listeners, d.Config.Upstreams = map[string]*configs.Listener{}, map[string]*configs.Upstream{}
	return d, nil
}

// Empty says whether there is no listener yet.
func (d *Draft) Empty() bool { return len(d.Config.Listeners) == 0 }

// AddListener adds a listener under a name that tells its protocol, with comments by the path below it.
func (d *Draft) AddListener(l *configs.Listener, comments map[string]string) {
	name := d.listenerName(l)
	d.Config.Listeners[name] = l
	for at, comment := range comments {
		d.Comments["listeners."+name+at] = comment
	}
}

// AddUpstream adds an upstream under a name like the one that is wanted, which it returns. The port tells it from another
// that has that name.
func (d *Draft) AddUpstream(wanted string, port int, u *configs.Upstream, comments map[string]string) string {
	name := unused(d.Config.Upstreams, clean(wanted), fmt.Sprint(port))
	d.Config.Upstreams[name] = u
	for at, comment := range comments {
		d.Comments["upstreams."+name+at] = comment
	}
	return name
}

// Origin is a place as a remark has it, from the folder of the file.
func (d *Draft) Origin(p Place) string {
	file := p.File
	if absolute, err := filepath.Abs(file); err == nil {
		if rel, err := filepath.Rel(d.dir, absolute); err == nil && filepath.IsLocal(rel) {
			file = rel
		}
	}
	return fmt.Sprintf("%s:%d", Shown(file), p.Line)
}

// File returns the path of a file that is looked for beside the configuration. It has to hold wherever the result is
// saved, so it is absolute.
func (d *Draft) File(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(d.dir, name)
}

// Finish makes way for the listeners at the default of admin.bind, prints the draft below a head that names the file
// and the program, with a remark such as those in it, and checks it.
func (d *Draft) Finish(file, program, remark string) *Result {
	d.moveAdmin()
	head := "# Made from " + Shown(filepath.Base(file)) + " by `mqedge import " + program + "`. A remark such as " + remark +
		" names the line that\n# a section comes from. Every other key has its default: see `mqedge check --print FILE`.\n\n"
	result := &Result{Config: d.Config, Notes: d.Notes()}
	result.YAML = append([]byte(head), d.Config.Short(d.Comments)...)
	_, problems := configs.Parse("mqedge.yaml", result.YAML)
	for _, p := range problems {
		// There is a note about these, with the place in the file.
		if !p.Warning || !strings.HasSuffix(p.Path, ".min_version") && !strings.HasSuffix(p.Path, ".max_version") {
			result.Problems = append(result.Problems, p)
		}
	}
	return result
}

func (d *Draft) moveAdmin() {
	admin := netip.MustParseAddrPort(d.Config.Admin.Bind)
	for port := admin.Port(); port != 0; port++ {
		bind := netip.AddrPortFrom(admin.Addr(), port).String()
		listen, at := d.conflict(bind)
		if listen == nil {
			d.Config.Admin.Bind = bind
			return
		}
		d.Comments["admin.bind"] = at + " is taken, " + d.Origin(*listen)
	}
}

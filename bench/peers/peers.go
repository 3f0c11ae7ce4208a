package peers

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// Peer is a proxy in one configuration.
type Peer struct {
	Name string
	// Tuned tells a variant with smaller buffers from the peer as it comes.
	Tuned bool

	binary     string
	template   string
	arguments  func(config string) []string
	version    []string
	remedy     string // when the binary is missing
	bufferSize string
}

// All are the peers, in the order of tables. mqedge is the binary of that name; "" leaves it out.
func All(mqedge string) []Peer {
	nginx := Peer{
		Name: "nginx", binary: "nginx", template: "nginx.conf",
		arguments: func(config string) []string { return []string{"-c", config} },
		version:   []string{"-v"},
		remedy:    "apt-get install nginx libnginx-mod-stream",
	}
	haproxy := Peer{
		Name: "haproxy", binary: "haproxy", template: "haproxy.cfg",
		arguments: func(config string) []string { return []string{"-db", "-f", config} },
		version:   []string{"-v"},
		remedy:    "apt-get install haproxy",
	}
	all := []Peer{nginx, nginx.tuned("nginx-4k"), haproxy, haproxy.tuned("haproxy-4k")}
	if mqedge != "" {
		all = append(all, Peer{
			Name: "mqedge", binary: mqedge, template: "mqedge.yaml",
			arguments: func(config string) []string { return []string{"run", "-c", config} },
			version:   []string{"version"},
			remedy:    "give the path of the binary with --mqedge",
		})
	}
	return all
}

func (p Peer) tuned(name string) Peer {
	p.Name, p.Tuned = name, true
	p.bufferSize = "4096"
	return p
}

// Version is the first line the program says of itself. The error says how to install what is missing.
func (p Peer) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, p.path(), p.version...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s does not run: %w; %s", p.Name, err, p.remedy)
	}
	if p.template == "nginx.conf" {
		if _, err := streamModule(ctx, p.path()); err != nil {
			return "", fmt.Errorf("%w; %s", err, p.remedy)
		}
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}

// path finds programs in the system's folders too, which are not in everybody's PATH.
func (p Peer) path() string {
	if path, err := exec.LookPath(p.binary); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", filepath.Base(p.binary))
}

// Options describe the work of a proxy.
type Options struct {
	Dir       string   // for its files; must exist
	Endpoints []string // host:port
	Cert, Key string   // PEM files; Cert holds the key as well, as HAProxy wants it; "" is plain TCP
}

// settings is what the templates see.
type settings struct {
	Options
	Addr, AdminAddr string
	BufferSize      string
	Module          string // of nginx, when stream is not built in
}

func (p Peer) writeConfig(ctx context.Context, s settings) (path string, err error) {
	if p.template == "nginx.conf" {
		if s.Module, err = streamModule(ctx, p.path()); err != nil {
			return "", err
		}
	}
	s.BufferSize = p.bufferSize
	t, err := template.ParseFS(templates, "templates/"+p.template)
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.Dir, p.template)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := t.Execute(f, s); err != nil {
		_ = f.Close()
		return "", err
	}
	return path, f.Close()
}

// streamModule is the file to load before nginx knows stream {}; "" when it is built in.
func streamModule(ctx context.Context, nginx string) (string, error) {
	out, err := exec.CommandContext(ctx, nginx, "-V").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("nginx -V: %w", err)
	}
	build := string(out)
	if !strings.Contains(build, "--with-stream=dynamic") {
		if !strings.Contains(build, "--with-stream") {
			return "", fmt.Errorf("this nginx is built without stream")
		}
		return "", nil
	}
	_, rest, _ := strings.Cut(build, "--modules-path=")
	folder, _, _ := strings.Cut(rest, " ")
	module := filepath.Join(folder, "ngx_stream_module.so")
	if _, err := os.Stat(module); err != nil {
		return "", fmt.Errorf("nginx without its stream module: %w", err)
	}
	return module, nil
}

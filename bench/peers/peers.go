package peers

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// Peer is a proxy in one configuration.
type Peer struct {
	Name   string
	Family string // the name of the peer that this is a variant of
	// Tuned says what for; "" is the peer as it comes. "4k" and "64k" are the sizes of buffers; with large ones HAProxy may
	// also splice plain TCP, as it would be set up for bulk. "grpc" is for calls.
	Tuned string

	binary     string
	template   string
	arguments  func(config string) []string
	version    []string
	remedy     string // when the binary is missing
	bufferSize int
}

// All are the peers, in the order of tables. mqedge is the binary of that name; "" leaves it out.
func All(mqedge string) []Peer {
	nginx := Peer{
		Name: "nginx", Family: "nginx", binary: "nginx", template: "nginx.conf",
		arguments: func(config string) []string { return []string{"-c", config} },
		version:   []string{"-V"},
		remedy:    "apt-get install nginx libnginx-mod-stream",
	}
	haproxy := Peer{
		Name: "haproxy", Family: "haproxy", binary: "haproxy", template: "haproxy.cfg",
		arguments: func(config string) []string { return []string{"-db", "-f", config} },
		version:   []string{"-vv"},
		remedy:    "apt-get install haproxy",
	}
	all := []Peer{nginx, nginx.buffers(4), nginx.buffers(64), nginx.tuned("grpc"), haproxy, haproxy.buffers(4), haproxy.buffers(64), haproxy.tuned("grpc")}
	if mqedge != "" {
		all = append(all, Mqedge(mqedge))
	}
	return all
}

// Mqedge is the peer that all this is about; its configuration alone has an admin address.
func Mqedge(binary string) Peer {
	return Peer{
		Name: "mqedge", Family: "mqedge", binary: binary, template: "mqedge.yaml",
		arguments: func(config string) []string { return []string{"run", "-c", config} },
		version:   []string{"version"},
		remedy:    "give the path of the binary with --mqedge",
	}
}

func (p Peer) tuned(what string) Peer {
	p.Tuned = what
	p.Name += "-" + what
	return p
}

func (p Peer) buffers(kib int) Peer {
	p.bufferSize = kib << 10
	return p.tuned(fmt.Sprintf("%dk", kib))
}

// Version is the first line the program says of itself, and which TLS library it runs with. The error says how to install what is missing.
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
	line, rest, _ := strings.Cut(string(out), "\n")
	if library := tlsLibrary(rest); library != "" {
		line += ", " + library
	}
	return line, nil
}

// tlsLibrary prefers the one that was found at run time to the one that the program was built with.
func tlsLibrary(build string) string {
	for _, said := range []string{`running with (\w*SSL [^ )]+)`, `Running on OpenSSL version : (\w*SSL \S+)`, `built with (\w*SSL \S+)`} {
		if found := regexp.MustCompile(said).FindStringSubmatch(build); found != nil {
			return found[1]
		}
	}
	return ""
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
	Calls     bool     // gRPC, plain, to hook servers; else connections
}

// settings is what the templates see.
type settings struct {
	Options
	Addr, AdminAddr string
	BufferSize      int
	Tuned           bool   // for calls
	Module          string // of nginx, when stream is not built in
}

func (p Peer) writeConfig(ctx context.Context, s settings) (path string, err error) {
	if p.template == "nginx.conf" && !s.Calls {
		if s.Module, err = streamModule(ctx, p.path()); err != nil {
			return "", err
		}
	}
	s.BufferSize, s.Tuned = p.bufferSize, p.Tuned != ""
	folder := "templates/"
	if s.Calls {
		folder += "grpc/"
	}
	t, err := template.ParseFS(templates, folder+p.template)
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

package docker

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// server is what listens in a container.
type server struct {
	port      int
	ip        netip.Addr // it listens there; not valid is everywhere
	from      string     // the variable that says so
	sendProxy string     // as of an Offer
	check     string     // the type that suits it
}

// at is another port of the same container.
func (s server) at(port int) server { return server{port: port} }

const (
	defaultListener  = 1883
	defaultDashboard = 18083
)

// server is what a service is, by its labels and, for EMQX, by the environment.
func (d details) server(s spec) (server, error) {
	if !d.isEMQX() {
		if s.port == 0 {
			return server{}, fmt.Errorf("label %s is missing: write the port that the server in the container listens on; only EMQX is asked for its own", s.label("port"))
		}
		return server{port: s.port, check: "tcp"}, nil
	}
	all := d.listeners()
	if s.port != 0 {
		for _, l := range all {
			if l.port == s.port && l.err == nil {
				return l.server, nil
			}
		}
		return server{port: s.port, check: "tcp"}, nil // perhaps of another protocol
	}
	var others []listener
	var unread error // what may say something of the default listener
	for _, l := range all {
		switch {
		case l.main && !l.off && (l.from != "" || unread == nil):
			if l.err != nil {
				return server{}, fmt.Errorf("%w: write the port at the label %s", l.err, s.label("port"))
			}
			return l.server, nil
		case l.whole:
			unread = l.err
		case !l.off && l.err == nil:
			others = append(others, l)
		}
	}
	switch {
	case unread != nil:
		return server{}, fmt.Errorf("%w: write the port at the label %s", unread, s.label("port"))
	case len(others) == 1:
		return others[0].server, nil
	}
	return server{}, fmt.Errorf("its default TCP listener is off and %d others are on: write the port at the label %s", len(others), s.label("port"))
}

var emqxImages = []string{"emqx", "emqx-ee", "emqx-enterprise", "emqx-edge"}

// isEMQX goes by the image's name, by where its images have the program, and by the variables of its listeners.
func (d details) isEMQX() bool {
	name, _ := imageName(d.Config.Image)
	if slices.Contains(emqxImages, name) || d.Config.WorkingDir == "/opt/emqx" {
		return true
	}
	for _, arg := range slices.Concat(d.Config.Entrypoint, d.Config.Cmd) {
		if strings.HasSuffix(arg, "/bin/emqx") {
			return true
		}
	}
	for _, v := range d.Config.Env {
		if strings.HasPrefix(v, "EMQX_LISTENERS__") || strings.HasPrefix(v, "EMQX_LISTENER__") {
			return true
		}
	}
	return false
}

// imageName takes registry:5000/emqx/emqx-ee:4.4.19@sha256:… apart.
func imageName(image string) (name, tag string) {
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndexByte(image, '/')+1:]
	name, tag, _ = strings.Cut(image, ":")
	return name, tag
}

// environment is the variables of EMQX by name. EMQX takes the names in either case.
func (d details) environment() map[string]string {
	env := make(map[string]string)
	for _, v := range d.Config.Env {
		if name, value, ok := strings.Cut(v, "="); ok && strings.HasPrefix(name, "EMQX_") {
			env[strings.ToUpper(name)] = value
		}
	}
	return env
}

// isOld reports whether it is EMQX 4, whose variables have other names: by the tag, or else by which are there.
func (d details) isOld(env map[string]string) bool {
	name, tag := imageName(d.Config.Image)
	tag = strings.TrimPrefix(tag, "v")
	if slices.Contains(emqxImages, name) && tag != "" && tag[0] >= '0' && tag[0] <= '9' {
		return strings.HasPrefix(tag, "4.") || strings.HasPrefix(tag, "3.") || tag == "4" || tag == "3"
	}
	old := false
	for name := range env {
		if strings.HasPrefix(name, "EMQX_LISTENERS__") {
			return false
		}
		old = old || strings.HasPrefix(name, "EMQX_LISTENER__")
	}
	return old
}

// listener is a TCP listener of EMQX.
type listener struct {
	server
	main  bool // the one that is there unless it was turned off
	off   bool
	whole bool  // not a listener but a variable that says something of several
	err   error // it cannot be told
}

// listeners are those that the environment tells of, and the default one.
func (d details) listeners() []listener {
	env := d.environment()
	if d.isOld(env) {
		return oldListeners(env)
	}
	var out []listener
	for _, whole := range []string{"EMQX_LISTENERS", "EMQX_LISTENERS__TCP"} {
		if env[whole] != "" {
			out = append(out, listener{whole: true, err: fmt.Errorf("%s sets whole sections, which are not read here", whole)})
		}
	}
	names := map[string]bool{"DEFAULT": true}
	for name := range env {
		if rest, ok := strings.CutPrefix(name, "EMQX_LISTENERS__TCP__"); ok {
			of, _, _ := strings.Cut(rest, "__")
			names[of] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) { // wholes come first
		out = append(out, newListener(env, "EMQX_LISTENERS__TCP__"+name, name == "DEFAULT"))
	}
	return out
}

var (
	bindIn  = regexp.MustCompile(`(?i)(?:^|[{,\s"])bind"?\s*[:=]\s*("[^"]*"|[^",\s}]+)`)
	offIn   = regexp.MustCompile(`(?i)(?:^|[{,\s"])enabled?"?\s*[:=]\s*"?false`)
	proxyIn = regexp.MustCompile(`(?i)(?:^|[{,\s"])proxy_protocol"?\s*[:=]\s*"?(true|false)`)
)

// newListener reads the variables of a listener of EMQX 5 and later, whose values are HOCON: one each, or an object in one.
func newListener(env map[string]string, variable string, main bool) listener {
	l := listener{main: main}
	l.check = "mqtt"
	object := env[variable]
	bind, from := env[variable+"__BIND"], variable+"__BIND"
	if m := bindIn.FindStringSubmatch(object); bind == "" && m != nil {
		bind, from = m[1], variable
	}
	l.off = offIn.MatchString(object)
	for _, last := range []string{"__ENABLE", "__ENABLED"} {
		if v := word(env[variable+last]); v != "" {
			l.off = v == "false"
		}
	}
	proxy := word(env[variable+"__PROXY_PROTOCOL"])
	if m := proxyIn.FindStringSubmatch(object); proxy == "" && m != nil {
		proxy = strings.ToLower(m[1])
	}
	l.sendProxy = map[string]string{"true": "on", "on": "on", "false": "off", "off": "off"}[proxy]
	if bind == "" && main {
		l.port = defaultListener
		return l
	}
	l.listen(bind, from)
	return l
}

// oldListeners are those of EMQX 4: external, on port 1883, and others that have names.
func oldListeners(env map[string]string) []listener {
	const of = "EMQX_LISTENER__TCP__"
	names := map[string]bool{"EXTERNAL": true}
	for name := range env {
		if rest, ok := strings.CutPrefix(name, of); ok && !strings.Contains(rest, "__") && rest != "INTERNAL" {
			names[rest] = true
		}
	}
	var out []listener
	for _, name := range slices.Sorted(maps.Keys(names)) {
		l := listener{main: name == "EXTERNAL"}
		l.check = "mqtt"
		l.sendProxy = map[string]string{"on": "on", "true": "on", "off": "off", "false": "off"}[word(env[of+name+"__PROXY_PROTOCOL"])]
		if bind := env[of+name]; bind != "" {
			l.listen(bind, of+name)
		} else {
			l.port = defaultListener
		}
		out = append(out, l)
	}
	return out
}

// listen takes PORT, IP:PORT and :PORT.
func (l *listener) listen(bind, from string) {
	l.from = from
	bind = bare(bind)
	host, port := "", bind
	if i := strings.LastIndexByte(bind, ':'); i >= 0 {
		host, port = strings.Trim(bind[:i], "[]"), bind[i+1:]
	}
	var err error
	if l.port, err = parsePort(port); err != nil {
		l.err = fmt.Errorf("%s=%s is not understood: %w", from, clean(bind), err)
		return
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() && ip.Zone() == "" {
		l.ip = ip.Unmap()
	}
}

// dashboard is the port where EMQX says how it is.
func (d details) dashboard() int {
	env := d.environment()
	names, otherwise := []string{"EMQX_DASHBOARD__LISTENERS__HTTP__BIND", "EMQX_DASHBOARD__LISTENERS__HTTP"}, defaultDashboard
	if d.isOld(env) {
		names, otherwise = []string{"EMQX_MANAGEMENT__LISTENER__HTTP"}, 8081
	}
	for _, name := range names {
		text := env[name]
		if m := bindIn.FindStringSubmatch(text); m != nil {
			text = m[1]
		}
		var l listener
		if l.listen(text, name); l.err == nil {
			return l.port
		}
	}
	return otherwise
}

// bare is a value without its quotes.
func bare(s string) string { return strings.Trim(strings.TrimSpace(s), `"'`+" ") }

// word is a value that means the same in either case.
func word(s string) string { return strings.ToLower(bare(s)) }

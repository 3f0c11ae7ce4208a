package nginx

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// accessLog carries over one log, that of stream or else of the first server with one: mqedge has one for all.
func (im *importer) accessLog(streams []*directive) {
	var logs []*directive
	for _, stream := range streams {
		logs = append(logs, stream.all("access_log")...)
	}
	for _, stream := range streams {
		for _, server := range stream.all("server") {
			logs = append(logs, server.all("access_log")...)
		}
	}
	var chosen *directive
	for _, d := range logs {
		switch {
		case len(d.args) == 0:
			im.add(d, "has no file: left out")
		case d.args[0] == "off" && chosen != nil:
			im.add(d, "mqedge has one access log for all listeners: their connections are in that of line %d", chosen.line)
		case d.args[0] == "off":
		case chosen != nil && slices.Equal(d.args, chosen.args):
		case chosen != nil:
			im.add(d, "mqedge has one access log for all listeners, that of line %d: left out; $listener tells them apart", chosen.line)
		case im.log(d, streams):
			chosen = d
		}
	}
	if chosen == nil {
		im.Config.AccessLog.Path = ""
		im.Comments["access_log.path"] = `there is none in nginx's stream either; "-" is stdout`
		if streams == nil {
			im.Comments["access_log.path"] = `nginx's is about HTTP requests; "-" is stdout`
		}
		return
	}
	im.Comments["access_log"] = im.Origin(chosen.place())
}

// log sets the access log, if d is one that mqedge can write.
func (im *importer) log(d *directive, streams []*directive) bool {
	path := d.args[0]
	switch {
	case strings.HasPrefix(path, "syslog:"):
		im.add(d, "mqedge does not speak syslog: it goes to stdout, from where the service manager takes it")
		path = "-"
	case strings.Contains(path, "$"):
		im.add(d, "mqedge knows no variables in a path: left out")
		return false
	case strings.ContainsFunc(path, convert.Control):
		im.add(d, "holds a control character: left out")
		return false
	case path == "/dev/stdout":
		path = "-"
	case !filepath.IsAbs(path):
		path = im.File(path)
		im.add(d, "nginx looks for %s below the folder it was built for, mqedge writes %s", convert.Shown(d.args[0]), convert.Shown(path))
	}
	im.Config.AccessLog.Path = path
	name := "combined"
	if len(d.args) > 1 && !strings.Contains(d.args[1], "=") {
		name = d.args[1]
	}
	for _, option := range d.args[1:] {
		switch key, _, _ := strings.Cut(option, "="); key {
		case "buffer", "flush", "gzip":
			im.add(d, "%s: left out, mqedge has a buffer of its own and writes plain text", convert.Shown(option))
		case "if":
			im.add(d, "%s: mqedge has no conditions, every connection is logged", convert.Shown(option))
		}
	}
	im.Config.AccessLog.Format = im.format(d, name, streams)
	return true
}

var (
	logVariable = regexp.MustCompile(`\$(\{[^}]*\}?|\w*)`)
	lineBreaks  = regexp.MustCompile(`\s*[\r\n]\s*`)
)

// format returns the template of a log_format. Variables that mqedge does not have become -, what nginx writes for those
// without a value, so that the columns stay.
func (im *importer) format(log *directive, name string, streams []*directive) string {
	var d *directive
	for _, stream := range streams {
		for _, f := range stream.all("log_format") {
			if len(f.args) > 1 && f.args[0] == name {
				d = f
			}
		}
	}
	if d == nil {
		im.add(log, "there is no log_format %s in stream: lines are JSON", convert.Shown(name))
		return configs.Default().AccessLog.Format
	}
	parts := d.args[1:]
	escape := ""
	if value, ok := strings.CutPrefix(parts[0], "escape="); ok {
		parts = parts[1:]
		switch value {
		case "json", "default":
			escape = "escape=" + value + " "
		default:
			im.add(d, "%s: left out, mqedge always escapes what a client could forge lines with", convert.Shown("escape="+value))
		}
	}
	text := lineBreaks.ReplaceAllString(strings.TrimSpace(strings.Join(parts, "")), " ")
	if strings.ContainsFunc(text, convert.Control) {
		im.add(d, "control characters, such as tabs, become spaces")
		text = strings.Map(func(c rune) rune {
			if convert.Control(c) {
				return ' '
			}
			return c
		}, text)
	}
	known, some, unknown := configs.AccessLogVariables(), false, []string{}
	text = logVariable.ReplaceAllStringFunc(text, func(v string) string {
		if slices.Contains(known, variable(v)) {
			some = true
			return v
		}
		if !slices.Contains(unknown, v) {
			unknown = append(unknown, v)
		}
		return "-"
	})
	if len(unknown) > 0 {
		im.add(d, "mqedge does not have %s: there is a - in their place", convert.Shown(strings.Join(unknown, " ")))
	}
	if !some {
		im.add(d, "has no variable that mqedge has: lines are JSON")
		return configs.Default().AccessLog.Format
	}
	return escape + strings.TrimSpace(text)
}

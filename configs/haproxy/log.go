package haproxy

import (
	"slices"

	"github.com/mqedge/mqedge/configs/convert"
)

// accessLog writes connections to stdout if HAProxy logged them: it does so by syslog, which mqedge does not speak.
func (im *importer) accessLog(sections []*section) {
	var logged *line
	for _, s := range sections {
		if slices.Contains([]string{"defaults", "frontend", "listen"}, s.kind) {
			for _, l := range s.own("log") {
				if logged == nil {
					logged = l
				}
				im.syslog(l)
			}
			for _, name := range []string{"log-format", "error-log-format", "log-tag", "log-steps"} {
				for _, l := range s.own(name) {
					im.note(l, "left out, mqedge writes JSON; access_log.format takes a template of $variables")
				}
			}
		}
	}
	for _, l := range im.global.own("log") {
		if logged == nil {
			l.used = false
			continue
		}
		im.syslog(l)
	}
	if logged == nil {
		im.Config.AccessLog.Path = ""
		im.Comments["access_log.path"] = `HAProxy logs no connections either; "-" is stdout`
	}
}

// syslog tells of a log that goes elsewhere than to the program's own output.
func (im *importer) syslog(l *line) {
	if target := l.arg(1); !slices.Contains([]string{"global", "stdout", "stderr"}, target) {
		im.note(l, "mqedge does not speak syslog (%s): connections go to stdout as JSON, messages to stderr, from where the service manager takes them", convert.Shown(target))
	}
}

package configs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// AccessLogVariables returns the names that a template of access_log.format may use, without the $.
func AccessLogVariables() []string {
	return []string{
		"remote_addr", "remote_port", "proxy_protocol_addr", "time_local", "time_iso8601", "protocol",
		"status", "bytes_sent", "bytes_received", "session_time", "upstream_addr", "upstream_bytes_sent",
		"upstream_bytes_received", "upstream_connect_time", "listener", "ssl_protocol", "ssl_cipher",
		"ssl_server_name", "ssl_client_s_dn_cn", "mqtt_client_id", "mqtt_username", "mqtt_version",
		"mqtt_keepalive", "connack_code", "reason",
	}
}

var (
	lineBreak   = regexp.MustCompile(`\s*[\r\n]\s*`)
	logVariable = regexp.MustCompile(`\$(\{[^}]*\}?|[A-Za-z0-9_]*)`)
)

// checkFormat returns a format on one line, as an access log must be: line ends in it become spaces.
func checkFormat(text string) (string, error) {
	text = lineBreak.ReplaceAllString(strings.TrimSpace(text), " ")
	formats := []string{"json", "nginx"}
	if slices.Contains(formats, text) {
		return text, nil
	}
	if strings.ContainsFunc(text, unprintable) {
		return "", errors.New("the template holds a control character: remove it")
	}
	var known []string
	for _, name := range AccessLogVariables() {
		known = append(known, "$"+name)
	}
	variables := logVariable.FindAllStringSubmatch(text, -1)
	if len(variables) == 0 {
		return "", fmt.Errorf("%s is not json or nginx, nor a template, which has a $variable%s",
			shown(text), didYouMean(text, formats, ": try $remote_addr $status"))
	}
	var wrong []string
	for _, v := range variables {
		name := v[1]
		if inner, braced := strings.CutPrefix(name, "{"); braced {
			var closed bool
			if name, closed = strings.CutSuffix(inner, "}"); !closed {
				return "", fmt.Errorf("%s is not closed by }", shown(v[0]))
			}
		}
		switch {
		case name == "":
			wrong = append(wrong, "a $ stands before no name")
		case !slices.Contains(known, "$"+name):
			wrong = append(wrong, "there is no variable $"+name+
				didYouMean("$"+name, known, ": see the list at access_log.format in the reference file"))
		}
	}
	if wrong != nil {
		return "", errors.New(strings.Join(wrong, "; "))
	}
	return text, nil
}

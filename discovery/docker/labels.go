package docker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	prefix = "mqedge."

	// What gossip takes of an announcement.
	longestService = 128
	mostTags       = 16
	longestTag     = 128
	longestValue   = 256

	mostServices = 64 // of a container
	remedyName   = "write the name that edges have at upstreams.NAME.gossip"
)

// spec is what the labels of a container say of one service.
type spec struct {
	index     string // "" or "0.", "1.", …
	service   string
	port      int // of the container; 0 is not said
	weight    int
	sendProxy string
	network   string
	tags      map[string]string
	check     Check
	checkPort int // of the container; 0 is that of the service
}

// label is the name of a label as the operator wrote it.
func (s spec) label(key string) string { return prefix + s.index + key }

// labelled reports whether there are labels of ours.
func labelled(labels map[string]string) bool {
	for name := range labels {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// setters are the labels of a service.
var setters = map[string]func(*spec, string) error{
	"service": func(s *spec, v string) error {
		s.service = v
		return printable(v, longestService)
	},
	"port": func(s *spec, v string) (err error) {
		s.port, err = parsePort(v)
		return err
	},
	"weight": func(s *spec, v string) error {
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not a number from 1 to 65535", clean(v))
		}
		s.weight = int(n)
		return nil
	},
	"send_proxy": func(s *spec, v string) error {
		s.sendProxy = v
		return oneOf(v, "off", "v1", "v2")
	},
	"network": func(s *spec, v string) error {
		s.network = v
		return printable(v, longestService)
	},
	"check":          (*spec).setCheck,
	"check.interval": func(s *spec, v string) error { return setDuration(&s.check.Interval, v) },
	"check.timeout":  func(s *spec, v string) error { return setDuration(&s.check.Timeout, v) },
	"check.rise":     func(s *spec, v string) error { return setCount(&s.check.Rise, v) },
	"check.fall":     func(s *spec, v string) error { return setCount(&s.check.Fall, v) },
}

// setCheck takes TYPE, TYPE:PORT and TYPE:PORT/PATH, with http and emqx also TYPE/PATH.
func (s *spec) setCheck(text string) error {
	rest, path := text, ""
	if i := strings.IndexByte(text, '/'); i >= 0 {
		rest, path = text[:i], text[i:]
	}
	kind, port, hasPort := strings.Cut(rest, ":")
	if err := oneOf(kind, "none", "tcp", "mqtt", "http", "emqx", "grpc"); err != nil {
		return err
	}
	s.check.Type, s.check.Path = kind, path
	switch {
	case kind == "none" && (hasPort || path != ""):
		return fmt.Errorf("%q: none asks nobody: remove the rest", clean(text))
	case path != "" && kind != "http" && kind != "emqx":
		return fmt.Errorf("%q: %s has no path: remove it", clean(text), kind)
	case strings.ContainsAny(path, " #") || printable(path+".", 1024) != nil:
		return fmt.Errorf("%q is not the path of a URL: write a space as %%20 and # as %%23", clean(path))
	case !hasPort:
		return nil
	}
	var err error
	s.checkPort, err = parsePort(port)
	return err
}

func setDuration(d *time.Duration, text string) error {
	v, err := time.ParseDuration(text)
	if err != nil || v < 100*time.Millisecond || v > time.Hour {
		return fmt.Errorf("%q is not a duration from 100ms to 1h, such as 5s", clean(text))
	}
	*d = v
	return nil
}

func setCount(n *int, text string) error {
	v, err := strconv.ParseUint(text, 10, 16)
	if err != nil || v == 0 {
		return fmt.Errorf("%q is not a number from 1 on", clean(text))
	}
	*n = int(v)
	return nil
}

func oneOf(v string, words ...string) error {
	if slices.Contains(words, v) {
		return nil
	}
	return fmt.Errorf("%q is not one of %s", clean(v), strings.Join(words, ", "))
}

// printable is what gossip wants of names.
func printable(v string, longest int) error {
	switch {
	case v == "":
		return fmt.Errorf("is empty")
	case len(v) > longest:
		return fmt.Errorf("has %d bytes: at most %d", len(v), longest)
	case !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%q holds what does not print", clean(v))
	}
	return nil
}

// parseLabels returns the services in the order of their numbers, the one without a number first. Labels that mean nothing are
// warned of: an older mqedge must not withdraw a container for a label of a newer one.
func parseLabels(labels map[string]string) (specs []spec, warnings []string, err error) {
	byIndex := make(map[string]*spec)
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		rest, ours := strings.CutPrefix(name, prefix)
		if !ours {
			continue
		}
		index := ""
		if first, after, ok := strings.Cut(rest, "."); ok && isNumber(first) {
			index, rest = first+".", after
		}
		set, known := setters[rest]
		tag, isTag := strings.CutPrefix(rest, "tags.")
		if !known && !isTag {
			warnings = append(warnings, fmt.Sprintf("label %s means nothing: there are %s and tags.NAME", clean(name), strings.Join(slices.Sorted(maps.Keys(setters)), ", ")))
			continue
		}
		s := byIndex[index]
		if s == nil {
			if len(byIndex) == mostServices {
				return nil, warnings, fmt.Errorf("labels %s*: more than %d services", prefix, mostServices)
			}
			s = &spec{index: index}
			byIndex[index] = s
		}
		value := strings.TrimSpace(labels[name])
		if isTag {
			err = s.setTag(tag, value)
		} else {
			err = set(s, value)
		}
		if err != nil {
			return nil, warnings, fmt.Errorf("label %s: %w", clean(name), err)
		}
	}
	if len(byIndex) == 0 {
		return nil, warnings, fmt.Errorf("label %sservice is missing: %s", prefix, remedyName)
	}
	for _, s := range byIndex {
		if s.service == "" {
			return nil, warnings, fmt.Errorf("label %s is missing: %s", s.label("service"), remedyName)
		}
		if s.check.Type == "none" && (s.check.Interval != 0 || s.check.Timeout != 0 || s.check.Rise != 0 || s.check.Fall != 0) {
			warnings = append(warnings, fmt.Sprintf("labels %s have no effect with %s=none", s.label("check.*"), s.label("check")))
		}
		specs = append(specs, *s)
	}
	slices.SortFunc(specs, func(a, b spec) int {
		if len(a.index) != len(b.index) {
			return len(a.index) - len(b.index)
		}
		return strings.Compare(a.index, b.index)
	})
	return specs, warnings, nil
}

func (s *spec) setTag(name, value string) error {
	if err := printable(name, longestTag); err != nil {
		return err
	}
	if err := printable(value+".", longestValue+1); err != nil {
		return err
	}
	if s.tags == nil {
		s.tags = make(map[string]string)
	}
	s.tags[name] = value
	if len(s.tags) > mostTags {
		return fmt.Errorf("there are more than %d tags", mostTags)
	}
	return nil
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 4 && strings.Trim(s, "0123456789") == ""
}

package configs

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// read sets v to what text says, within the bounds that tag sets. After an error v is as before.
func (d *decoder) read(text string, v reflect.Value, tag reflect.StructTag, p path) error {
	switch kind := tag.Get("kind"); {
	case kind == "format" || !strings.ContainsFunc(text, unprintable):
	case kind == "secret":
		return errors.New("holds a control character: remove it")
	default:
		return fmt.Errorf("%s holds a control character: remove it", shown(text))
	}
	switch {
	case v.Type() == reflect.TypeFor[netip.Prefix]():
		prefix, err := parsePrefix(text)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(prefix))
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("expected true or false, found %s", shown(text))
		}
		v.SetBool(text == "true")
	case v.Kind() == reflect.String:
		s, err := d.text(text, tag, p)
		if err != nil {
			return err
		}
		v.SetString(s)
	default:
		n, err := parseNumber(text, v.Type(), tag)
		if err != nil {
			return err
		}
		v.SetInt(n)
	}
	return nil
}

// text checks a text by what it stands for and returns it as Config has it.
func (d *decoder) text(text string, tag reflect.StructTag, p path) (string, error) {
	if list := choices(tag); list != nil {
		return text, checkChoice(text, list, p)
	}
	if text == "" {
		return "", nil
	}
	switch tag.Get("kind") {
	case "log":
		if text == "-" {
			return text, nil
		}
		return d.resolve(text), nil
	case "file":
		return d.resolve(text), nil
	case "format":
		return checkFormat(text)
	case "bind":
		return text, checkBind(text)
	case "address":
		return text, checkAddress(text)
	case "host":
		return text, checkHost(text)
	case "path":
		return text, checkPath(text)
	case "source":
		return checkSource(text)
	case "suite":
		return text, checkSuite(text)
	case "hook":
		return text, checkHook(text, slices.Concat(DecidingHooks(), NotificationHooks()))
	case "notification":
		return text, checkHook(text, NotificationHooks())
	case "bind_ip":
		return text, checkBindIP(text)
	case "advertise":
		return text, checkAdvertise(text)
	case "announced":
		return text, checkAnnounced(text)
	case "engine":
		return text, checkEngine(text)
	case "ip":
		return text, checkAnnouncedIP(text)
	case "resolver":
		return text, checkResolver(text)
	case "service":
		return text, checkPrintable(text, 128)
	case "member":
		return text, checkMember(text)
	case "metadata":
		return text, checkMetadata(text)
	case "alpn":
		if len(text) > 255 {
			return "", errors.New("a protocol name of ALPN has at most 255 bytes")
		}
	}
	return text, nil
}

// resolve makes a path of the file independent of where the process runs.
func (d *decoder) resolve(file string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(d.dir, file)
}

func choices(tag reflect.StructTag) []string {
	var list []string
	for word := range strings.FieldsSeq(tag.Get("one_of")) {
		if word == "-" {
			word = ""
		}
		list = append(list, word)
	}
	return list
}

func checkChoice(text string, list []string, p path) error {
	if slices.Contains(list, text) {
		return nil
	}
	var named []string
	for _, word := range list {
		if word == "" {
			word = `""`
		}
		named = append(named, word)
	}
	return fmt.Errorf("%s is not one of %s%s", shown(text), words(named), didYouMean(text, list, ""))
}

// parseNumber reads a duration, a size or a count, by the type and the tag.
func parseNumber(text string, t reflect.Type, tag reflect.StructTag) (int64, error) {
	parse, show := parseCount, func(n int64) string { return strconv.FormatInt(n, 10) }
	switch {
	case t == reflect.TypeFor[time.Duration]():
		parse, show = parseDuration, func(n int64) string { return formatDuration(time.Duration(n)) }
	case tag.Get("kind") == "size":
		parse, show = parseSize, formatSize
	}
	n, err := parse(text)
	if err != nil {
		return 0, err
	}
	least, most := int64(0), int64(math.MaxInt64)
	if s := tag.Get("min"); s != "" {
		least, _ = parse(s)
	}
	if s := tag.Get("max"); s != "" {
		most, _ = parse(s)
	}
	switch {
	case n < 0:
		return 0, fmt.Errorf("%s is negative: the least is %s", text, show(least))
	case n < least:
		return 0, fmt.Errorf("%s is too small: the least is %s", text, show(least))
	case n > most:
		return 0, fmt.Errorf("%s is too large: the most is %s", text, show(most))
	}
	return n, nil
}

func parseCount(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of range: the most is %d", shown(text), int64(math.MaxInt64))
	case err != nil:
		return 0, fmt.Errorf("expected a whole number, found %s", shown(text))
	case text != strconv.FormatInt(n, 10):
		return 0, fmt.Errorf("%s reads as octal to some: write %d", text, n)
	}
	return n, nil
}

var (
	wholeNumber = regexp.MustCompile(`^-?\d+$`)
	days        = regexp.MustCompile(`^(\d{1,5})d$`)
	spacedUnits = regexp.MustCompile(`^[\d.]+ ?(ms|s|m|h)( [\d.]+ ?(ms|s|m|h))*$`)
	sizeText    = regexp.MustCompile(`^(-?\d+) ?([A-Za-z]*)$`)
)

func parseDuration(text string) (int64, error) {
	duration, err := time.ParseDuration(text)
	if err == nil {
		return int64(duration), nil
	}
	if wholeNumber.MatchString(text) {
		return 0, fmt.Errorf("%s has no unit: write %ss for seconds", shown(text), text)
	}
	if m := days.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		return 0, fmt.Errorf("%s is not a duration, days vary: write %dh", shown(text), 24*n)
	}
	if spacedUnits.MatchString(text) {
		return 0, fmt.Errorf("%s is not a duration: write %s", shown(text), strings.ReplaceAll(text, " ", ""))
	}
	return 0, fmt.Errorf("%s is not a duration: write numbers with the units ms, s, m or h, such as 350s or 1m30s", shown(text))
}

// formatDuration writes whole seconds as such, as configurations do, and anything else as Go does.
func formatDuration(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return d.String()
}

func sizeUnits() []struct {
	name string
	size int64
} {
	return []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}
}

func parseSize(text string) (int64, error) {
	m := sizeText.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%s is not a size: write a number of bytes, or one with KiB, MiB or GiB", shown(text))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	for _, unit := range sizeUnits() {
		if text != m[1]+unit.name {
			continue
		}
		if err != nil || n > math.MaxInt64/unit.size || n < math.MinInt64/unit.size {
			return 0, fmt.Errorf("%s is out of range", shown(text))
		}
		return n * unit.size, nil
	}
	for _, unit := range sizeUnits() {
		if m[2] != "" && unit.name != "" && strings.EqualFold(m[2][:1], unit.name[:1]) {
			return 0, fmt.Errorf("%s is not a size: write %s%s", shown(text), m[1], unit.name)
		}
	}
	return 0, fmt.Errorf("%s is not a size: the units are KiB, MiB and GiB", shown(text))
}

func formatSize(n int64) string {
	for _, unit := range sizeUnits() {
		if n >= unit.size && n%unit.size == 0 {
			return strconv.FormatInt(n/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// parsePrefix reads a CIDR, or an address alone as the range of that one. IPv4 mapped into IPv6 becomes IPv4, which
// is what the addresses of clients are compared as.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not an address or a range of addresses: write them as 10.0.0.1, 10.0.0.0/8 or fd00::/8", shown(text))
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has bits beyond its mask: write %v for the range, or %v for the one address",
			text, prefix.Masked(), prefix.Addr())
	}
	return prefix, nil
}

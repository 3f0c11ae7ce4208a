package configs

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestLoadSaysWhatIsWrongWithAFileItCannotRead(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ file, want string }{
		"missing":   {filepath.Join(dir, "no.yaml"), "/no.yaml:1:1: cannot read the file: no such file or directory"},
		"directory": {dir, ":1:1: this is a directory: give the name of a file in it"},
		"below":     {filepath.Join(dir, "big.yaml", "x"), "/x:1:1: cannot read the file: not a directory"},
		"huge":      {filepath.Join(dir, "big.yaml"), "/big.yaml:1:1: the file is larger than 4MiB: this is not a configuration of mqedge"},
	} {
		write(t, filepath.Join(dir, "big.yaml"), make([]byte, maxFileSize+1))
		t.Run(name, func(t *testing.T) {
			cfg, problems := Load(c.file)
			if cfg != nil || len(problems) != 1 || !strings.HasSuffix(problems[0].String(), c.want) {
				t.Errorf("got %v, %v", cfg, problems)
			}
		})
	}
}

func TestALargeFileIsLoadedInASecondOrTwo(t *testing.T) {
	var b strings.Builder
	b.WriteString("listeners: {mqtt: {bind: \":1883\", upstream: emqx}}\nupstreams:\n  emqx:\n    endpoints:\n")
	for i := range 65_000 {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		b.WriteString("      - {address: " + addr.String() + ":1883}\n")
	}
	began := time.Now()
	cfg, problems := parseText(t.TempDir(), b.String())
	must(t, problems.Err())
	if n := len(cfg.Upstreams["emqx"].Endpoints); n != 65_000 {
		t.Errorf("%d endpoints", n)
	}
	if took := time.Since(began); took > 30*time.Second { // with the race detector on a busy machine
		t.Errorf("took %v", took)
	}
}

func TestProblemsAreSortedByPlaceAndWarningsAreNoError(t *testing.T) {
	_, problems := parseText(t.TempDir(), `
listeners:
  b: {bind: "0.0.0.0:2", upstream: b, protocol: x}
  a: {bind: "0.0.0.0:1", upstream: a, protocol: y}
admin: {bind: "0.0.0.0:9901"}
`)
	last := 0
	for _, p := range problems {
		if p.Line < last {
			t.Errorf("line %d after line %d", p.Line, last)
		}
		last = p.Line
	}
	if n := len(strings.Split(problems.Err().Error(), "\n")); n != 4 || len(problems) != 5 {
		t.Errorf("%d errors of %d problems", n, len(problems))
	}
	if err := problems[4:].Err(); err != nil {
		t.Errorf("the warning is an error: %v", err)
	}
}

func TestAliasesAndMergesMeanWhatTheyStandFor(t *testing.T) {
	cfg, problems := parseText(t.TempDir(), `
upstreams:
  one: &upstream
    balance: round_robin
    tries: 7
    endpoints: &endpoints [{address: "10.0.0.1:1883"}]
  two: {<<: *upstream, tries: 8}
  three: {endpoints: *endpoints}
  four: {<<: [{tries: 9}, *upstream]}
listeners:
  a: {bind: "0.0.0.0:1", upstream: one}
  b: {bind: "0.0.0.0:2", upstream: two}
  c: {bind: "0.0.0.0:3", upstream: three}
  d: {bind: "0.0.0.0:4", upstream: four}
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, want := range map[string]struct {
		balance string
		tries   int
	}{"one": {"round_robin", 7}, "two": {"round_robin", 8}, "three": {"least_conn", 3}, "four": {"round_robin", 9}} {
		u := cfg.Upstreams[name]
		if u.Balance != want.balance || u.Tries != want.tries || u.Endpoints[0].Address != "10.0.0.1:1883" {
			t.Errorf("%s is %+v", name, u)
		}
	}
}

func TestValuesAreExpanded(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "level"), []byte("debug\r\n"))
	t.Setenv("LEVEL", "debug")
	t.Setenv("EMPTY", "")
	t.Setenv("NESTED", "${LEVEL}")
	for text, want := range map[string]string{
		"plain":                     "plain",
		"${LEVEL}":                  "debug",
		"a-${LEVEL}-${LEVEL}-b":     "a-debug-debug-b",
		"${NOT_SET_ANYWHERE:-x:y}":  "x:y",
		"${EMPTY:-x}":               "x",
		"${EMPTY}":                  "",
		"${NOT_SET_ANYWHERE:-}":     "",
		"${file:level}":             "debug",
		"${file:" + dir + "/level}": "debug",
		"${NESTED}":                 "${LEVEL}",
		"$${LEVEL}":                 "${LEVEL}",
		"$$${LEVEL}":                "$${LEVEL}",
		"$LEVEL $":                  "$LEVEL $",
	} {
		d := decoder{dir: dir}
		if got, err := d.expand(text); got != want || err != nil {
			t.Errorf("%s becomes %q, %v, want %q", text, got, err, want)
		}
		if got, err := d.expand(escape(text)); got != text || err != nil {
			t.Errorf("%s escaped becomes %q, %v", text, got, err)
		}
	}
}

func TestTheAccessLogFormatIsOneLineAndNotExpanded(t *testing.T) {
	cfg, problems := parseText(t.TempDir(), minimal+`
access_log:
  format: |
    ${status}
      $reason  x
`)
	if len(problems) > 0 || cfg.AccessLog.Format != "${status} $reason  x" {
		t.Errorf("got %v, %v", cfg, problems)
	}
}

func TestAValueMayBeWrittenInSeveralWays(t *testing.T) {
	cfg, problems := parseText(t.TempDir(), `
upstreams:
  emqx: {send_proxy: off, endpoints: [{address: "LOCALHOST:1883", backup: true}, {address: "[fe80::1%eth0]:1883"}]}
  5: {endpoints: [{address: "10.0.0.1:1883"}]}
listeners:
  a: {bind: "0.0.0.0:1", upstream: emqx, mqtt: {max_connect_size: 1024}, idle_timeout: 1m30s}
  b: {bind: ["0.0.0.0:0", ":0"], upstream: 5, mqtt: {max_connect_size: 2MiB}, allow: [10.0.0.1, 10.0.0.0/8, "::ffff:10.0.0.0/104", fd00::1]}
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	a, b := cfg.Listeners["a"], cfg.Listeners["b"]
	if a.MQTT.MaxConnectSize != 1024 || b.MQTT.MaxConnectSize != 2<<20 || a.IdleTimeout != 90*time.Second {
		t.Errorf("a is %+v, b is %+v", a, b)
	}
	want := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::1/128"),
	}
	if !reflect.DeepEqual(b.Allow, want) {
		t.Errorf("allow is %v", b.Allow)
	}
}

func TestKeysOfDiscoveryMayStandAtTheirDefaults(t *testing.T) {
	cfg, problems := parseText(t.TempDir(), `
gossip:
  {name: "", bind: "0.0.0.0:7946", advertise: "", join: [], key_file: "", label: mqedge, allow: [], announce: [],
   docker: {socket: "", host: ""}}
listeners:
  mqtt: {bind: "0.0.0.0:1883", upstream: emqx}
upstreams:
  emqx:
    source_addresses: []
    gossip: ""
    dns: {name: "${NOT_SET_ANYWHERE:-}", port: 0, type: a, interval: 10s}
    endpoints: [{address: "10.0.0.1:1883"}]
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if cfg.Gossip != nil || cfg.Upstreams["emqx"].DNS != nil {
		t.Error("sections that ask for nothing are on")
	}
}

func TestAFileWithoutListenersIsThatOfAnAgent(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	cfg, problems := parseText(dir, `gossip: {key_file: gossip.keys, announce: [{service: emqx, address: ":1883", tags: {zone: b}, check: {type: mqtt, password: secret}}]}`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	a := cfg.Gossip.Announce[0]
	if a.Tags["zone"] != "b" || a.Check.Interval != 5*time.Second || a.Weight != 1 {
		t.Errorf("announced: %+v", a)
	}
	if strings.Contains(string(cfg.Public()), "secret") || !strings.Contains(string(cfg.YAML()), "secret") {
		t.Errorf("the password in what others see:\n%s", cfg.Public())
	}
	if again, problems := parseText(dir, string(cfg.YAML())); len(problems) > 0 || string(again.YAML()) != string(cfg.YAML()) {
		t.Errorf("parsed again: %v\n%s", problems, cfg.YAML())
	}
}

func TestAFileThatOnlyAnnouncesContainersIsThatOfAnAgent(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	for docker, want := range map[string]Docker{
		"{}": {Socket: "/var/run/docker.sock"},
		`{socket: "tcp://127.0.0.1:2375", host: 10.0.0.5}`:  {Socket: "tcp://127.0.0.1:2375", Host: "10.0.0.5"},
		`{socket: "unix:///run/podman/podman.sock"}`:        {Socket: "unix:///run/podman/podman.sock"},
		`{socket: "${NOT_SET_ANYWHERE:-/run/docker.sock}"}`: {Socket: "/run/docker.sock"},
	} {
		cfg, problems := parseText(dir, `gossip: {key_file: gossip.keys, docker: `+docker+`}`)
		if len(problems) > 0 {
			t.Errorf("%s: %v", docker, problems)
			continue
		}
		if *cfg.Gossip.Docker != want {
			t.Errorf("%s: %+v", docker, cfg.Gossip.Docker)
		}
		if again, problems := parseText(dir, string(cfg.YAML())); len(problems) > 0 || string(again.YAML()) != string(cfg.YAML()) {
			t.Errorf("parsed again: %v\n%s", problems, cfg.YAML())
		}
	}
}

func TestPathsStartFromTheFolderOfTheFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "etc", "a.yaml"), []byte(minimal+`
access_log: {path: log/access.log}
admin: {token_file: ../token}
`))
	write(t, filepath.Join(dir, "token"), []byte("x"))
	t.Chdir(dir)
	cfg, problems := Load("etc/a.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	here, err := os.Getwd()
	must(t, err)
	if cfg.Dir != filepath.Join(here, "etc") || cfg.AccessLog.Path != filepath.Join(here, "etc/log/access.log") ||
		cfg.Admin.TokenFile != filepath.Join(here, "token") {
		t.Errorf("got %+v", cfg)
	}
}

func TestACRLInEitherEncodingAndSeveralCertificatesAreGood(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	for _, crl := range []string{"devices-crl.pem", "devices-crl.der"} {
		cfg, problems := parseText(dir, `
upstreams: {emqx: {endpoints: [{address: "10.0.0.1:1883"}]}}
listeners:
  mqtts:
    bind: 0.0.0.0:8884
    upstream: emqx
    tls:
      certificates:
        - {cert_file: certs/cert.pem, key_file: certs/key.pem}
        - {cert_file: certs/cert-ecdsa.pem, key_file: certs/key-ecdsa.pem}
        - {cert_file: certs/both.pem, key_file: certs/both.pem}
      client_auth: require
      client_ca_file: certs/devices-ca.pem
      client_crl_file: certs/`+crl)
		if len(problems) > 0 || len(cfg.Listeners["mqtts"].TLS.Certificates) != 3 {
			t.Errorf("%s: %v", crl, problems)
		}
	}
}

func TestATicketKeysFileMayBeMissingAndIsNotMadeByChecking(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	write(t, filepath.Join(dir, "full"), []byte("\n"+strings.Repeat(secretLine(32)+"\r\n", mostSecrets)))
	for _, file := range []string{"missing", "certs/missing", "full"} {
		cfg, problems := parseText(dir, `
upstreams: {emqx: {endpoints: [{address: "10.0.0.1:1883"}]}}
listeners:
  mqtts:
    bind: 0.0.0.0:8884
    upstream: emqx
    tls:
      certificates: [{cert_file: certs/cert.pem, key_file: certs/key.pem}]
      ticket_keys_file: `+file)
		if len(problems) > 0 || cfg.Listeners["mqtts"].TLS.TicketKeysFile != filepath.Join(dir, file) {
			t.Errorf("%s: %v", file, problems)
		}
		if _, err := os.Stat(filepath.Join(dir, file)); (err == nil) != (file == "full") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func FuzzAFileOfSecretsIsCheckedWithoutShowingIt(f *testing.F) {
	f.Add([]byte(secretLine(32) + "\r\n" + secretLine(31)))
	f.Add([]byte(strings.Repeat(secretLine(32), mostSecrets+1)))
	f.Add([]byte("AAAA\nnot base64\n"))
	reasons := regexp.MustCompile(`^(line \d+ (is not base64|holds \d+ bytes instead of 32|is one secret too many)|holds no secret)$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := checkSecrets(data); err != nil && !reasons.MatchString(err.Error()) {
			t.Error(err)
		}
	})
}

func TestASyntaxErrorInALongFileIsFoundWithoutParsingItLineByLine(t *testing.T) {
	began := time.Now()
	_, problems := parseText(t.TempDir(), "a: \"\n"+strings.Repeat("x\n", 31_000))
	if len(problems) != 1 || problems[0].Line < 1 {
		t.Errorf("got %v", problems)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

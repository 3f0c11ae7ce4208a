package haproxy

import "strings"

// reason tells why nothing has come of a line, and what mqedge does instead.
func reason(s *section, l *line) string {
	words := l.words
	if words[0] == "no" && len(words) > 1 {
		words = words[1:]
	}
	for n := min(2, len(words)); n > 0; n-- {
		if text := reasons()[strings.Join(words[:n], " ")]; text != "" {
			return text
		}
	}
	switch {
	case strings.HasPrefix(words[0], "tune."):
		return "mqedge has nothing to tune for that: left out"
	case strings.HasPrefix(words[0], "http-") || words[0] == "option" && len(words) > 1 && strings.HasPrefix(words[1], "http"):
		return "is about HTTP: left out"
	case strings.HasPrefix(words[0], "ssl-default-server"):
		return "Go's secure defaults hold towards endpoints: left out"
	case strings.HasPrefix(words[0], "ssl-"):
		return "is about OpenSSL: left out, see tls of the listener"
	case words[0] == "timeout":
		return "mqedge has no such time: left out"
	case words[0] == "option" || words[0] == "server" || words[0] == "bind" || words[0] == "balance" || words[0] == "acl":
		return "has no effect on what was imported: left out"
	case s.kind == "defaults" && carriedByProxies(words):
		return "has no effect on what was imported: left out"
	}
	return "mqedge does not know this keyword, and nothing was done for it: see whether you need it"
}

func carriedByProxies(words []string) bool {
	for _, known := range []string{"mode", "maxconn", "retries", "default-server", "default_backend", "source", "rate-limit", "http-check", "tcp-check", "tcp-request", "stick-table", "stick"} {
		if words[0] == known {
			return true
		}
	}
	return false
}

// sectionReasons are about sections that mqedge has no use for.
func sectionReasons() map[string]string {
	return map[string]string{
		"peers":       "edges agree on the endpoint of a client without a table: nothing is shared, nothing to set",
		"userlist":    "is about HTTP: left out",
		"mailers":     "mqedge sends no mail: alert on its metrics",
		"program":     "mqedge starts no programs: leave that to the service manager",
		"cache":       "is about HTTP: left out",
		"ring":        "mqedge logs to stdout and stderr: left out",
		"log-forward": "mqedge passes on no logs: left out",
		"http-errors": "is about HTTP: left out",
		"fcgi-app":    "is about HTTP: left out",
		"crt-store":   "write the files into tls.certificates: left out",
		"traces":      "left out; log.level debug tells most",
		"log-profile": "left out; access_log.format takes a template of $variables",
		"acme":        "mqedge asks for no certificates: let certbot or the like do it, renewed files are noticed",
	}
}

func reasons() map[string]string {
	const (
		manager    = "is the service manager's, such as systemd: nothing to set"
		oneProcess = "mqedge is one process on all cores: nothing to set"
		openFiles  = "the limit is that of open files, which is the service manager's: LimitNOFILE, or ulimit -n; max_connections limits a listener"
		admin      = "the admin address does that, 127.0.0.1:9901: metrics, a page, `mqedge status` and `mqedge drain`"
		logs       = "mqedge logs every connection when it ends, with the reason: nothing to set"
		http       = "is about HTTP: left out"
		wholeRate  = "mqedge limits listeners: left out; see connect_rate, and tls.full_handshakes for handshakes"
		variables  = "mqedge expands ${VAR} in its own file: what was set is written out"
		chosen     = "OpenSSL's cipher strings are not understood: left out, the secure suites are on; old devices may need others, which are named in tls.cipher_suites"
		tickets    = "sessions resume by tickets, whose keys change by themselves: nothing to set"
		tables     = "mqedge needs no table: left out"
		rules      = "mqedge has no rules like it: left out"
	)
	return map[string]string{
		"chroot": manager, "user": manager, "group": manager, "uid": manager, "gid": manager, "daemon": manager, "pidfile": manager, "master-worker": manager,
		"nbproc": oneProcess, "nbthread": oneProcess, "cpu-map": oneProcess, "thread-groups": oneProcess, "cpu-policy": oneProcess, "bind-process": oneProcess,
		"ulimit-n": openFiles, "maxconn": openFiles, "maxsock": openFiles, "maxpipes": openFiles, "fd-hard-limit": openFiles,
		"stats": admin, "monitor-uri": "/readyz of the admin address is for that", "monitor": "/readyz of the admin address is for that", "monitor-net": "/readyz of the admin address is for that",
		"maxconnrate": wholeRate, "maxsessrate": wholeRate, "maxsslrate": wholeRate, "maxsslconn": wholeRate, "maxcomprate": http,
		"setenv": variables, "presetenv": variables, "unsetenv": variables, "resetenv": variables,
		"ssl-default-bind-ciphers": chosen, "ssl-default-bind-ciphersuites": "the suites of TLS 1.3 are always on: left out", "ssl-default-bind-curves": "Go chooses among the secure ones: nothing to set",
		"ssl-dh-param-file": "Go has no finite-field DH: left out", "tune.ssl.default-dh-param": "Go has no finite-field DH: left out",
		"tune.ssl.cachesize": tickets, "tune.ssl.lifetime": tickets, "tune.ssl.maxrecord": "mqedge chooses by what there is to send: nothing to set",
		"tune.bufsize": "a CONNECT may have mqtt.max_connect_size, 64KiB; mqedge needs no buffer of a fixed size otherwise: nothing to set",
		"log":          "connections are not logged here, and messages go to stderr: left out", "log-send-hostname": manager, "log-tag": manager,
		"ssl-server-verify": "mqedge verifies the certificates of endpoints always",
		"lua-load":          "mqedge runs no scripts: left out", "lua-load-per-thread": "mqedge runs no scripts: left out", "hard-stop-after": "the time for connections to end is drain.deadline, 60s",
		"grace": "drain.delay is for that, 0s", "server-state-file": "mqedge keeps no state of checks: left out", "server-state-base": "mqedge keeps no state of checks: left out",
		"load-server-state-from-file": "mqedge keeps no state of checks: left out", "spread-checks": "mqedge spreads checks by itself: nothing to set", "localpeer": tables,
		"node": manager, "description": manager, "external-check": "mqedge has no such check: left out", "insecure-fork-wanted": manager, "h1-case-adjust": http,

		"option tcplog": logs, "option httplog": logs, "option dontlognull": logs, "option dontlog-normal": logs, "option logasap": logs, "option log-health-checks": logs, "option log-separate-errors": logs,
		"option redispatch": "mqedge always tries another endpoint: nothing to set", "option allbackups": "is how mqedge is: nothing to set", "option contstats": logs, "option socket-stats": logs,
		"option nolinger": "mqedge closes as TCP asks for: left out", "option independent-streams": "mqedge has one time for silence in both directions: left out",
		"option abortonclose": "is how mqedge is: nothing to set", "option persist": tables, "option srvtcpka": "mqedge probes endpoints by default, see tcp.keepalive: nothing to set",
		"option forwardfor": http, "option transparent": "mqedge does not take on its clients' addresses: send_proxy tells the endpoint who they are",
		"option prefer-last-server": http, "option originalto": http, "option forwarded": http, "option checkcache": http, "compression": http, "cookie": http, "errorfile": http, "errorloc": http, "errorfiles": http,
		"redirect": http, "reqadd": http, "rspadd": http, "filter": "mqedge has no filters: left out", "unique-id-format": http, "unique-id-header": http, "capture": http, "use-fcgi-app": http,
		"option tcp-check": "how endpoints are asked is health.active: nothing to set", "force-persist": tables, "ignore-persist": tables, "persist": tables,
		"timeout queue": "connections do not wait for an endpoint: nothing to set", "timeout tarpit": http, "timeout http-request": http, "timeout http-keep-alive": http,
		"timeout client-fin": "a connection that is closed on one side ends with tcp.user_timeout, or for protocol tcp with idle_timeout: nothing to set",
		"timeout server-fin": "a connection that is closed on one side ends with tcp.user_timeout, or for protocol tcp with idle_timeout: nothing to set",
		"timeout client":     "calls of gRPC have their own deadlines, and connections stay open: nothing to set",
		"timeout server":     "calls of gRPC have their own deadlines, and connections stay open: nothing to set",
		"timeout check":      "there is no check: left out",
		"timeout connect":    "has no effect on what was imported: left out",
		"hash-type":          "mqedge's hash is always consistent, and bounded by load: nothing to set", "hash-balance-factor": "mqedge's hash is always bounded by load: nothing to set", "hash-preserve-affinity": tables,
		"stick-table": tables, "stick": tables, "fullconn": "is about minconn: left out", "backlog": "mqedge takes the largest backlog there is, net.core.somaxconn: nothing to set",
		"tcp-request": rules, "tcp-response": rules, "acl": rules, "use_backend": rules, "use-server": rules, "declare": rules, "id": manager, "guid": manager, "email-alert": "mqedge sends no mail: alert on its metrics",
		"dispatch": "write the address as an endpoint: left out", "disabled": "remove the listener if it is not wanted", "enabled": "nothing to set", "max-keep-alive-queue": http, "http-reuse": http,
		"clitcpka-cnt": "three probes, within what tcp.user_timeout leaves", "clitcpka-intvl": "three probes, within what tcp.user_timeout leaves", "srvtcpka-cnt": "three probes, within what tcp.user_timeout leaves",
		"srvtcpka-intvl": "three probes, within what tcp.user_timeout leaves", "srvtcpka-idle": "without option srvtcpka it has no effect: left out",
		"nameserver": "names are resolved by the system's resolver: left out", "resolve_retries": "mqedge asks again and again: nothing to set", "resolve_timeout": "mqedge asks again and again: nothing to set", "accepted_payload_size": "nothing to set", "hold": "an answer without endpoints, and none, change nothing in mqedge: nothing to set",
		"parse-resolv-conf": "is what mqedge does: nothing to set", ".if": "mqedge does not know what HAProxy finds here: all up to .endif is left out",
	}
}

// silent are lines about what is always so here, or that belong to another that is told of.
func silent() []string {
	return []string{"option tcp-smart-accept", "option tcp-smart-connect", "option splice-auto", "option splice-request", "option splice-response", "description", "zero-warning", "no option", "ca-base", "crt-base"}
}

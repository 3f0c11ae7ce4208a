package nginx

import "slices"

// reason tells why nothing has come of a directive, and what mqedge does instead.
func reason(d *directive) string {
	if text := reasons()[d.name]; text != "" {
		return text
	}
	if slices.Contains(carried(), d.name) {
		return "has no effect on what was imported: left out"
	}
	return "mqedge does not know this directive, and nothing was done for it: see whether you need it"
}

// carried are directives that are carried over where a server has a use for them.
func carried() []string {
	return []string{
		"access_log", "allow", "deny", "least_conn", "least_time", "limit_conn", "limit_conn_zone", "limit_conn_dry_run", "listen", "log_format",
		"proxy_bind", "proxy_connect_timeout", "proxy_next_upstream", "proxy_next_upstream_tries", "proxy_pass", "proxy_protocol",
		"proxy_protocol_timeout", "proxy_socket_keepalive", "proxy_ssl", "proxy_ssl_certificate", "proxy_ssl_certificate_key", "proxy_ssl_name",
		"proxy_ssl_server_name", "proxy_ssl_trusted_certificate", "proxy_ssl_verify", "proxy_timeout", "random", "server", "set_real_ip_from",
		"ssl_alpn", "ssl_certificate", "ssl_certificate_key", "ssl_client_certificate", "ssl_crl", "ssl_handshake_timeout", "ssl_protocols",
		"ssl_trusted_certificate", "ssl_verify_client", "upstream", "mqtt", "mqtt_preread", "grpc_connect_timeout", "grpc_next_upstream",
		"grpc_next_upstream_timeout", "grpc_next_upstream_tries", "grpc_pass", "grpc_socket_keepalive", "grpc_ssl_certificate", "grpc_ssl_certificate_key",
		"grpc_ssl_name", "grpc_ssl_server_name", "grpc_ssl_trusted_certificate", "grpc_ssl_verify", "hash", "ip_hash",
	}
}

func reasons() map[string]string {
	const (
		variables  = "mqedge has no variables: left out; where a listener leads is fixed, and hash_key chooses among endpoints"
		scripts    = "mqedge runs no scripts: left out; it reads CONNECT by itself (protocol mqtt), so none is needed for client ids and user names, in hash_key and in the log"
		oneProcess = "mqedge is one process on all cores: nothing to set"
		manager    = "is the service manager's, such as systemd: nothing to set"
		openFiles  = "the limit of open files is the service manager's, and the only limit: see LimitNOFILE, or ulimit -n"
		tickets    = "session tickets are always on, their keys change by themselves: nothing to set"
		buffers    = "mqedge needs no buffer of a fixed size for a connection: nothing to set"
		curves     = "Go chooses among the secure ones: nothing to set"
		chosen     = "OpenSSL's cipher strings are not understood: left out, the secure suites are on; old devices may need others, which are named in tls.cipher_suites"
		preread    = "mqedge does not look into TLS that it passes on: left out, where a listener leads is fixed"
		realTime   = "left out, mqedge has no limit of bytes a second"
		passphrase = "mqedge cannot read encrypted keys: decrypt the file (openssl pkey -in FILE -out FILE), and guard it by its mode"
		stapling   = "mqedge does not staple OCSP responses: left out"
		health     = "mqedge has checks of its own, which know MQTT and EMQX: see health.active"
		calls      = "mqedge keeps its connections to providers, and EMQX's to itself, open by itself: nothing to set"
		metadata   = "mqedge passes metadata on as it is: left out"
		longCalls  = "a call ends at the deadline that its caller sent (grpc-timeout), and has no other: left out; for EMQX's hooks see exhook.timeout"
		httpOnly   = "is about HTTP: left out"
		outwards   = "left out, Go's secure defaults hold towards endpoints"
	)
	return map[string]string{
		"daemon": manager, "user": manager, "pid": manager, "lock_file": manager, "working_directory": manager, "env": manager,
		"worker_priority": manager, "worker_shutdown_timeout": "the time for connections to end is drain.deadline, 60s",
		"worker_processes": oneProcess, "worker_cpu_affinity": oneProcess, "master_process": oneProcess, "thread_pool": oneProcess,
		"timer_resolution": oneProcess, "pcre_jit": oneProcess, "worker_rlimit_nofile": openFiles,
		"events":      "nothing to set; " + openFiles,
		"include":     "there is no such file: nothing to read",
		"load_module": "mqedge has no modules: nothing to load",
		"error_log":   "messages go to stderr; log.level says how many, info by default",
		"mail":        "mqedge does no mail: left out, keep nginx for it",
		"mgmt":        "is about NGINX Plus: left out",

		"map": variables, "geo": variables, "split_clients": variables, "set": variables, "geoip_country": variables, "geoip_city": variables,
		"geoip_org": variables, "geoip2": variables, "map_hash_bucket_size": variables, "map_hash_max_size": variables,
		"variables_hash_bucket_size": variables, "variables_hash_max_size": variables, "keyval": variables, "keyval_zone": variables,
		"js_import": scripts, "js_include": scripts, "js_path": scripts, "js_access": scripts, "js_filter": scripts, "js_preread": scripts,
		"js_set": scripts, "js_var": scripts, "js_shared_dict_zone": scripts, "js_periodic": scripts,
		"preread_by_lua_block": scripts, "preread_by_lua_file": scripts, "content_by_lua_block": scripts, "content_by_lua_file": scripts,

		"ssl_preread": preread, "preread_buffer_size": buffers, "preread_timeout": "the time to a whole CONNECT is mqtt.connect_timeout, 5s",
		"server_name": "certificates are chosen by SNI, where a listener leads is not: left out",
		"return":      "mqedge answers nothing by itself: left out", "pass": "mqedge has no listeners that hand on to others: left out",

		"ssl_ciphers": chosen, "ssl_prefer_server_ciphers": curves, "ssl_ecdh_curve": curves, "ssl_dhparam": "Go has no finite-field DH: left out",
		"ssl_session_cache":   "sessions resume by tickets, which need no cache: nothing to set",
		"ssl_session_tickets": tickets, "ssl_session_timeout": tickets,
		"ssl_session_ticket_key": "files of nginx's format cannot be used: tickets are on with keys in memory; tls.ticket_keys_file keeps them over a restart and shares them between edges",
		"ssl_password_file":      passphrase, "ssl_verify_depth": "mqedge has no limit for the length of a chain: nothing to set",
		"ssl_conf_command": "OpenSSL's commands are not understood: left out", "ssl_engine": "mqedge has no engines: left out",
		"ssl_stapling": stapling, "ssl_stapling_file": stapling, "ssl_stapling_responder": stapling, "ssl_stapling_verify": stapling,
		"ssl_ocsp": "mqedge asks no OCSP responder: use tls.client_crl_file", "ssl_ocsp_cache": "mqedge asks no OCSP responder: left out",
		"ssl_ocsp_responder":   "mqedge asks no OCSP responder: left out",
		"ssl_reject_handshake": "the first certificate is shown to those who ask for no known name: left out",

		"proxy_buffer_size": buffers, "proxy_downstream_buffer": buffers, "proxy_upstream_buffer": buffers,
		"proxy_upload_rate": realTime, "proxy_download_rate": realTime,
		"proxy_half_close":            "mqedge passes on a half-close with protocol tcp; MQTT knows none",
		"proxy_requests":              "is about UDP: left out",
		"proxy_responses":             "is about UDP: left out",
		"proxy_session_drop":          "clients of an endpoint that is taken out stay; `mqedge drain` moves them away",
		"proxy_ssl_session_reuse":     outwards,
		"proxy_ssl_protocols":         outwards,
		"proxy_ssl_ciphers":           outwards,
		"proxy_ssl_conf_command":      outwards,
		"proxy_ssl_verify_depth":      "mqedge has no limit for the length of a chain: nothing to set",
		"proxy_ssl_crl":               "mqedge has no CRL for endpoints: left out",
		"proxy_ssl_password_file":     passphrase,
		"proxy_next_upstream_timeout": "mqedge has no limit for all tries together: left out",

		"limit_conn_log_level":     "refused connections are counted, and in the access log: nothing to set",
		"open_log_file_cache":      "has no use with one log: nothing to set",
		"resolver":                 "names are resolved by the system's resolver, when they are dialled: nothing to set",
		"resolver_timeout":         "names are resolved by the system's resolver, when they are dialled: nothing to set",
		"health_check":             health,
		"health_check_timeout":     health,
		"match":                    health,
		"state":                    "mqedge keeps no list of endpoints of its own: left out, write them",
		"sticky":                   "left out; balance: hash keeps a client on its endpoint by its client id",
		"status_zone":              "counters of listeners and upstreams are at /metrics: nothing to set",
		"zone_sync":                "edges share no state: left out",
		"mqtt_set_connect":         "mqedge changes nothing in a CONNECT: left out; EMQX itself takes the common name of a certificate as user name or client id (mqtt.peer_cert_as_username), which send_proxy: v2 tells it",
		"mqtt_rewrite_buffer_size": "mqedge changes nothing in a CONNECT: left out",
		"proxy_set_header":         httpOnly,

		"grpc_read_timeout": longCalls, "grpc_send_timeout": longCalls, "grpc_buffer_size": buffers, "grpc_set_header": metadata,
		"grpc_pass_header": metadata, "grpc_hide_header": metadata, "grpc_ignore_headers": metadata, "grpc_intercept_errors": httpOnly,
		"grpc_bind":              "providers are called from the address that the kernel chooses: left out",
		"grpc_ssl_session_reuse": outwards, "grpc_ssl_protocols": outwards, "grpc_ssl_ciphers": outwards, "grpc_ssl_conf_command": outwards,
		"grpc_ssl_verify_depth": "mqedge has no limit for the length of a chain: nothing to set", "grpc_ssl_crl": "mqedge has no CRL for endpoints: left out",
		"grpc_ssl_password_file": passphrase, "keepalive": calls, "keepalive_requests": calls, "keepalive_timeout": calls, "keepalive_time": calls,
		"http2_max_requests": calls, "http2_idle_timeout": calls, "http2_recv_timeout": calls, "lingering_close": calls, "lingering_timeout": calls,
		"lingering_time": calls, "reset_timedout_connection": calls,
		"http2_max_concurrent_streams": "EMQX heeds no such limit: calls wait for room instead, see exhook.in_flight",
		"client_max_body_size":         "mqedge has no limit for the size of a call: nothing to set",
		"client_body_timeout":          calls, "client_header_timeout": calls, "send_timeout": calls,
		"http2_body_preread_size": buffers, "client_body_buffer_size": buffers, "large_client_header_buffers": buffers, "client_header_buffer_size": buffers,
		"error_page": "mqedge answers failures with a status of gRPC by itself: nothing to set",
		"limit_req":  "mqedge limits connections, not calls: left out; exhook.in_flight says how many calls a provider has at once",
		"auth_basic": "mqedge asks callers for no password: left out; tls.client_auth asks for a certificate, allow for an address",
		"add_header": metadata, "root": httpOnly, "default_type": httpOnly, "proxy_http_version": httpOnly, "if": httpOnly, "rewrite": httpOnly,
	}
}

// silent are directives about what nginx needs for itself, or that are always so here.
func silent() []string {
	return []string{"zone", "tcp_nodelay", "mqtt_buffers", "http2", "sendfile", "tcp_nopush", "chunked_transfer_encoding"}
}

package accesslog

import (
	"net/netip"
	"strconv"
	"time"
)

// appender appends one value of r to dst, unescaped, or nothing where r has no such value.
type appender func(dst []byte, r *Record) []byte

type variable struct {
	name   string
	text   appender // as nginx prints it
	number appender // as JSON prints it, for what is a number there; nil = the text, quoted
}

// variables is the order of the fields in JSON and of [Variables].
var variables = [...]variable{
	{name: "remote_addr", text: func(dst []byte, r *Record) []byte { return appendAddr(dst, r.RemoteAddr.Addr()) }},
	number("remote_port", appendRemotePort),
	{name: "proxy_protocol_addr", text: func(dst []byte, r *Record) []byte { return appendAddr(dst, r.ProxyProtocolAddr) }},
	{name: "time_local", text: func(dst []byte, r *Record) []byte { return r.Time.AppendFormat(dst, "02/Jan/2006:15:04:05 -0700") }},
	{name: "time_iso8601", text: func(dst []byte, r *Record) []byte { return r.Time.AppendFormat(dst, "2006-01-02T15:04:05-07:00") }},
	{name: "protocol", text: func(dst []byte, _ *Record) []byte { return append(dst, "TCP"...) }},
	number("status", func(dst []byte, r *Record) []byte { return strconv.AppendInt(dst, int64(r.Status), 10) }),
	number("bytes_sent", func(dst []byte, r *Record) []byte { return strconv.AppendUint(dst, r.BytesSent, 10) }),
	number("bytes_received", func(dst []byte, r *Record) []byte { return strconv.AppendUint(dst, r.BytesReceived, 10) }),
	number("session_time", func(dst []byte, r *Record) []byte { return appendSeconds(dst, r.SessionTime) }),
	{name: "upstream_addr", text: appendUpstreamAddrs},
	perAttempt("upstream_bytes_sent", func(r *Record) uint64 { return r.UpstreamBytesSent }),
	perAttempt("upstream_bytes_received", func(r *Record) uint64 { return r.UpstreamBytesReceived }),
	{name: "upstream_connect_time", text: appendConnectTimes, number: appendLastConnectTime},
	{name: "listener", text: func(dst []byte, r *Record) []byte { return append(dst, r.Listener...) }},
	{name: "ssl_protocol", text: func(dst []byte, r *Record) []byte { return append(dst, r.TLSProtocol...) }},
	{name: "ssl_cipher", text: func(dst []byte, r *Record) []byte { return append(dst, r.TLSCipher...) }},
	{name: "ssl_server_name", text: func(dst []byte, r *Record) []byte { return append(dst, r.ServerName...) }},
	{name: "ssl_client_s_dn_cn", text: func(dst []byte, r *Record) []byte { return append(dst, r.ClientCN...) }},
	{name: "mqtt_client_id", text: func(dst []byte, r *Record) []byte { return append(dst, r.MQTTClientID...) }},
	{name: "mqtt_username", text: func(dst []byte, r *Record) []byte { return append(dst, r.MQTTUsername...) }},
	{name: "mqtt_version", text: func(dst []byte, r *Record) []byte { return append(dst, r.MQTTVersion...) }},
	number("mqtt_keepalive", appendKeepalive),
	number("connack_code", appendConnackCode),
	{name: "reason", text: func(dst []byte, r *Record) []byte { return append(dst, r.Reason...) }},
}

// Variables are the names a template may use, without the dollar sign.
func Variables() []string {
	names := make([]string, 0, len(variables))
	for _, v := range variables {
		names = append(names, v.name)
	}
	return names
}

func number(name string, a appender) variable {
	return variable{name: name, text: a, number: a}
}

// perAttempt is a count that nginx prints once for every endpoint tried. Only the last one tried can have moved bytes.
func perAttempt(name string, total func(*Record) uint64) variable {
	return variable{
		name: name,
		text: func(dst []byte, r *Record) []byte {
			for i := range r.Attempts {
				if i < len(r.Attempts)-1 {
					dst = append(dst, "0, "...)
					continue
				}
				dst = strconv.AppendUint(dst, total(r), 10)
			}
			return dst
		},
		number: func(dst []byte, r *Record) []byte {
			if len(r.Attempts) == 0 {
				return dst
			}
			return strconv.AppendUint(dst, total(r), 10)
		},
	}
}

// appendAddr prints an IPv4 client of a dual-stack socket as IPv4, and no zone: it is a name of this host's alone.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return dst
	}
	return a.Unmap().WithZone("").AppendTo(dst)
}

func appendRemotePort(dst []byte, r *Record) []byte {
	if !r.RemoteAddr.IsValid() {
		return dst
	}
	return strconv.AppendUint(dst, uint64(r.RemoteAddr.Port()), 10)
}

func appendUpstreamAddrs(dst []byte, r *Record) []byte {
	for i := range r.Attempts {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, r.Attempts[i].Addr...)
	}
	return dst
}

func appendConnectTimes(dst []byte, r *Record) []byte {
	for i := range r.Attempts {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if r.Attempts[i].Failed {
			dst = append(dst, '-')
			continue
		}
		dst = appendSeconds(dst, r.Attempts[i].ConnectTime)
	}
	return dst
}

// appendLastConnectTime prints the time of the endpoint that served: one field of one type, whatever was tried before.
func appendLastConnectTime(dst []byte, r *Record) []byte {
	n := len(r.Attempts)
	if n == 0 || r.Attempts[n-1].Failed {
		return dst
	}
	return appendSeconds(dst, r.Attempts[n-1].ConnectTime)
}

func appendKeepalive(dst []byte, r *Record) []byte {
	if r.MQTTVersion == "" {
		return dst
	}
	return strconv.AppendUint(dst, uint64(r.MQTTKeepalive), 10)
}

func appendConnackCode(dst []byte, r *Record) []byte {
	if r.ConnackCode < 0 {
		return dst
	}
	return strconv.AppendInt(dst, int64(r.ConnackCode), 10)
}

// appendSeconds prints seconds with three decimals, cut off rather than rounded, as nginx does.
func appendSeconds(dst []byte, d time.Duration) []byte {
	ms := max(d.Milliseconds(), 0)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

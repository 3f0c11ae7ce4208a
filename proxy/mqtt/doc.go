// Package mqtt reads and writes what an edge needs of MQTT: it reads the CONNECT
// packet that opens a client's stream and the CONNACK that answers it, writes
// the CONNACK that refuses a client and the DISCONNECT that ends its stream, and
// follows a stream's packet boundaries in between.
//
// Packets that pass are looked at, never rewritten: what is read is passed on
// byte for byte. MQTT 3.1, 3.1.1 and 5.0 are understood. The checks on CONNECT
// are those whose failure makes a broker drop the connection as malformed; what
// brokers are known to tolerate (a client id that is not UTF-8, a password
// without a user name) is tolerated here. The checks on CONNACK are those without
// which its fields would be a guess.
//
// The package knows nothing of sockets' deadlines, endpoints or configuration.
package mqtt

// Package mqtt reads what an edge needs of MQTT: the CONNECT packet that opens
// a client's stream and the reason code of the CONNACK that answers it.
//
// Packets are looked at, never rewritten: what is read is passed on byte for
// byte. MQTT 3.1, 3.1.1 and 5.0 are understood. The checks are those whose
// failure makes a broker drop the connection as malformed; what brokers are
// known to tolerate (a client id that is not UTF-8, a password without a user
// name) is tolerated here.
//
// The package knows nothing of sockets' deadlines, endpoints or configuration.
package mqtt

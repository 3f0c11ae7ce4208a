// Package e2e holds nothing but tests: the built binary against real sockets, one behaviour a file.
//
// A test starts endpoints ([broker] or a fake that misbehaves), starts mqedge with a configuration in front of them
// (start), and looks at both ends of the connections, at the admin address and at the logs. When the test is over the
// process is told to end, must do so with exit code 0, and must have left nothing behind.
//
// The frame is in main_test.go (the binary), edge_test.go (the process), api_test.go (the admin address),
// device_test.go and paho_test.go (clients), endpoint_test.go (servers) and pki_test.go (certificates).
package e2e

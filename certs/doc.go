// Package certs holds TLS material that can be swapped while in use: what a listener shows and asks of its clients
// ([Store]), and what a dialler shows and asks of an upstream ([ClientStore]).
//
// A store loads all of its files as one, hands out a configuration that crypto/tls may use for as long as it likes, and
// while [Store.Run] runs it loads everything anew when a file changes. New handshakes use the new material, finished
// ones are not touched, and material that does not load never replaces material that did.
//
// # Session tickets
//
// A resumed session skips the certificates, so a ticket must not outlive the rule it was given under. crypto/tls (Go
// 1.26) itself falls back to a full handshake when a certificate is required and the ticket has none, when none is
// wanted and the ticket has one, when the ticket's certificate or its chain expired, and when the chain ends in none of
// today's CAs. It does not do so for a ticket without a certificate where one is only requested, and it
// neither looks at revocations nor calls VerifyPeerCertificate. Therefore ticket keys are bound to the client
// certificate rule (its mode and the CAs): a ticket given under another rule is not readable, and its holder does a full
// handshake. Revocations are checked in VerifyConnection, which every handshake calls, and are no part of that rule,
// so that a new CRL costs nobody a full handshake.
//
// The rule is made of configuration and file contents only, so with [Options].TicketKeysFile all of this holds between
// processes as well. Whoever can read that file can make tickets too, with any client certificate in them: it is
// worth as much as the keys of the client CAs.
//
// The package knows nothing of listeners, configuration files and metrics: callers read [Status].
package certs

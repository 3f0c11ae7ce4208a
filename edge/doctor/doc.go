// Package doctor checks whether a host is fit for a configuration.
//
// [Read] collects facts about the host once, into a [Host]; [Ask] adds what only
// connecting to the endpoints can tell. [Examine] holds the facts against the
// configuration, as a list of checks each of which is a pure function, and
// returns a [Report] with a [Finding] for whatever is wrong: what, why it matters,
// and the command that mends it. So everything but Read and Ask is tested
// without a host.
//
// Nothing of the host is changed. Addresses to listen on are bound for a moment
// without listening, so no client can connect to them. Whether the configuration
// makes sense in itself is for package configs to say.
package doctor

// Package upgrade starts a process that takes the place of this one, and tells that process what it is given: sockets and a
// state that only the two of them understand.
//
// The new process gets, after the standard ones: a pipe with the state, a pipe for its answer, and the sockets. It says on the
// second that it serves, or why it cannot. The first is closed when the old process has let go of what there can be only one of;
// the new one goes on then. Whatever goes wrong before the new process says that it serves changes nothing in the old one.
//
// cloudflare/tableflip is the model. It is not used because sockets here come and go with reloads, an event loop owns them, a
// state goes with them, and a process may be upgraded while the one before it still takes leave of its clients.
package upgrade

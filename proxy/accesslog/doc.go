// Package accesslog writes one line for every client connection that ended.
//
// In order: [Compile] turns the configured format into a [Format]; [Open] opens where the lines go; the end of a
// connection fills a [Record] and hands it to [Log.Log], which formats it into a bounded buffer and never waits;
// [Log.Run] writes the buffer out. What the buffer cannot hold is counted and reported, and traffic goes on.
//
// The package knows nothing of connections, listeners or configuration files, and nothing of metrics: it counts
// ([Log.Written], [Log.Lost]) and others read.
package accesslog

// Package convert is what the importers of other programs' configurations share: the draft of a configuration with the
// place of origin beside each section, the notes about what is not carried over, and the addresses that are taken.
//
// An importer reads a file into its own tree, makes listeners and upstreams of it in a [Draft], tells by [Draft.Note] what
// it leaves out, and ends with [Draft.Finish], which prints the result and checks it as mqedge itself would. The package
// knows nothing of the languages that are imported.
package convert

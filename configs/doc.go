// Package configs is the file format of mqedge: its keys, their defaults, what is checked about them, the reference
// file mqedge.yaml and the examples.
//
// A file goes through three steps, and every step reports all it finds, each with file, line, column and key:
//
//  1. load: the bytes are bounded, valid text and one YAML document whose aliases are resolved
//  2. decode: the document is laid over the Go types of config.go, which hold the defaults; ${…} is expanded
//  3. check: what no single key can tell: references, addresses taken twice, files on disk
//
// The tags of the types in config.go are the only description of the format; decoding, printing and the JSON Schema
// all read them, and what go generate writes is made of them: mqedge.schema.json and docs/reference.md. The package knows
// nothing of running code: nothing here listens, dials or watches.
package configs

//go:generate sh -c "go run ../cmd/mqedge schema > mqedge.schema.json && go run ../cmd/mqedge schema --markdown > ../docs/reference.md"

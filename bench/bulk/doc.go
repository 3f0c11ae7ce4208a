// Package bulk is the large traffic of the benchmark. Both ends know it byte for byte, so that what arrives can be compared
// as it comes, without being parsed. A client asks for it with a PUBLISH to Topic that says how much goes which way; what
// follows are PUBLISH packets of a mebibyte, and, when they went up, a PUBLISH to Topic that all of them arrived. The package
// knows nothing of what lies between the ends.
package bulk

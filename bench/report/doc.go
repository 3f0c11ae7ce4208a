// Package report holds what a benchmark measured and turns it into tables and a picture. It knows nothing of how it was measured.
package report

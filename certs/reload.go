package certs

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pollInterval = 500 * time.Millisecond

	// retryInterval is how long a broken state waits for what no change of a file announces, like a lack of file
	// descriptors that is over or a changed owner.
	retryInterval = time.Minute
)

// reloader keeps what load returned last without an error, and calls it again when a file changes.
//
// Files are polled instead of watched by inotify: what has to be noticed is that a path leads to something else, and
// Kubernetes changes that by renaming a symlink on the way to the file, whereas inotify watches inodes. It would need a
// watch on each directory of each link, set up anew and without a gap after each change, and still be silent on network
// file systems and on single files mounted into a container. A stat costs about a microsecond and is right everywhere.
type reloader[M any] struct {
	name  string
	log   *slog.Logger
	files []string
	load  func() (*M, error)
	poll  time.Duration

	current atomic.Pointer[M]
	tried   fingerprint // of the files at the last load; only touched by newReloader and run

	mu       sync.Mutex
	loadedAt time.Time
	broken   error // what the last load said
	since    time.Time
}

func newReloader[M any](name string, log *slog.Logger, files []string, load func() (*M, error)) (*reloader[M], error) {
	r := &reloader[M]{name: name, log: log, load: load, poll: pollInterval}
	for _, file := range files {
		if file != "" {
			r.files = append(r.files, file)
		}
	}
	r.tried = identify(r.files)
	loaded, err := load()
	if err != nil {
		return nil, err
	}
	r.current.Store(loaded)
	r.loadedAt = time.Now()
	return r, nil
}

// run polls until ctx ends, and calls each after every poll.
func (r *reloader[M]) run(ctx context.Context, each func(now time.Time)) {
	ticker := time.NewTicker(r.poll)
	defer ticker.Stop()
	before := r.tried
	triedAt := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		seen := identify(r.files)
		still := seen.same(before) // otherwise somebody may be in the midst of writing several files
		before = seen
		retry := r.failure() != nil && now.Sub(triedAt) >= retryInterval
		if still && (retry || !seen.same(r.tried)) {
			r.tried, triedAt = seen, now // not as they are after loading: a change meanwhile is the next one
			r.reload()
		}
		each(now)
	}
}

func (r *reloader[M]) reload() {
	loaded, err := r.load()
	before := r.failure()
	if err != nil {
		if before == nil || before.Error() != err.Error() {
			r.log.Error("changed TLS files cannot be used, the old ones stay in use", "name", r.name, "error", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.broken = err
		if before == nil {
			r.since = time.Now()
		}
		return
	}
	r.current.Store(loaded)
	r.mu.Lock()
	r.broken, r.since, r.loadedAt = nil, time.Time{}, time.Now()
	r.mu.Unlock()
	if before != nil {
		r.log.Info("TLS files are good again and in use", "name", r.name)
	} else {
		r.log.Info("changed TLS files are in use", "name", r.name)
	}
}

func (r *reloader[M]) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// complete fills in what the reloader knows.
func (r *reloader[M]) complete(s *Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Name, s.LoadedAt, s.ErrorSince = r.name, r.loadedAt, r.since
	if r.broken != nil {
		s.Error = r.broken.Error()
	}
}

// fingerprint tells states of files apart; nil stands for a file that is not there.
type fingerprint []os.FileInfo

// identify follows symlinks.
func identify(files []string) fingerprint {
	f := make(fingerprint, len(files))
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			f[i] = info
		}
	}
	return f
}

// same compares device, inode, size, time of modification and, since a permission may be what was missing, mode.
func (f fingerprint) same(other fingerprint) bool {
	for i, a := range f {
		b := other[i]
		if a == nil && b == nil {
			continue
		}
		if a == nil || b == nil || !os.SameFile(a, b) ||
			a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) || a.Mode() != b.Mode() {
			return false
		}
	}
	return true
}

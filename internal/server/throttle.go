package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const saveThrottleEvery = time.Minute

// restoreThrottle takes up the counts of failed logins where the last run left
// them, so that a restart gives nobody new guesses (S99). Without the file, or
// with one that cannot be read, counting begins anew.
func (s *Server) restoreThrottle() {
	if s.opts.ThrottleFile == "" {
		return
	}
	snapshot, err := os.ReadFile(s.opts.ThrottleFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = s.throttle.Restore(snapshot)
	}
	if err != nil {
		s.log.Warn("the counts of failed logins could not be taken up", "err", err)
	}
}

// saveThrottle stores the counts now and then, and once more when ctx ends.
func (s *Server) saveThrottle(ctx context.Context) {
	if s.opts.ThrottleFile == "" {
		return
	}
	tick := time.NewTicker(saveThrottleEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		if err := replaceFile(s.opts.ThrottleFile, s.throttle.Snapshot()); err != nil {
			s.log.Warn("the counts of failed logins could not be stored", "err", err)
		}
	}
}

// replaceFile writes a file, readable by its owner alone, whole or not at all.
func replaceFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(content); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

package devs3

import (
	"context"
	"log/slog"
	"time"
)

const (
	watchInterval = time.Second
	// watchShare bounds what watching a large folder costs: the pause is at
	// least this many times as long as the look.
	watchShare = 20
	// recent is how old a file may be to be told when watching begins.
	recent = 10 * time.Second
)

// watch looks for files that were put into the folder or taken from it by hand,
// while somebody listens.
func (s *Server) watch(ctx context.Context) {
	known := map[string]map[string]time.Time{}
	timer := time.NewTimer(watchInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := time.Now()
		known = s.look(known)
		timer.Reset(max(watchInterval, watchShare*time.Since(start)))
	}
}

func (s *Server) look(before map[string]map[string]time.Time) map[string]map[string]time.Time {
	now := map[string]map[string]time.Time{}
	for bucket := range s.hub.buckets() {
		records, err := s.folder.walk(bucket, "")
		if err != nil {
			s.logger.Debug("the folder cannot be watched", slog.String("bucket", bucket), slog.Any("error", err))
			continue
		}
		now[bucket] = s.tell(bucket, records, before[bucket])
	}
	return now
}

// tell publishes the foreign files that are not known and what is gone, and
// returns all that is there.
func (s *Server) tell(bucket string, records []record, known map[string]time.Time) map[string]time.Time {
	now := make(map[string]time.Time)
	for _, r := range records {
		now[r.Key] = r.Modified
		before, ok := known[r.Key]
		first := known == nil && s.folder.now().Sub(r.Modified) > recent
		if r.foreign && !first && (!ok || !before.Equal(r.Modified)) {
			s.hub.publish(bucket, r)
		}
	}
	for key, modified := range known {
		if _, there := now[key]; !there {
			s.hub.publish(bucket, record{Key: key, Modified: modified, gone: true})
		}
	}
	return now
}

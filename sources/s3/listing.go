package s3

import (
	"context"
	"log/slog"
	"time"
)

// listShare is how many times as long as a listing the pause after it is, where
// listings stand in for notifications.
const listShare = 20

// A page is one step of a listing: its beginning, a part of its objects, or
// its end.
type page struct {
	begins bool
	bucket versioning
	clock  time.Time     // the server's, at the beginning
	ahead  time.Duration // of this machine's clock
	view   view
	ends   bool
	err    error // with ends
}

// list starts a listing, or has another follow the one under way, which may
// have passed already what there is to find.
func (r *run) list(ctx context.Context) {
	if r.pages != nil {
		r.again = true
		return
	}
	r.again = false
	r.started = time.Now()
	r.pages = make(chan page)
	pages := r.pages
	r.workers.Go(func() { r.scan(ctx, pages) })
}

// listSoon has a listing follow.
func (r *run) listSoon() {
	if r.pages != nil {
		r.again = true
		return
	}
	r.next.Reset(0)
}

// scan reads the listing, a page ahead of who compares it.
func (r *run) scan(ctx context.Context, pages chan<- page) {
	send := func(p page) bool {
		select {
		case <-ctx.Done():
			return false
		case pages <- p:
			return true
		}
	}
	err := r.scanPages(ctx, send)
	send(page{ends: true, err: err})
}

func (r *run) scanPages(ctx context.Context, send func(page) bool) error {
	bucket, err := r.server.versioning(ctx)
	if err != nil {
		return err
	}
	clock, ok := r.server.transport.serverTime()
	now := r.env.Now()
	if !ok {
		clock = now
	}
	if !send(page{begins: true, bucket: bucket, clock: clock, ahead: clock.Sub(now)}) {
		return ctx.Err()
	}
	return r.scanObjects(ctx, bucket, send)
}

// scanObjects sends the objects in views of about a thousand, none of which
// ends within the versions of a key.
func (r *run) scanObjects(ctx context.Context, bucket versioning, send func(page) bool) error {
	v := view{listing: true}
	flush := func(to string) bool {
		v.to, v.at = to, r.env.Now()
		sent := send(page{view: v})
		v = view{from: to, listing: true}
		return sent
	}
	err := r.server.list(ctx, bucket, r.cfg.Prefix, func(o object) bool {
		if !r.server.wants(o.key) {
			return true
		}
		n := len(v.objects)
		if n >= pageObjects && v.objects[n-1].key != o.key && !flush(v.objects[n-1].key+"\x00") {
			return false
		}
		v.objects = append(v.objects, o)
		return true
	})
	if err == nil {
		flush(endKey)
	}
	return err
}

// page compares one page with what is known.
func (r *run) page(ctx context.Context, p page) error {
	switch {
	case p.begins:
		r.listingBegins(p)
		return nil
	case p.ends:
		return r.listingEnds(ctx, p.err)
	}
	return r.compare(ctx, p.view)
}

func (r *run) listingBegins(p page) {
	r.bucket, r.began = p.bucket, p.clock
	r.memory.adjust(p.ahead)
	r.memory.beginListing(p.bucket == hidden)
	r.ready = true
}

func (r *run) listingEnds(ctx context.Context, err error) error {
	r.pages = nil
	if err != nil {
		r.memory.abandonListing()
		r.listError = r.server.explain(err)
		r.report()
		r.next.Reset(min(r.pause.NextBackOff(), time.Duration(r.cfg.Interval)))
		return nil
	}
	if err := r.persist(ctx, func() error { return r.memory.endListing(ctx, r.began) }); err != nil {
		return err
	}
	r.listError = nil
	r.report()
	r.pause.Reset()
	r.logger().Debug("the bucket is listed", slog.Int("objects", r.memory.objects()))
	r.next.Reset(r.untilNext())
	return nil
}

// untilNext returns the pause before the next listing. Where notifications are
// held back it is as short as makes listing a small part of the time.
func (r *run) untilNext() time.Duration {
	interval := time.Duration(r.cfg.Interval)
	switch {
	case r.again:
		return 0
	case r.held.Load():
		return min(interval, max(minInterval, listShare*time.Since(r.started)))
	}
	return interval
}

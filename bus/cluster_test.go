package bus

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/event"
	"sluice/integration/freeport"
)

// serveCluster runs three servers as one cluster, and returns their URLs.
func serveCluster(t *testing.T) string {
	t.Helper()
	const servers = 3
	routes, ports := make([]*url.URL, servers), make([]int, servers)
	for i := range servers {
		ports[i] = freeport.Port(t)
		routes[i] = &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])}
	}
	urls := make([]string, servers)
	for i := range servers {
		urls[i] = serve(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i)
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}
			o.Routes = routes
		})
	}
	return strings.Join(urls, ",")
}

// What one server does, three do: duplicates, fences, records and snapshots.
func TestReplicated(t *testing.T) {
	o := far(serveCluster(t))
	o.Replicas, o.ConnectWithin = 3, 30*time.Second
	b := open(t, o)
	for range 3 {
		check(t, b.Healthy(limited(t)))
	}
	out := b.Source("s3")
	check(t, out.Publish(limited(t), sample("e-1"), sample("e-3")))
	check(t, out.Publish(limited(t), samples("e", 2)...))
	check(t, out.PublishAt(limited(t), "0", []byte("a"), append(samples("e", 5), sample("e-0"), sample("e-4"))...))
	equal(t, "ids", fmt.Sprint(ids(t, b)), "[e-1 e-3 e-0 e-2 e-4]")
	check(t, out.Publish(limited(t), samples("many", 2*minOnDisk)...))
	check(t, out.Publish(limited(t), samples("many", 3*minOnDisk)...))
	equal(t, "events", len(ids(t, b)), 5+3*minOnDisk)

	stale := b.Source("s3")
	must(stale.Cursor(limited(t), "0"))(t)
	check(t, out.PublishAt(limited(t), "0", []byte("b")))
	if err := stale.PublishAt(limited(t), "0", []byte("c"), sample("lost")); !errors.Is(err, event.ErrFenced) {
		t.Errorf("the stale writer: %v", err)
	}
	last := must(b.AppendRecord(limited(t), "c", 0, []byte("1")))(t)
	_, last, err := b.AppendSnapshot(limited(t), "c", last, [][]byte{[]byte("2"), []byte("3")})
	check(t, err)
	must(b.AppendRecord(limited(t), "c", last, []byte("4")))(t)
	check(t, b.Healthy(limited(t)))
}

// Large data is kept three times too: stored as one write, read from any of the
// servers, and swept.
func TestReplicatedObjects(t *testing.T) {
	o := far(serveCluster(t))
	o.Replicas, o.ConnectWithin, o.MaxEventSize = 3, 30*time.Second, 16<<20
	b := open(t, o)
	clock := &movedClock{at: time.Now()}
	b.objects.now = clock.now
	var group sync.WaitGroup
	for n := range 6 {
		group.Go(func() {
			e := large(strconv.Itoa(n), (n+1)<<20)
			if err := errors.Join(b.Source("web").Publish(limited(t), e), b.Source("web").Publish(limited(t), e)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, e := range logged(t, b) {
		n, _ := strconv.Atoi(e.Event.ID)
		data := must(b.Body(limited(t), e.Event.Large))(t)
		equal(t, "the data is the same", bytes.Equal(data, large(e.Event.ID, (n+1)<<20).Data), true)
	}
	equal(t, "objects", len(objectsOf(t, b)), 6)
	clock.later()
	equal(t, "swept", must(sweeping(b, JanitorOptions{MaxAge: forever, Line: line(4, 0)}).Pass(limited(t)))(t).Objects, 3)
	for _, e := range logged(t, b) {
		must(b.Body(limited(t), e.Event.Large))(t)
	}
}

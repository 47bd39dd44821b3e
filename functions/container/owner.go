package container

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/moby/moby/client"
)

// The labels of our containers. An engine may serve several sluices, and each
// has to tell its own containers, those of others that run, and those that
// were left behind by a sluice that was killed.
const (
	labelFunction = "sluice.function"  // the name of the function
	labelOwner    = "sluice.owner"     // the name of an owner
	labelNetwork  = "sluice.namespace" // the network namespace in which that name is meant
)

// An owner shows to other processes that this one runs: it holds the name of an
// abstract unix socket (unix(7)), which the kernel frees when the process ends
// in whatever way. Nobody is ever served on it.
type owner struct {
	listener  net.Listener
	name      string
	namespace string
}

func newOwner() (*owner, error) {
	namespace, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("containers as workers need Linux: %w", err)
	}
	name := "sluice-" + uuid.NewString()
	l, err := claim(name)
	if err != nil {
		return nil, fmt.Errorf("claiming the name of this process for its containers: %w", err)
	}
	return &owner{listener: l, name: name, namespace: namespace}, nil
}

// claim takes a name that no process of this network namespace holds.
func claim(name string) (net.Listener, error) {
	return net.Listen("unix", "@"+name) //nolint:noctx // it does not block
}

// Close lets the name go.
func (o *owner) Close() error { return o.listener.Close() }

func (o *owner) labels(function string) map[string]string {
	return map[string]string{labelFunction: function, labelOwner: o.name, labelNetwork: o.namespace}
}

// left tells whether the labels are those of a container whose sluice has
// ended. Of one from another network namespace that cannot be known.
func (o *owner) left(labels map[string]string) bool {
	name := labels[labelOwner]
	if labels[labelNetwork] != o.namespace || !strings.HasPrefix(name, "sluice-") {
		return false
	}
	l, err := claim(name)
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// Sweep removes the containers that were left behind by a sluice that ended
// without removing them, and returns how many. Those of a sluice that runs are
// left alone.
func (e *Engine) Sweep(ctx context.Context) (int, error) {
	ours := client.Filters{}.Add("label", labelOwner)
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return 0, fmt.Errorf("listing the containers that were left behind: %w", err)
	}
	removed := 0
	for _, c := range list.Items {
		if !e.owner.left(c.Labels) {
			continue
		}
		if err := e.discard(ctx, c.ID); err != nil {
			return removed, fmt.Errorf("removing a container that was left behind: %w", err)
		}
		removed++
	}
	return removed, nil
}

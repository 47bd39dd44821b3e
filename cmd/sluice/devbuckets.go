package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"sluice/cmd/sluice/internal/devs3"
	"sluice/config"
	sources3 "sluice/sources/s3"
)

// dialTimeout is how long something may take to answer at an endpoint.
const dialTimeout = 500 * time.Millisecond

// devBuckets are the bucket endpoints of "sluice dev".
type devBuckets struct {
	logger *slog.Logger
	off    bool
	served []*devEndpoint
	others []string // addresses where something else listens
}

// A devEndpoint is one address that is served from a folder.
type devEndpoint struct {
	address, dir string
	buckets      []string
	stop         func()
}

// An endpointPlan is what a file asks for at one address.
type endpointPlan struct {
	address string
	buckets []string
}

// planEndpoints returns the endpoints on this machine that the s3 sources of a
// file name, in the order of the file.
func planEndpoints(file *config.File) []endpointPlan {
	var plans []endpointPlan
	for _, source := range file.Sources {
		section, ok := source.Section.(*sources3.Config)
		if !ok {
			continue
		}
		address, local := localEndpoint(section.Endpoint)
		if !local {
			continue
		}
		at := slices.IndexFunc(plans, func(p endpointPlan) bool { return p.address == address })
		if at < 0 {
			plans = append(plans, endpointPlan{address: address})
			at = len(plans) - 1
		}
		if !slices.Contains(plans[at].buckets, section.Bucket) {
			plans[at].buckets = append(plans[at].buckets, section.Bucket)
		}
	}
	return plans
}

// localEndpoint returns the address of an endpoint on this machine without TLS.
func localEndpoint(endpoint string) (address string, local bool) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" {
		return "", false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "", false
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port), true
}

// serve serves the endpoints of a file where nothing listens yet.
func (b *devBuckets) serve(ctx context.Context, file *config.File) error {
	if b.off {
		return nil
	}
	for _, plan := range planEndpoints(file) {
		if b.serves(plan) {
			continue
		}
		b.end(plan.address) // its buckets have changed
		if listens(ctx, plan.address) {
			b.others = append(b.others, plan.address)
			continue
		}
		_, port, _ := net.SplitHostPort(plan.address)
		endpoint := &devEndpoint{address: plan.address, buckets: plan.buckets, dir: filepath.Join(bucketRoot(file), "s3-"+port)}
		server, err := devs3.New(ctx, devs3.Options{
			Dir: endpoint.dir, Listen: plan.address, Buckets: plan.buckets, Logger: b.logger,
		})
		if err != nil {
			return fmt.Errorf("serving the buckets at %s: %w", plan.address, err)
		}
		endpoint.stop = background(ctx, func(ctx context.Context) {
			if err := server.Run(ctx); err != nil {
				b.logger.Error("the bucket endpoint has failed", slog.String("address", plan.address), slog.Any("error", err))
			}
		})
		b.served = append(b.served, endpoint)
	}
	return nil
}

// bucketRoot is the folder that holds the folders of the endpoints.
func bucketRoot(file *config.File) string {
	if file.Bus.Dir != "" {
		return file.Bus.Dir
	}
	return filepath.Join(file.Dir, "data")
}

// serves tells whether a plan is served already, with all its buckets.
func (b *devBuckets) serves(plan endpointPlan) bool {
	return slices.ContainsFunc(b.served, func(e *devEndpoint) bool {
		return e.address == plan.address && !slices.ContainsFunc(plan.buckets, func(bucket string) bool { return !slices.Contains(e.buckets, bucket) })
	})
}

// end stops serving an address, to begin anew with other buckets.
func (b *devBuckets) end(address string) {
	b.served = slices.DeleteFunc(b.served, func(e *devEndpoint) bool {
		if e.address == address {
			e.stop()
		}
		return e.address == address
	})
}

func (b *devBuckets) stop() {
	for _, endpoint := range b.served {
		endpoint.stop()
	}
	b.served = nil
}

// listens tells whether something answers at an address.
func listens(ctx context.Context, address string) bool {
	dialer := net.Dialer{Timeout: dialTimeout}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

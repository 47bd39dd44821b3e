//go:build integration && linux

package engine

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// A Registry has one image, of any name and tag (OCI distribution
// specification 1.1, "Pull"). It is on the loopback interface, where engines do
// without TLS.
type Registry struct {
	// Host is its host and port, the first part of its image's names.
	Host string

	pulls    atomic.Int64
	blobs    map[string][]byte // by digest
	image    []byte            // the manifest
	settings string            // the digest of its configuration
}

const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// NewRegistry serves an image of one program until the test ends.
func NewRegistry(tb testing.TB, program string) *Registry {
	tb.Helper()
	r := &Registry{blobs: map[string][]byte{}}
	content := r.add(typeLayer, layer(tb, program).Bytes())
	settings := r.add(typeConfig, text(tb, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Entrypoint": []string{"/bootstrap"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{content.Digest}},
	}))
	r.settings = settings.Digest
	r.image = text(tb, map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": settings, "layers": []descriptor{content},
	})
	server := httptest.NewServer(r)
	tb.Cleanup(server.Close)
	r.Host = strings.TrimPrefix(server.URL, "http://")
	return r
}

func (r *Registry) add(kind string, blob []byte) descriptor {
	d := descriptor{kind, digest(blob), len(blob)}
	r.blobs[d.Digest] = blob
	return d
}

func text(tb testing.TB, of any) []byte {
	tb.Helper()
	data, err := json.Marshal(of)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func digest(blob []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(blob)) }

// Pulls is how often its image was pulled.
func (r *Registry) Pulls() int { return int(r.pulls.Load()) }

// ServeHTTP answers what an engine asks to pull the image.
func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	at := strings.LastIndexByte(request.URL.Path, '/')
	name := request.URL.Path[at+1:]
	switch blob, found := r.blobs[name]; {
	case request.URL.Path == "/v2/":
	case strings.HasSuffix(request.URL.Path[:at], "/manifests"):
		w.Header().Set("Content-Type", typeManifest)
		w.Header().Set("Docker-Content-Digest", digest(r.image))
		_, _ = w.Write(r.image)
	case found:
		if name == r.settings { // layers may be there already
			r.pulls.Add(1)
		}
		_, _ = w.Write(blob)
	default:
		http.NotFound(w, request)
	}
}

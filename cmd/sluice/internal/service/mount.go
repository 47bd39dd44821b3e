package service

import (
	"net/http"
	"sync"

	sourcehttp "sluice/sources/http"
)

// A mount is the ingest server as one source sees it. It knows whether the
// source takes requests, so that the listener is opened for them only when all
// have mounted their paths.
type mount struct {
	server *sourcehttp.Server

	mu      sync.Mutex
	wants   bool
	once    sync.Once
	mounted chan struct{}
}

func newMount(server *sourcehttp.Server) *mount {
	return &mount{server: server, mounted: make(chan struct{})}
}

// Permit is asked by sources that will mount a path.
func (m *mount) Permit(source string, authenticated bool) error {
	m.mu.Lock()
	m.wants = true
	m.mu.Unlock()
	return m.server.Permit(source, authenticated)
}

// Handle is for sources.Mux.
func (m *mount) Handle(source, path string, handler http.Handler) (remove func(), err error) {
	remove, err = m.server.Handle(source, path, handler)
	if err == nil {
		m.settled()
	}
	return remove, err
}

// settled says that waiting for the source is over.
func (m *mount) settled() { m.once.Do(func() { close(m.mounted) }) }

// pending is closed when the source need not be waited for; it is nil when it
// mounts nothing.
func (m *mount) pending() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.wants {
		return nil
	}
	return m.mounted
}

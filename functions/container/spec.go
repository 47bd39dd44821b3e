package container

import (
	"maps"
	"slices"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// The limits of the service, where engines have others or none.
const (
	maxPIDs  = 1024 // processes and threads
	maxFiles = 1024 // open files of a process
	tmp      = "rw,exec,nosuid,nodev,mode=1777,size=536870912"
)

// A Spec says what the containers of a function are made of. Of what is not set
// the image's own holds.
type Spec struct {
	Function   string // its name
	Image      string // its name: [registry/]name[:tag][@digest]
	Entrypoint []string
	Command    []string
	WorkingDir string
	User       string // name or uid, optionally with :group, in the words of the image
	// Memory in bytes is the limit of all processes, of their files in /tmp and of
	// what the kernel holds for them. Nothing is swapped.
	Memory int64
	// Env goes before the image's.
	Env map[string]string
}

// create asks for no more than a function needs.
func (e *Engine) create(s Spec) client.ContainerCreateOptions {
	pids := int64(maxPIDs)
	return client.ContainerCreateOptions{
		Name: name(s.Function),
		Config: &api.Config{
			Image: s.Image, Entrypoint: s.Entrypoint, Cmd: s.Command, WorkingDir: s.WorkingDir, User: s.User,
			Env: environ(s.Env), Labels: e.owner.labels(s.Function),
			AttachStdout: true, AttachStderr: true,
		},
		HostConfig: &api.HostConfig{
			NetworkMode: "host", AutoRemove: true,
			ReadonlyRootfs: true, Tmpfs: map[string]string{"/tmp": tmp},
			CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
			LogConfig: api.LogConfig{Type: "none"}, // else the engine keeps a log without a bound
			Resources: api.Resources{
				Memory: s.Memory, MemorySwap: s.Memory, PidsLimit: &pids,
				Ulimits: []*api.Ulimit{{Name: "nofile", Soft: maxFiles, Hard: maxFiles}, {Name: "core"}},
			},
		},
	}
}

func environ(env map[string]string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		all = append(all, key+"="+env[key])
	}
	return all
}

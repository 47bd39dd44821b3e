// Package container runs the workers of a function as containers of an image,
// by an engine on this machine that speaks Docker's API (Docker, Podman) over
// its unix socket.
//
// A container gets as little as a function needs, and what the service gives: a
// root file system that cannot be written, 512 MiB in /tmp, 1,024 open files and
// as many processes, no capabilities and no way to new ones. It shares the
// host's network, so that the Runtime API stays on the loopback interface and a
// function reaches what it reaches as a process.
package container

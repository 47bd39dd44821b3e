// Package engine runs real container engines for tests, which carry the build
// tag integration: Docker's and Podman's, as Debian packages them. Both keep
// their data in a folder of the test, and change nothing of the machine's
// network.
package engine

// Package mosquitto runs a real Mosquitto for tests, which carry the build tag
// integration: Debian's package, on free ports, with a folder and a password file
// of its own.
package mosquitto

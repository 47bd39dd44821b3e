// Package container runs functions as containers of real engines, in tests
// which carry the build tag integration.
package container

package kafka

import (
	"testing"

	"sluice/sources/sourcetest"
)

// The suite with offsets in the group; integration/kafka has it with cursors, and
// with kills.
func TestExercise(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{Start: upstream(func(c *Config) { c.Group, c.Offsets = "sluice", ByGroup })})
}

package kafka

import (
	"testing"

	"sluice/sources/sourcetest"
)

func TestExercise(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"cursor":          func(*Config) {},
		"cursor in group": func(c *Config) { c.Group = "sluice" },
		"group":           func(c *Config) { c.Group, c.Offsets = "sluice", ByGroup },
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Exercise(t, sourcetest.Fixture{Start: upstream(change)})
		})
	}
}

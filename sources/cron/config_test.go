package cron

import (
	"math"
	"strings"
	"testing"
	"time"

	"sluice/sources/sourcetest"
)

func TestConfigDefaults(t *testing.T) {
	section := Adapter(NewScheduler(time.Now)).Config().(*Config)
	if section.Type != "cron.tick" || section.Timezone != "" || section.Data != nil {
		t.Errorf("the defaults are %+v", section)
	}
	section.Schedule = "@daily"
	if err := section.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no schedule", func(c *Config) { c.Schedule = "" }, "schedule: the schedule is empty: " + wantFields},
		{
			"two fields at once", func(c *Config) { c.Schedule = "60 24 * * *" },
			"schedule: minute \"60\": 60 is above 59: write 0 to 59\nschedule: hour \"24\": 24 is above 23: write 0 to 23",
		},
		{"unknown zone", func(c *Config) { c.Timezone = "Mars" }, `timezone: unknown time zone "Mars": ` + wantZone},
		{
			"two zones", func(c *Config) { c.Schedule, c.Timezone = "TZ=Asia/Tokyo @daily", "Europe/Berlin" },
			`timezone: the schedule says "Asia/Tokyo" already, and this says "Europe/Berlin": remove one of them`,
		},
		{"no type", func(c *Config) { c.Type = "" }, "type: it is empty: write a type such as cron.tick"},
		{"control character", func(c *Config) { c.Type = "a\x00" }, `type: "a\x00" has a character that no type may have: write one such as cron.tick`},
		{"data beyond JSON", func(c *Config) { c.Data = math.NaN() }, "data: it cannot be written as JSON: json: unsupported value: NaN"},
		{"large data", func(c *Config) { c.Data = strings.Repeat("x", maxData) }, "data: it is 262146 bytes long as JSON: at most 262144 are allowed"},
		{
			"several", func(c *Config) { c.Schedule, c.Timezone, c.Type = "@never", "Local", "" },
			`schedule: unknown name "@never": ` + wantDescriptors + "\ntimezone: \"Local\" is not a time zone: " + wantZone + "\ntype: it is empty: write a type such as cron.tick",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			section := Adapter(NewScheduler(time.Now)).Config().(*Config)
			section.Schedule = "0 3 * * *"
			test.change(section)
			if err := section.Validate(); err == nil || err.Error() != test.want {
				t.Errorf("\n got %v\nwant %s", err, test.want)
			}
			if _, err := section.Source(sourcetest.Env("a", nil)); err == nil {
				t.Error("a source was built")
			}
		})
	}
}

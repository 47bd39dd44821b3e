package cron

import "testing"

func TestNote(t *testing.T) {
	const berlin = "Europe/Berlin"
	for _, test := range []struct{ expression, zone, tick, want string }{
		{"30 2 * * *", berlin, "2026-03-29T03:00:00+02:00", "for 02:30, which is skipped: the clock goes forward from 02:00 to 03:00"},
		{"30 2 * * *", berlin, "2026-03-30T02:30:00+02:00", ""},
		{"0 3 * * *", berlin, "2026-03-29T03:00:00+02:00", ""},
		{"0 0-23 * * *", berlin, "2026-03-29T03:00:00+02:00", "for 02:00, which is skipped: the clock goes forward from 02:00 to 03:00"},
		{"0 0-23 * * *", berlin, "2026-03-29T04:00:00+02:00", ""},
		{"30 2 * * *", berlin, "2026-10-25T02:30:00+02:00", "02:30 comes twice, as the clock goes back by 1h: it fires the first time only"},
		{"0 3 * * *", berlin, "2026-10-25T03:00:00+01:00", ""},
		{"*/30 * * * *", berlin, "2026-03-29T03:00:00+02:00", "the clock goes forward from 02:00 to 03:00"},
		{"*/30 * * * *", berlin, "2026-03-29T03:30:00+02:00", ""},
		{"*/30 * * * *", berlin, "2026-10-25T02:30:00+02:00", "02:30 for the first time of two: the clock goes back by 1h"},
		{"*/30 * * * *", berlin, "2026-10-25T02:30:00+01:00", "02:30 for the second time: the clock has gone back by 1h"},
		{"*/30 * * * *", berlin, "2026-10-25T03:00:00+01:00", ""},
		{"*/30 * * * *", berlin, "2026-10-25T01:30:00+02:00", ""},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-04T02:30:00+11:00", "for 02:15, which is skipped: the clock goes forward from 02:00 to 02:30"},
		{"0 12 * * *", "Pacific/Apia", "2011-12-31T00:00:00+14:00", "for 12:00, which is skipped: the clock goes forward from 2011-12-30 00:00 to 2011-12-31 00:00"},
		{"@every 1h", berlin, "2026-03-29T03:00:00+02:00", ""},
		{"@hourly", "UTC", "2026-03-29T03:00:00Z", ""},
	} {
		if got := mustParse(t, test.expression, test.zone).Note(mustTime(t, test.tick)); got != test.want {
			t.Errorf("%s in %s at %s:\n got %q\nwant %q", test.expression, test.zone, test.tick, got, test.want)
		}
	}
}

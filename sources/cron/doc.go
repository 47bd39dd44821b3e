// Package cron is the source that publishes an event at every tick of a
// schedule. It reads the expressions of robfig/cron/v3 (its parser is used) and
// has a next-tick rule of its own, which is right over daylight saving.
//
// # Expressions
//
// Five fields, or six with the seconds first:
//
//	[second 0-59] minute 0-59 hour 0-23 day-of-month 1-31 month 1-12|JAN-DEC day-of-week 0-6|SUN-SAT
//
// A field is *, ?, a value, a range a-b, any of these with a step (*/n, a-b/n,
// a/n for "from a to the end"), or a list of them. Besides there are @yearly
// (@annually), @monthly, @weekly, @daily (@midnight), @hourly, and @every with a
// duration in whole seconds. A prefix CRON_TZ=Zone or TZ=Zone names the zone.
//
// When day-of-month and day-of-week are both restricted, either of them is
// enough (crontab(5)); a field counts as unrestricted when it has *, ?, */1 or
// ?/1 among its list. An expression that can never fire, such as the 30th of
// February, is refused.
//
// Amazon's forms are cron(…) with six fields and the year, rate(…) and at(…), by
// the user guide of EventBridge Scheduler ("Schedule types").
//
// # Daylight saving
//
// Jobs are told apart as cron(8) of Debian does: a schedule whose minute or hour
// field begins with * (or ?) is an interval job, and so is @hourly; every other
// one is a fixed-time job.
//
//   - An interval job ticks whenever the wall clock shows a time that matches. It
//     goes on through the repeated hour, in both passes, and knows nothing of the
//     skipped one: */10 * * * * ticks every ten minutes of real time across both
//     edges. It follows that "*/10 2 * * *" has no tick on a day without a 02:00
//     hour, and twice as many on a day that has two of them.
//
//   - A fixed-time job ticks once for each time that it names. A time that is
//     skipped ticks at the first instant after the gap; several that fall into one
//     gap, or onto its end, are one tick. A time that is repeated ticks at its
//     first occurrence.
//
//   - @every counts real time. Its ticks are the multiples of the interval since
//     1970-01-01T00:00:00Z, so that they follow from the schedule and not from
//     when the process started: @every 24h ticks at midnight UTC.
//
//   - cron(…) ticks at the first occurrence of a time, and not at all when it is
//     skipped. rate(…) counts real time from its first start, or from Start.
//
// This holds for any change of a zone's offset: shifts of half an hour, at
// midnight, of a whole day, or of standard time. (Debian's cron treats changes of
// three hours and more as corrections of the clock; here they are changes of the
// zone, and nothing is lost.)
//
// # Ticks and events
//
// An event's id is the source's name and the tick in UTC, so that the same tick
// is the same event however often it is published. It is stored in one batch with
// the source's cursor, which says up to when the schedule has fired.
//
// The first start begins at that moment, and so does a start with a changed
// schedule or zone. A tick is published when it is noticed within [Grace] of its
// time: a kill and restart on a tick loses nothing. What becomes of ticks that
// passed longer ago, because the process was down, the machine slept or the clock
// was set forward, is said by [CatchUp]. A tick that was noticed in time but
// cannot be published is retried until it is, or until a newer tick has come and
// it is too old. A clock that is set back repeats nothing: the schedule goes on
// behind the last tick that has fired.
package cron

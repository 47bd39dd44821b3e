package main

import (
	"fmt"
	"io"
	"time"

	"sluice/cmd/sluice/internal/admin"
	"sluice/router/core"
)

// printHolds says what holds deliveries of triggers back.
func printHolds(w io.Writer, all []admin.Trigger, now time.Time) {
	for i := range all {
		if len(all[i].Held) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s is held back:\n", all[i].Name)
		for n := range all[i].Held {
			_, _ = fmt.Fprintf(w, "    %s\n", holdText(&all[i].Held[n], now))
		}
	}
}

// holdText says in words what holds deliveries back.
func holdText(h *admin.Hold, now time.Time) string {
	switch core.HoldReason(h.Reason) {
	case core.HeldByConcurrency:
		return fmt.Sprintf("concurrency: %s under way, as many as may be; %s", count(h.Limit), waits(h))
	case core.HeldByKeyConcurrency:
		return fmt.Sprintf("concurrency of a key: %s under way, as many as may be; %s", count(h.Limit), waits(h))
	case core.HeldByAdaptive:
		return fmt.Sprintf("adaptive: %s under way, as many as the sink was found to take; %s", count(h.Limit), waits(h))
	case core.HeldByRate:
		return fmt.Sprintf("rate %s: %s%s", rateText(h), waits(h), in(", the next goes ", h, now))
	case core.HeldByDebounce:
		return fmt.Sprintf("debounce: %s for others to come%s", waits(&admin.Hold{Deliveries: h.Deliveries}), in(", the next go ", h, now))
	case core.HeldByBreaker:
		if h.Until.IsZero() {
			return "breaker open: one delivery is tried, to see whether the sink works again; " + waits(h)
		}
		return fmt.Sprintf("breaker open: too many attempts failed%s; %s", in(", one delivery is tried ", h, now), waits(h))
	case core.HeldByRetry:
		return fmt.Sprintf("retry: %s for the next attempt%s", waits(h), in(", the first goes ", h, now))
	case core.HeldByOrder:
		return fmt.Sprintf("order: %s for an earlier one of %s%s", waits(&admin.Hold{Deliveries: h.Deliveries}), keysOf(h), awaited(h))
	case core.HeldByBatch:
		return fmt.Sprintf("batch: %s for others to fill it%s", waits(&admin.Hold{Deliveries: h.Deliveries}), in(", the next goes ", h, now))
	case core.HeldByBuffer:
		return fmt.Sprintf("buffer: %s of %s in memory; the rest waits in the log until half of that is free", count(h.Deliveries), count(h.Limit))
	case core.HeldByWaiting:
		return fmt.Sprintf("waiting: %s wait for a retry or a letter, and %s may; the rest waits in the log until fewer do", count(h.Deliveries), count(h.Limit))
	case core.HeldByLedger:
		return "ledger: outcomes wait to be written; " + waits(h)
	case core.HeldByCrashes:
		return fmt.Sprintf("crashes: %s: what was under way at two crashes is attempted one at a time", waits(h))
	}
	return h.Reason + ": " + waits(h)
}

// waits says how many deliveries wait, and of how many keys.
func waits(h *admin.Hold) string {
	text := either(h.Deliveries, "1 waits", "%s wait")
	if h.Keys > 0 {
		text += either(h.Keys, ", of 1 key", ", of %s keys")
	}
	return text
}

// keysOf says of which keys the deliveries are.
func keysOf(h *admin.Hold) string {
	switch {
	case h.Keys > 1:
		return fmt.Sprintf("their %s keys", count(h.Keys))
	case h.Deliveries > 1:
		return "their key"
	default:
		return "its key"
	}
}

// awaited names the first event that others wait for.
func awaited(h *admin.Hold) string {
	switch {
	case h.Event == 0:
		return ""
	case h.Keys == 1:
		return fmt.Sprintf(": event %d", h.Event)
	default:
		return fmt.Sprintf(": the first is event %d", h.Event)
	}
}

func either(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, count(n))
}

// in says how long a hold lasts, after some words; nothing when nobody knows.
func in(words string, h *admin.Hold, now time.Time) string {
	switch left := h.Until.Sub(now); {
	case h.Until.IsZero():
		return ""
	case left < time.Millisecond:
		return words + "now"
	case left < time.Second:
		return words + "in " + left.Round(time.Millisecond).String()
	default:
		return words + "in " + left.Round(time.Second/10).String()
	}
}

// rateText is a rate as the file has it.
func rateText(h *admin.Hold) string {
	per := time.Duration(h.PerSeconds * float64(time.Second))
	text := fmt.Sprintf("%s in %s", count(h.Limit), per)
	for unit, letter := range map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"} {
		if per == unit {
			text = fmt.Sprintf("%d/%s", h.Limit, letter)
		}
	}
	if h.Keys > 0 {
		text += " for each key"
	}
	return text
}

package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"sluice/functions/logs"
)

// usageFlags are the flags of "sluice usage".
type usageFlags struct {
	since, until string
	prices       prices
}

// prices are what usage costs, in any currency.
type prices struct {
	requests  float64 // of a million
	gbSeconds float64 // of one
}

// The prices of AWS Lambda on x86 in us-east-1.
const (
	priceRequests = 0.20
	priceGBSecond = 0.0000166667
)

func newUsageCommand(app *app) *cobra.Command {
	var flags usageFlags
	cmd := app.asks(&cobra.Command{
		Use: "usage", Short: "Show what functions have used, and what it would cost", Args: noArguments,
		Long: `Shows what the functions have used that sluice runs itself: requests (every
attempt is one), errors, and billed time times memory, in GB-seconds. Whole days
of UTC are summed up, 400 of which are kept.

COST is what AWS Lambda would bill for it at the prices of x86 in us-east-1, or at
those that are given.`,
		Example: "  sluice usage\n  sluice usage --since 2026-03-01 --until 2026-03-31\n  sluice usage --price-requests 0.20 --price-gb-second 0.0000133334 -o json",
	}, func(ctx context.Context, q *question, _ []string) error { return showUsage(ctx, q, &flags) })
	cmd.Flags().StringVar(&flags.since, "since", "30d", "from the day of a time, or so long `AGO`")
	cmd.Flags().StringVar(&flags.until, "until", "", "to the day of a time, or so long `AGO` (default: today)")
	cmd.Flags().Float64Var(&flags.prices.requests, "price-requests", priceRequests, "the `PRICE` of a million requests")
	cmd.Flags().Float64Var(&flags.prices.gbSeconds, "price-gb-second", priceGBSecond, "the `PRICE` of a GB-second")
	return cmd
}

// A used is what one function has used, for people and programs.
type used struct {
	Function  string  `json:"function,omitempty"`
	Requests  uint64  `json:"requests"`
	Errors    uint64  `json:"errors"`
	BilledMS  uint64  `json:"billed_ms"`
	GBSeconds float64 `json:"gb_seconds"`
	Cost      float64 `json:"cost"`
}

func (p *prices) of(name string, u *logs.Usage) used {
	return used{
		Function: name, Requests: u.Requests, Errors: u.Errors, BilledMS: u.BilledMS, GBSeconds: u.GBSeconds(),
		Cost: float64(u.Requests)/1e6*p.requests + u.GBSeconds()*p.gbSeconds,
	}
}

func showUsage(ctx context.Context, q *question, flags *usageFlags) error {
	now := time.Now()
	since, err := parseWhen("since", flags.since, now)
	if err != nil {
		return err
	}
	until, err := parseWhen("until", flags.until, now)
	switch {
	case err != nil:
		return err
	case until.IsZero():
		until = now
	}
	if flags.prices.requests < 0 || flags.prices.gbSeconds < 0 {
		return exitWithf(exitUsage, "a price is not below 0")
	}
	days, err := q.client.Usage(ctx, since, until)
	if err != nil {
		return err
	}
	all, sum := flags.prices.sumUp(days)
	if q.json {
		return q.printJSON(map[string]any{
			"since": since.UTC().Format(time.DateOnly), "until": until.UTC().Format(time.DateOnly), "functions": all, "total": sum,
		})
	}
	return printUsage(q, all, &sum, since)
}

// sumUp adds the days of each function, and all.
func (p *prices) sumUp(days []logs.Day) (all []used, sum used) {
	functions, total := map[string]*logs.Usage{}, logs.Usage{}
	for i := range days {
		for name, one := range days[i].Functions {
			if functions[name] == nil {
				functions[name] = &logs.Usage{}
			}
			functions[name].Add(one)
			total.Add(one)
		}
	}
	all = make([]used, 0, len(functions))
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		all = append(all, p.of(name, functions[name]))
	}
	return all, p.of("", &total)
}

func printUsage(q *question, all []used, sum *used, since time.Time) error {
	if len(all) == 0 {
		_, _ = fmt.Fprintf(q.out, "No function was invoked since %s.\n", since.UTC().Format(time.DateOnly))
		return nil
	}
	rows := make([][]string, 0, len(all)+1)
	for i := range all {
		rows = append(rows, usageRow(all[i].Function, &all[i]))
	}
	return table(q.out, []string{"FUNCTION", "REQUESTS", "ERRORS", "GB-SECONDS", "COST"}, append(rows, usageRow("total", sum)))
}

func usageRow(name string, u *used) []string {
	return []string{name, count(u.Requests), count(u.Errors), decimals(u.GBSeconds), "$" + decimals(u.Cost)}
}

// decimals shows a number with two digits behind the point, and a small one with
// as many as show something.
func decimals(v float64) string {
	digits := 2
	if v > 0 && v < 0.1 {
		digits = min(9, 1-int(math.Floor(math.Log10(v))))
	}
	return humanize.FormatFloat("#,###."+strings.Repeat("#", digits), v)
}

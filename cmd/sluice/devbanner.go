package main

import (
	"fmt"
	"slices"
	"strings"

	"sluice/cmd/sluice/internal/service"
	"sluice/config"
	"sluice/sources/cron"
	sourcehttp "sluice/sources/http"
	sources3 "sluice/sources/s3"
)

// banner says what listens, and what to try next.
func banner(p paint, file *config.File, flags *devFlags, running *service.Service, buckets *devBuckets) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s %s  %s, %s\n\n", p.bold("sluice dev"), flags.config,
		plural(len(file.Sources), "source"), plural(len(file.Triggers), "trigger"))
	width := 0
	for _, source := range file.Sources {
		width = max(width, len(source.Name))
	}
	for _, source := range file.Sources {
		fmt.Fprintf(&b, "  %s  %s\n", p.bold(fmt.Sprintf("%-*s", width, source.Name)), sourceText(source, running))
	}
	fmt.Fprintf(&b, "  %s  http://%s  %s\n", p.dim(fmt.Sprintf("%-*s", width, "admin")), running.AdminAddr(), p.dim("/readyz /metrics /api/v1"))
	for _, endpoint := range buckets.served {
		fmt.Fprintf(&b, "\n  The buckets at http://%s are the folders of %s.\n", endpoint.address, endpoint.dir)
	}
	for _, address := range buckets.others {
		fmt.Fprintf(&b, "\n  Something listens at http://%s already: its buckets are used as they are.\n", address)
	}
	tries := tryNext(file, flags, running)
	if len(tries) > 0 {
		fmt.Fprintf(&b, "\nTry, in another terminal:\n")
	}
	for _, try := range tries {
		fmt.Fprintf(&b, "  %s\n", p.green(try))
	}
	fmt.Fprintf(&b, "\n%s\n\n", p.dim("Changes of the file take effect at once. Stop with Ctrl-C; the data stays."))
	return b.String()
}

// sourceText says where a source's events come from.
func sourceText(source config.Source, running *service.Service) string {
	switch section := source.Section.(type) {
	case *sourcehttp.Config:
		return fmt.Sprintf("%s http://%s%s", strings.Join(section.Methods, ", "), running.IngestAddr(), section.Path)
	case *sources3.Config:
		text := fmt.Sprintf("objects in %s/%s/%s", section.Endpoint, section.Bucket, section.Prefix)
		if section.Suffix != "" {
			text += "…" + section.Suffix
		}
		return text
	case *cron.Config:
		zone := section.Timezone
		if zone == "" {
			zone = "UTC"
		}
		return fmt.Sprintf("at %s (%s)", section.Schedule, zone)
	}
	return source.Kind
}

// tryNext are commands that work as they stand.
func tryNext(file *config.File, flags *devFlags, running *service.Service) []string {
	var tries []string
	first := func(kind string) *config.Source {
		at := slices.IndexFunc(file.Sources, func(s config.Source) bool { return s.Kind == kind })
		if at < 0 {
			return nil
		}
		return &file.Sources[at]
	}
	if source := first("s3"); source != nil {
		if section, ok := source.Section.(*sources3.Config); ok {
			tries = append(tries, fmt.Sprintf("curl -X PUT -d hello %s/%s/%shello%s", section.Endpoint, section.Bucket, section.Prefix, section.Suffix))
		}
	}
	name := ""
	if flags.config != defaultFile {
		name = " -c " + flags.config
	}
	server := ""
	if address := "http://" + running.AdminAddr(); address != defaultServer {
		server = " --server " + address
	}
	if source := first("http"); source != nil {
		tries = append(tries, fmt.Sprintf(`sluice send %s%s%s --data '{"hello":"world"}' --wait`, source.Name, name, server))
	}
	return append(tries, "sluice tail"+server, "sluice triggers list"+server)
}

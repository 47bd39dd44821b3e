package main

import (
	"sluice/config"
	"sluice/sinks"
	"sluice/sources"
)

// sourceAdapters is the one list of sources.
func sourceAdapters() []sources.Adapter {
	return []sources.Adapter{}
}

// sinkAdapters is the one list of sinks.
func sinkAdapters() []sinks.Adapter {
	return []sinks.Adapter{}
}

// kinds tells the configuration which sources and sinks there are.
func kinds() config.Kinds {
	known := config.Kinds{Sources: map[string]func() config.Section{}, Sinks: map[string]func() config.Section{}}
	for _, adapter := range sourceAdapters() {
		known.Sources[adapter.Kind] = func() config.Section { return adapter.Config() }
	}
	for _, adapter := range sinkAdapters() {
		known.Sinks[adapter.Kind] = func() config.Section { return adapter.Config() }
	}
	return known
}

package main

import (
	"time"

	"sluice/config"
	"sluice/event/transform"
	"sluice/router/pattern"
	"sluice/sinks"
	sinkamqp "sluice/sinks/amqp"
	sinkeventbridge "sluice/sinks/eventbridge"
	sinkfile "sluice/sinks/file"
	sinkfunction "sluice/sinks/function"
	sinkhttp "sluice/sinks/http"
	sinkkafka "sluice/sinks/kafka"
	sinkkinesis "sluice/sinks/kinesis"
	sinklambda "sluice/sinks/lambda"
	sinkmqtt "sluice/sinks/mqtt"
	sinknats "sluice/sinks/nats"
	sinkpostgres "sluice/sinks/postgres"
	sinkredis "sluice/sinks/redis"
	sinks3 "sluice/sinks/s3"
	sinksns "sluice/sinks/sns"
	sinksqs "sluice/sinks/sqs"
	"sluice/sources"
	sourceamqp "sluice/sources/amqp"
	sourcecron "sluice/sources/cron"
	sourcedynamodb "sluice/sources/dynamodb"
	sourcefile "sluice/sources/file"
	sourcehttp "sluice/sources/http"
	sourcekafka "sluice/sources/kafka"
	sourcekinesis "sluice/sources/kinesis"
	sourcemqtt "sluice/sources/mqtt"
	sourcenats "sluice/sources/nats"
	sourcepostgres "sluice/sources/postgres"
	sourceredis "sluice/sources/redis"
	sources3 "sluice/sources/s3"
	sourcesqs "sluice/sources/sqs"
)

// sourceAdapters is the one list of sources. The cron sources of a program
// share one scheduler.
func sourceAdapters() []sources.Adapter {
	return []sources.Adapter{
		sourceamqp.Adapter(),
		sourcecron.Adapter(sourcecron.NewScheduler(time.Now)),
		sourcedynamodb.Adapter(),
		sourcefile.Adapter(),
		sourcehttp.Adapter(),
		sourcekafka.Adapter(),
		sourcekinesis.Adapter(),
		sourcemqtt.Adapter(),
		sourcepostgres.Adapter(),
		sourcenats.Adapter(),
		sourceredis.Adapter(),
		sources3.Adapter(),
		sourcesqs.Adapter(),
	}
}

// sinkAdapters is the one list of sinks.
func sinkAdapters() []sinks.Adapter {
	return []sinks.Adapter{
		sinkamqp.Adapter(),
		sinkeventbridge.Adapter(),
		sinkfile.Adapter(),
		sinkhttp.Adapter(),
		sinkkafka.Adapter(),
		sinkkinesis.Adapter(),
		sinklambda.Adapter(),
		sinkmqtt.Adapter(),
		sinknats.Adapter(),
		sinkpostgres.Adapter(),
		sinkredis.Adapter(),
		sinks3.Adapter(),
		sinksns.Adapter(),
		sinksqs.Adapter(),
	}
}

// kinds tells the configuration which sources and sinks there are, and how
// patterns and transforms are checked. It is called once for each load.
func kinds() config.Kinds {
	known := config.Kinds{
		Sources:  map[string]func() config.Section{},
		Sinks:    map[string]func() config.Section{},
		Function: sinkfunction.Kind(),
		Pattern:  checkPattern, Transform: checkTransform,
	}
	for _, adapter := range sourceAdapters() {
		known.Sources[adapter.Kind] = func() config.Section { return adapter.Config() }
	}
	for _, adapter := range sinkAdapters() {
		known.Sinks[adapter.Kind] = func() config.Section { return adapter.Config() }
	}
	return known
}

func checkPattern(value any) error {
	_, err := pattern.FromValue(value)
	return err
}

func checkTransform(value any) error {
	_, err := transform.FromValue(value)
	return err
}

package aws

import (
	"strings"

	"sluice/event"
)

// The services in ARNs.
const (
	serviceSQS      = "sqs"
	serviceSNS      = "sns"
	serviceKinesis  = "kinesis"
	serviceDynamoDB = "dynamodb"
	serviceMQ       = "mq"
	serviceEvents   = "events"
)

// givenARN returns the ARN that the event has: as the extension arn, or as its
// source; empty when it has none.
func givenARN(e *event.Event) string {
	if arn := e.Extension(extARN); arn != "" {
		return arn
	}
	if strings.HasPrefix(e.Source, "arn:") {
		return e.Source
	}
	return ""
}

// arn returns the ARN of what the event is from. Where the event has none, one
// is made of the last part of its source.
func (o Options) arn(e *event.Event, service string) string {
	if arn := givenARN(e); arn != "" {
		return arn
	}
	name := lastSegment(e.Source)
	switch service {
	case serviceKinesis:
		name = "stream/" + name
	case serviceDynamoDB:
		name = "table/" + name + "/stream/1970-01-01T00:00:00.000"
	case serviceMQ:
		name = "broker:" + name + ":b-00000000-0000-0000-0000-000000000000"
	case serviceEvents:
		name = "rule/" + name
	}
	return "arn:aws:" + service + ":" + o.Region + ":" + o.Account + ":" + name
}

// regionOf returns the region that an ARN names, else that of the options.
func (o Options) regionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 5)
	if len(parts) == 5 && parts[3] != "" {
		return parts[3]
	}
	return o.Region
}

// lastSegment returns what stands behind the last slash of a source.
func lastSegment(source string) string {
	source = strings.TrimRight(source, "/")
	return source[strings.LastIndexByte(source, '/')+1:]
}

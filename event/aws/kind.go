package aws

import (
	"fmt"
	"strings"

	"sluice/event"
)

// The types of events that have a shape of their own. Those of S3 begin with
// PrefixS3.
const (
	PrefixS3           = "s3.object."
	TypeTick           = "cron.tick"
	TypeSQS            = "sqs.message"
	TypeSNS            = "sns.notification"
	TypeKinesis        = "kinesis.record"
	TypeDynamoDBInsert = "dynamodb.insert"
	TypeDynamoDBModify = "dynamodb.modify"
	TypeDynamoDBRemove = "dynamodb.remove"
	TypeKafka          = "kafka.record"
	TypeAMQP           = "amqp.message"
	TypeActiveMQ       = "activemq.message"
	TypeMQTT           = "mqtt.message"
)

// The extension attributes that events of these types may have. What each type
// makes of them is told in docs/function-events.md.
const (
	extARN              = "arn" // of the queue, topic, stream, table, cluster or broker
	extSequence         = "sequence"
	extShard            = "shard"
	extAttributes       = "attributes" // JSON
	extHeaders          = "headers"    // JSON
	extReceiptHandle    = "receipthandle"
	extReceiveCount     = "receivecount"
	extFirstReceived    = "firstreceived"
	extSenderID         = "senderid"
	extDeduplicationID  = "deduplicationid"
	extPrincipalID      = "principalid"
	extTopic            = "topic"
	extKeyBase64        = "keybase64"
	extTimestampType    = "timestamptype"
	extBootstrapServers = "bootstrapservers"
	extQueue            = "queue"
	extVirtualHost      = "vhost"
	extContentEncoding  = "contentencoding"
	extDeliveryMode     = "deliverymode"
	extPriority         = "priority"
	extCorrelationID    = "correlationid"
	extReplyTo          = "replyto"
	extExpiration       = "expiration"
	extMessageID        = "messageid"
	extMessageType      = "messagetype"
	extUserID           = "userid"
	extAppID            = "appid"
	extClusterID        = "clusterid"
	extRedelivered      = "redelivered"
)

// A kind is one form of payload.
type kind int

const (
	kindEventBridge kind = iota
	kindS3
	kindSQS
	kindSNS
	kindKinesis
	kindDynamoDB
	kindKafka
	kindRabbitMQ
	kindActiveMQ
	kindMQTT
	kindPlain
)

func kindOf(e *event.Event) kind {
	switch e.Type {
	case TypeSQS:
		return kindSQS
	case TypeSNS:
		return kindSNS
	case TypeKinesis:
		return kindKinesis
	case TypeDynamoDBInsert, TypeDynamoDBModify, TypeDynamoDBRemove:
		return kindDynamoDB
	case TypeKafka:
		return kindKafka
	case TypeAMQP:
		return kindRabbitMQ
	case TypeActiveMQ:
		return kindActiveMQ
	case TypeMQTT:
		return kindMQTT
	case TypeInvocation, TypeSuccess, TypeFailure:
		return kindPlain
	}
	if strings.HasPrefix(e.Type, PrefixS3) {
		return kindS3
	}
	return kindEventBridge
}

// A group tells which events go into one payload: those of one kind and, where
// the payload names it only once, of one cluster or broker.
type group struct {
	kind   kind
	origin string
}

func (o Options) groupOf(e *event.Event) group {
	g := group{kind: kindOf(e)}
	switch g.kind {
	case kindKafka:
		g.origin = givenARN(e) + " " + e.Extension(extBootstrapServers)
	case kindRabbitMQ, kindActiveMQ:
		g.origin = o.arn(e, serviceMQ)
	default:
	}
	return g
}

// aws writes the events in the shape that their type stands for.
func (w *writer) aws(events []*event.Event, p *Payload) error {
	first := w.groupOf(events[0])
	for _, e := range events[1:] {
		if w.groupOf(e) != first {
			return &MixedError{Types: [2]string{events[0].Type, e.Type}}
		}
	}
	if err := p.identify(first.kind, events); err != nil {
		return err
	}
	switch first.kind {
	case kindKafka:
		return w.kafka(events)
	case kindRabbitMQ:
		return w.rabbitMQ(events)
	case kindActiveMQ:
		return w.activeMQ(events)
	case kindS3:
		return w.records(events, (*writer).s3)
	case kindSQS:
		return w.records(events, (*writer).sqs)
	case kindSNS:
		return w.records(events, (*writer).sns)
	case kindKinesis:
		return w.records(events, (*writer).kinesis)
	case kindDynamoDB:
		return w.records(events, (*writer).dynamoDB)
	case kindMQTT:
		w.each(events, (*writer).mqtt)
	case kindPlain:
		w.each(events, (*writer).data)
	default:
		w.each(events, (*writer).eventBridge)
	}
	return nil
}

// records writes the events as the list Records.
func (w *writer) records(events []*event.Event, write func(*writer, *event.Event) error) error {
	w.open('{')
	w.array("Records")
	for i, e := range events {
		w.next()
		if err := write(w, e); err != nil {
			return eventError(i, e, err)
		}
	}
	w.close(']')
	w.close('}')
	return nil
}

// identify sets by what a partial batch response names the events.
func (p *Payload) identify(k kind, events []*event.Event) error {
	switch k {
	case kindKinesis, kindDynamoDB, kindKafka:
	default:
		return nil
	}
	p.streams = make([]string, len(events))
	for i, e := range events {
		sequence, err := sequenceOf(e)
		if err != nil {
			return eventError(i, e, err)
		}
		p.Identifiers[i] = sequence
		p.streams[i] = e.Source + " " + e.Extension(extShard)
		if k == kindKafka {
			p.streams[i] = topicPartition(e)
			p.Identifiers[i] = p.streams[i] + "-" + sequence
		}
	}
	return nil
}

// sequenceOf returns the place of an event in its stream: decimal digits.
func sequenceOf(e *event.Event) (string, error) {
	sequence := e.Extension(extSequence)
	if sequence == "" || strings.Trim(sequence, "0123456789") != "" {
		return "", fmt.Errorf("its extension %s is %q: want the place in the stream in decimal digits", extSequence, sequence)
	}
	return sequence, nil
}

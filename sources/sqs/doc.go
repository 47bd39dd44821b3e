// Package sqs is the source of the messages of a queue of Amazon SQS, or of a
// server that speaks its protocol: those that were sent to it, and those that a
// topic of SNS has passed on. A message is deleted when its event is durable, and
// held until then.
package sqs

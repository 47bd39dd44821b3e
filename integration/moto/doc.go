// Package moto runs Moto's server for tests, which carry the build tag
// integration: AWS's services by their own protocols, among them SQS with FIFO
// queues and dead-letter queues, SNS with subscriptions, and EventBridge with
// rules. It keeps everything in memory. It is Python's: an interpreter that has it
// is taken, or it is installed once into the user's cache folder.
package moto

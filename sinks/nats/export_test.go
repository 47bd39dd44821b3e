package nats

// Settle is for the fuzz target of answers.
var Settle = settle

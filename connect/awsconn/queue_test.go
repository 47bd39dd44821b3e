package awsconn_test

import (
	"strings"
	"testing"

	"sluice/connect/awsconn"
)

func TestParseQueue(t *testing.T) {
	for text, want := range map[string]awsconn.Queue{
		"orders":      {Name: "orders"},
		"orders.fifo": {Name: "orders.fifo"},
		"arn:aws:sqs:eu-central-1:123456789012:orders": {
			Name: "orders", ARN: "arn:aws:sqs:eu-central-1:123456789012:orders", Account: "123456789012", Region: "eu-central-1",
		},
		"https://sqs.eu-central-1.amazonaws.com/123456789012/orders": {
			Name: "orders", URL: "https://sqs.eu-central-1.amazonaws.com/123456789012/orders", Region: "eu-central-1",
		},
		"https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders": {
			Name: "orders", URL: "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders", Region: "cn-north-1",
		},
		"http://127.0.0.1:4566/000000000000/orders": {
			Name: "orders", URL: "http://127.0.0.1:4566/000000000000/orders", Endpoint: "http://127.0.0.1:4566",
		},
	} {
		if got, err := awsconn.ParseQueue(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a b", "orders.lifo", "https://", "https://u:p@h/q", "http://h/q?x=1", "arn:aws:sns:eu-central-1:1:topic", strings.Repeat("q", 81)} {
		if got, err := awsconn.ParseQueue(text); err == nil {
			t.Errorf("%q was taken for %+v", text, got)
		}
	}
}

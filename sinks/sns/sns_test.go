package sns

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSubject(t *testing.T) {
	for given, want := range map[string]string{
		"": "", "An order": "An order", " a\nb ": "a b", "Zoë": "Zo?", strings.Repeat("x", 200): strings.Repeat("x", 100),
	} {
		if got := cleanSubject(given); got != want {
			t.Errorf("%q has become %q, want %q", given, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for topic, ok := range map[string]bool{
		"arn:aws:sns:eu-central-1:123456789012:orders": true, "arn:aws-cn:sns:cn-north-1:123456789012:orders.fifo": true,
		"orders": false, "": false, "arn:aws:sqs:eu-central-1:123456789012:orders": false,
	} {
		c := NewConfig()
		c.Topic = topic
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", topic, err)
		}
	}
	c := NewConfig()
	c.Topic, c.Subject = "arn:aws:sns:eu-central-1:1:orders", "{{ }"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "subject: ") {
		t.Errorf("got %v", err)
	}
}

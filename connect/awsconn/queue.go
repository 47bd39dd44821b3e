package awsconn

import (
	"net/url"
	"regexp"
	"strings"

	"sluice/config"
)

// A Queue is what a URL, an ARN or a name says of a queue of SQS.
type Queue struct {
	Name    string
	URL     string // empty when it has to be asked for
	ARN     string // empty when it is not known
	Account string // that owns it; empty for sluice's own
	Region  string // empty when it is not known
	// Endpoint is where the queue is, when that is not the service itself.
	Endpoint string
}

var (
	queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,75}(\.fifo)?$`)
	queueARN  = regexp.MustCompile(`^arn:[a-z0-9-]+:sqs:([a-z0-9-]+):([0-9]+):([A-Za-z0-9_.-]+)$`)
	// The service's own hosts, also of China, and of endpoints with two stacks.
	queueHost = regexp.MustCompile(`^sqs(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)$`)
)

// ParseQueue reads the key queue of a section. Its error is that of the key.
func ParseQueue(text string) (Queue, error) {
	const right = "write its URL, its ARN, or its name"
	var q Queue
	switch arn := queueARN.FindStringSubmatch(text); {
	case text == "":
		return Queue{}, config.Invalid("queue", "it is missing: %s", right)
	case arn != nil:
		q = Queue{Name: arn[3], ARN: text, Account: arn[2], Region: arn[1]}
	case strings.Contains(text, "://"):
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "http" && u.Scheme != "https") {
			return Queue{}, config.Invalid("queue", "it is no URL of a queue: %s", right)
		}
		q = Queue{Name: u.Path[strings.LastIndexByte(u.Path, '/')+1:], URL: text}
		if host := queueHost.FindStringSubmatch(u.Hostname()); host != nil {
			q.Region = host[1]
		} else {
			q.Endpoint = u.Scheme + "://" + u.Host
		}
	default:
		q = Queue{Name: text}
	}
	if !queueName.MatchString(q.Name) {
		return Queue{}, config.Invalid("queue", "%q is no name of a queue, which is up to 80 letters, digits, - and _, with .fifo at the end for queues that keep order: %s", q.Name, right)
	}
	return q, nil
}

// FIFO tells whether the queue keeps order.
func (q *Queue) FIFO() bool { return strings.HasSuffix(q.Name, ".fifo") }

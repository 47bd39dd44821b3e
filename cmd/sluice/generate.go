package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sluice/event"
	"sluice/event/aws"
	"sluice/event/aws/samples"
)

// maxSamples is the largest number of events in one batch.
const maxSamples = 10_000

func newGenerateEventCommand(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "generate-event", Short: "Print what a function is given", Args: noArguments,
		Long: `Prints the payload that a function is given for an event of an AWS service, in
the shape of that service: of one event, or of a batch with --count.

With --shape cloudevent it prints the event itself, which can be sent to an HTTP
source, so that the function gets it the real way.`,
		Example: `  sluice generate-event s3 put --bucket photos --key in/cat.jpg
  sluice generate-event sqs receive-message --body '{"order": 7}' --count 3
  sluice generate-event s3 put --shape cloudevent | sluice send hooks --event -`,
	}
	var services []string
	for _, s := range samples.All() {
		service, found := child(cmd, s.Service)
		if !found {
			services = append(services, s.Service)
			service = &cobra.Command{Use: s.Service, Args: noArguments}
			cmd.AddCommand(service)
		}
		service.AddCommand(newSampleCommand(app, &s))
		service.Short = "Events of " + serviceName(s.Service) + ": " + strings.Join(names(service), ", ")
	}
	for _, name := range services {
		if service, found := child(cmd, name); found {
			refuseUnknown(service)
		}
	}
	return cmd
}

// child returns the command of that name below another one.
func child(cmd *cobra.Command, name string) (*cobra.Command, bool) {
	for _, c := range cmd.Commands() {
		if c.Name() == name {
			return c, true
		}
	}
	return nil, false
}

func names(cmd *cobra.Command) []string {
	var all []string
	for _, c := range cmd.Commands() {
		all = append(all, c.Name())
	}
	slices.Sort(all)
	return all
}

// serviceName is how people write the name of a service.
func serviceName(service string) string {
	known := map[string]string{
		"apigateway": "API Gateway", "cloudwatch": "CloudWatch", "dynamodb": "DynamoDB", "eventbridge": "EventBridge", "iot": "AWS IoT",
		"kafka": "Kafka", "kinesis": "Kinesis", "lambda": "Lambda itself", "mq": "Amazon MQ", "s3": "S3", "sns": "SNS", "sqs": "SQS",
	}
	return known[service]
}

// generateFlags are those that all samples have.
type generateFlags struct {
	shape, region, account, id, at string
	count                          int
	values                         map[string]*string
}

func newSampleCommand(app *app, sample *samples.Sample) *cobra.Command {
	flags := generateFlags{values: map[string]*string{}}
	cmd := &cobra.Command{
		Use: sample.Name, Short: strings.ToUpper(sample.Short[:1]) + sample.Short[1:], Args: noArguments,
		Example: "  sluice generate-event " + sample.Service + " " + sample.Name + exampleFlags(sample),
	}
	set := cmd.Flags()
	set.SortFlags = false
	for _, o := range sample.Options {
		flags.values[o.Name] = set.String(o.Name, o.Default, o.Usage)
	}
	set.IntVar(&flags.count, "count", 1, "how many events; several make a batch")
	set.StringVar(&flags.shape, "shape", string(aws.ShapeAWS), "the `SHAPE`: aws, cloudevent or data, as a function's")
	set.StringVar(&flags.region, "region", aws.DefaultRegion, "the `REGION` in ARNs and elsewhere")
	set.StringVar(&flags.account, "account", aws.DefaultAccount, "the `NUMBER` of the account")
	set.StringVar(&flags.id, "id", "", "the event's `ID` (default: a fixed one; of a CloudEvent a random one)")
	set.StringVar(&flags.at, "time", "", "the event's `TIME` (default: a fixed one; of a CloudEvent now)")
	cmd.RunE = func(*cobra.Command, []string) error { return app.generate(sample, &flags) }
	if err := cmd.RegisterFlagCompletionFunc("shape", completeShape); err != nil {
		cmd.RunE = func(*cobra.Command, []string) error { return err }
	}
	return cmd
}

func completeShape(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, shape := range aws.Shapes() {
		all = append(all, string(shape))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// exampleFlags shows the first two options with their defaults.
func exampleFlags(sample *samples.Sample) string {
	var b strings.Builder
	for _, o := range sample.Options[:2] {
		value := o.Default
		if strings.ContainsAny(value, `{" `) {
			value = "'" + value + "'"
		}
		fmt.Fprintf(&b, " --%s %s", o.Name, value)
	}
	return b.String()
}

func (a *app) generate(sample *samples.Sample, flags *generateFlags) error {
	if !slices.Contains(aws.Shapes(), aws.Shape(flags.shape)) {
		return exitWithf(exitUsage, "--shape %q: it is aws, cloudevent or data", flags.shape)
	}
	if flags.count < 1 || flags.count > maxSamples {
		return exitWithf(exitUsage, "--count %d: write 1 to %d", flags.count, maxSamples)
	}
	request, err := flags.request()
	if err != nil {
		return err
	}
	events, err := sample.Events(request)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	return a.printPayload(aws.Shape(flags.shape), events, aws.Options{Region: flags.region, Account: flags.account, Batch: flags.count > 1})
}

// request makes a request of the flags. A CloudEvent is meant to be sent, and
// an id is taken only once.
func (f *generateFlags) request() (samples.Request, error) {
	request := samples.Request{ID: f.id, Count: f.count, Region: f.region, Account: f.account, Values: map[string]string{}}
	for name, value := range f.values {
		request.Values[name] = *value
	}
	now := time.Now()
	at, err := parseWhen("time", f.at, now)
	if err != nil {
		return request, err
	}
	request.Time = at
	if aws.Shape(f.shape) == aws.ShapeCloudEvent {
		if f.id == "" {
			request.ID = uuid.NewString()
		}
		if f.at == "" {
			request.Time = now
		}
	}
	return request, nil
}

func (a *app) printPayload(shape aws.Shape, events []*event.Event, opts aws.Options) error {
	payload, err := aws.Encode(shape, events, opts)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, payload.JSON, "", "  "); err != nil {
		return fmt.Errorf("print the payload: %w", err)
	}
	pretty.WriteByte('\n')
	if _, err := a.stdout.Write(pretty.Bytes()); err != nil {
		return fmt.Errorf("print the payload: %w", err)
	}
	return nil
}

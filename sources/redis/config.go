package redis

import (
	"errors"
	"regexp"
	"slices"
	"time"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
)

// Kind is the source's key in the file.
const Kind = "redis"

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file: streams, or one list.
type Config struct {
	config.Redis `yaml:",inline"`

	// Streams are the keys of the streams to read.
	Streams []string `yaml:"streams"`
	// Group is the consumer group to read as; empty for a cursor of sluice's own.
	Group string `yaml:"group"`
	// Consumer is the source's name within the group.
	Consumer string `yaml:"consumer"`
	// Create says whether a group that is missing is made.
	Create bool `yaml:"create"`
	// Start is where to begin for the first time: StartAll, StartNew, or the id
	// of an entry, after which it begins.
	Start string `yaml:"start"`
	// ClaimAfter is how long a consumer of the group may keep an entry before it
	// is taken from it; 0 for ever.
	ClaimAfter config.Duration `yaml:"claim_after"`
	// Key is the field of an entry that is the event's partitionkey; empty for
	// the stream's key.
	Key string `yaml:"key"`
	// CloudEvents says whether entries that are CloudEvents become those.
	CloudEvents bool `yaml:"cloudevents"`

	// List is the key of the list to take from.
	List string `yaml:"list"`
	// From is the end of the list at which items are taken: FromRight or FromLeft.
	From string `yaml:"from"`
}

// The values of Start and From.
const (
	StartAll  = "all"
	StartNew  = "new"
	FromRight = "right"
	FromLeft  = "left"
)

const (
	defaultConsumer   = "sluice"
	defaultClaimAfter = config.Duration(time.Minute)
	minClaimAfter     = config.Duration(time.Second)
	maxStreams        = 64
	maxKey            = 512 // bytes of a key: it is part of ids and of names
)

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{
		Consumer: defaultConsumer, Create: true, Start: StartAll, ClaimAfter: defaultClaimAfter,
		CloudEvents: true, From: FromRight,
	}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	problems := []error{c.Redis.Validate()}
	switch {
	case len(c.Streams) == 0 && c.List == "":
		problems = append(problems, config.Invalid("streams", "it is missing; write the keys of streams, or list: the key of a list"))
	case len(c.Streams) > 0 && c.List != "":
		problems = append(problems, config.Invalid("list", "there are streams already: write two sources, one for each"))
	case c.List != "":
		problems = append(problems, c.validateList())
	default:
		problems = append(problems, c.validateStreams())
	}
	return errors.Join(problems...)
}

func (c *Config) validateList() error {
	problems := []error{validateKey("list", c.List)}
	if c.From != FromRight && c.From != FromLeft {
		problems = append(problems, config.Invalid("from", "found %q; write right or left", c.From))
	}
	for _, key := range []struct {
		name string
		used bool
	}{
		{"group", c.Group != ""},
		{"consumer", c.Consumer != defaultConsumer},
		{"create", !c.Create},
		{"start", c.Start != StartAll},
		{"claim_after", c.ClaimAfter != defaultClaimAfter},
		{"key", c.Key != ""},
		{"cloudevents", !c.CloudEvents},
	} {
		if key.used {
			problems = append(problems, config.Invalid(key.name, "it is for streams: leave it out"))
		}
	}
	return errors.Join(problems...)
}

func (c *Config) validateStreams() error {
	var problems []error
	if len(c.Streams) > maxStreams {
		problems = append(problems, config.Invalid("streams", "found %d; one source reads at most %d", len(c.Streams), maxStreams))
	}
	for i, key := range c.Streams {
		problems = append(problems, validateKey("streams", key))
		if slices.Contains(c.Streams[:i], key) {
			problems = append(problems, config.Invalid("streams", "%q stands there twice", key))
		}
	}
	if c.From != FromRight {
		problems = append(problems, config.Invalid("from", "it is for a list: leave it out"))
	}
	if c.Start != StartAll && c.Start != StartNew && !entryID.MatchString(c.Start) {
		problems = append(problems, config.Invalid("start", "found %q; write all, new, or the id of an entry, such as 1700000000000-0, to begin after it", c.Start))
	}
	if c.Group != "" {
		problems = append(problems, c.validateGroup())
	} else {
		problems = append(problems, c.validateCursor())
	}
	return errors.Join(problems...)
}

func (c *Config) validateGroup() error {
	var problems []error
	if c.Consumer == "" {
		problems = append(problems, config.Invalid("consumer", "it is empty; write the source's name within the group, or leave it out"))
	}
	if c.ClaimAfter != 0 && c.ClaimAfter < minClaimAfter {
		problems = append(problems, config.Invalid("claim_after", "%v is too short: at least %v, or 0 for never", c.ClaimAfter, minClaimAfter))
	}
	return errors.Join(problems...)
}

func (c *Config) validateCursor() error {
	for _, key := range []struct {
		name string
		used bool
	}{
		{"consumer", c.Consumer != defaultConsumer},
		{"create", !c.Create},
		{"claim_after", c.ClaimAfter != defaultClaimAfter},
	} {
		if key.used {
			return config.Invalid(key.name, "it is for a consumer group: write group too, or leave %s out", key.name)
		}
	}
	return nil
}

// entryID is the form of an entry's id: milliseconds and a number.
var entryID = regexp.MustCompile(`^[0-9]{1,20}-[0-9]{1,20}$`)

func validateKey(name, key string) error {
	switch {
	case key == "":
		return config.Invalid(name, "found an empty key; write the name of one")
	case len(key) > maxKey:
		return config.Invalid(name, "a key has %d bytes; at most %d", len(key), maxKey)
	}
	if err := (&event.Event{}).SetExtension("key", key); err != nil {
		return config.Invalid(name, "%q has what no attribute of an event may have: %v", key, err)
	}
	return nil
}

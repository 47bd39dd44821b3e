package postgres

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"sluice/config"
	"sluice/connect/postgresconn"
	"sluice/sources"
)

// Kind is the source's key in the file.
const Kind = "postgres"

// The values of Config.Snapshot and OnLostSlot.
const (
	Never    = "never"
	Initial  = "initial"
	Fail     = "fail"
	Snapshot = "snapshot"
)

// The values of Config.Numbers.
const (
	AsNumbers = "number"
	AsText    = "text"
)

// DefaultWarnLag is how much WAL the slot may hold back before it is told.
const DefaultWarnLag = config.Size(1 << 30)

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file that describes the tables of one database.
type Config struct {
	postgresconn.Server `yaml:",inline"`
	// Tables are those whose changes become events, as schema.table, or schema.* for
	// all of a schema; none for all of the publication.
	Tables []string `yaml:"tables"`
	// Slot and Publication are names in the database; sluice_NAME when they are
	// empty, with _ for each -.
	Slot        string `yaml:"slot"`
	Publication string `yaml:"publication"`
	// Create has the source make the slot and the publication where they are
	// missing, and add tables to the publication.
	Create bool `yaml:"create"`
	// Snapshot is Never, or Initial for events of the rows that are there when the
	// slot is made.
	Snapshot string `yaml:"snapshot"`
	// OnLostSlot is Fail, or Snapshot to begin anew with one when changes are gone
	// that the source has not seen.
	OnLostSlot string `yaml:"on_lost_slot"`
	// Numbers says what int8 and numeric become: AsNumbers, whose digits many
	// readers round, or AsText.
	Numbers string `yaml:"numbers"`
	// WarnLag is how much WAL the slot may hold back before the source is degraded.
	WarnLag config.Size `yaml:"warn_lag"`
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{Snapshot: Never, OnLostSlot: Fail, Numbers: AsNumbers, WarnLag: DefaultWarnLag}
}

// maxName is the most bytes of a name in PostgreSQL.
const maxName = 63

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	problems := []error{
		c.Server.Validate(),
		validateSlot(c.Slot),
		validatePublication(c.Publication),
		oneOf("snapshot", c.Snapshot, Never, Initial),
		oneOf("on_lost_slot", c.OnLostSlot, Fail, Snapshot),
		oneOf("numbers", c.Numbers, AsNumbers, AsText),
		c.validateCreate(),
	}
	for _, table := range c.Tables {
		problems = append(problems, validateTable(table))
	}
	if c.WarnLag < 1<<20 {
		problems = append(problems, config.Invalid("warn_lag", "%s is too little: at least 1MiB", c.WarnLag))
	}
	return errors.Join(problems...)
}

func (c *Config) validateCreate() error {
	switch {
	case c.Create && len(c.Tables) == 0:
		return config.Invalid("tables", "with create: true they are to be named: write schema.table, or schema.* for all of a schema")
	case !c.Create && c.Snapshot == Initial:
		return config.Invalid("snapshot", "an initial snapshot goes with a slot that is made at the same moment: write create: true too")
	case !c.Create && c.OnLostSlot == Snapshot:
		return config.Invalid("on_lost_slot", "a snapshot goes with a slot that is made at the same moment: write create: true too")
	}
	return nil
}

var slotName = regexp.MustCompile(`^[a-z0-9_]+$`)

func validateSlot(name string) error {
	if name != "" && (len(name) > maxName || !slotName.MatchString(name)) {
		return config.Invalid("slot", "%q is no name of a slot: at most %d of a-z, 0-9 and _", name, maxName)
	}
	return nil
}

func validatePublication(name string) error {
	if len(name) > maxName || strings.ContainsAny(name, "\x00'\"\\,") {
		return config.Invalid("publication", "%q is no name of a publication here: at most %d bytes without quotes, backslashes and commas", name, maxName)
	}
	return nil
}

func validateTable(name string) error {
	schema, table, found := strings.Cut(name, ".")
	switch {
	case !found || schema == "" || table == "" || strings.ContainsRune(name, 0):
		return config.Invalid("tables", "%q is no table: write schema.table, such as public.orders, or schema.* for all of a schema", name)
	case strings.Contains(schema, "*") || strings.Contains(table, "*") && table != "*":
		return config.Invalid("tables", "%q has a star that is not known: write schema.* for all of a schema", name)
	case len(schema) > maxName || len(table) > maxName:
		return config.Invalid("tables", "%q is longer than names of PostgreSQL: %d bytes", name, maxName)
	}
	return nil
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return config.Invalid(key, "%q is not known: write %s", value, strings.Join(allowed, " or "))
}

// named returns the configuration with names for the slot and the publication.
func (c *Config) named(source string) Config {
	named := *c
	name := "sluice_" + strings.ReplaceAll(source, "-", "_")
	name = name[:min(len(name), maxName)]
	if named.Slot == "" {
		named.Slot = name
	}
	if named.Publication == "" {
		named.Publication = name
	}
	return named
}

// wants tells whether the changes of a table become events.
func (c *Config) wants(schema, table string) bool {
	return len(c.Tables) == 0 || slices.Contains(c.Tables, schema+"."+table) || slices.Contains(c.Tables, schema+".*")
}

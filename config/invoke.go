package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// An InvokeAPI lets AWS's SDKs invoke functions on the ingest listener.
type InvokeAPI struct {
	// Keys are those that requests are signed with. Default: none, so that there
	// is no such API.
	Keys []InvokeKey `yaml:"keys"`
	// UnsafeNoAuth lets everybody on this machine invoke every function.
	UnsafeNoAuth bool `yaml:"unsafe_no_auth"`
}

// An InvokeKey is one who may invoke functions.
type InvokeKey struct {
	AccessKey string `yaml:"access_key"`
	SecretKey Secret `yaml:"secret_key"`
	// Functions are the names of those that may be invoked.
	Functions []string `yaml:"functions"`
}

// On tells whether there is such an API.
func (i *InvokeAPI) On() bool { return i.UnsafeNoAuth || len(i.Keys) > 0 }

// The bounds of keys.
const (
	maxInvokeKeys = 1000
	minSecretKey  = 16
)

var accessKeyPattern = regexp.MustCompile(`^\w{4,128}$`)

// validate returns what is wrong with the API on an ingest listener.
func (i *InvokeAPI) validate(listen string) error {
	var all []error
	switch {
	case i.UnsafeNoAuth && len(i.Keys) > 0:
		all = append(all, Invalid("invoke.unsafe_no_auth", "everybody may invoke, or who has a key, not both: remove one"))
	case i.UnsafeNoAuth && !loopback(listen):
		all = append(all, Invalid("invoke.unsafe_no_auth", "ingest listens on %s, where other machines can reach it: set invoke.keys instead, or listen on 127.0.0.1", quoteShort(listen)))
	case len(i.Keys) > maxInvokeKeys:
		all = append(all, Invalid("invoke.keys", "expected at most %d, found %d", maxInvokeKeys, len(i.Keys)))
	}
	known := map[string]bool{}
	for n := range i.Keys {
		all = append(all, i.Keys[n].validate(fmt.Sprintf("invoke.keys[%d]", n), known))
	}
	return errors.Join(all...)
}

func (k *InvokeKey) validate(at string, known map[string]bool) error {
	var all []error
	switch {
	case !accessKeyPattern.MatchString(k.AccessKey):
		all = append(all, Invalid(at+".access_key", "expected 4 to 128 letters, digits and _, found %s", quoteShort(k.AccessKey)))
	case known[k.AccessKey]:
		all = append(all, Invalid(at+".access_key", "there is another key %s: each has its own", quoteShort(k.AccessKey)))
	}
	known[k.AccessKey] = true
	if n := len(k.SecretKey.Reveal()); n < minSecretKey {
		all = append(all, Invalid(at+".secret_key", "it has %d characters: use at least %d", n, minSecretKey))
	}
	if len(k.Functions) == 0 {
		all = append(all, Invalid(at+".functions", "it is missing: write the names of the functions that may be invoked"))
	}
	return errors.Join(all...)
}

// invoked notes keys that name a function which cannot be invoked.
func (r *reader) invoked(p part) {
	for i, key := range r.file.Ingest.Invoke.Keys {
		for j, name := range key.Functions {
			at := fmt.Sprintf("invoke.keys[%d].functions[%d]", i, j)
			switch f, known := r.functionsByName[name]; {
			case !r.functionNames.has(name):
				problem := &Problem{Key: at, Message: "no function " + quoteShort(name)}
				problem.Suggestion = r.c.nearest(name, r.functionNames.list)
				r.below(p.node, problem, p.at)
			case known && f.Run == nil:
				r.below(p.node, Invalid(at, "%s is a sink of the kind %s: only functions that sluice runs can be invoked", quoteShort(name), f.Sink.Kind), p.at)
			case slices.Index(key.Functions, name) < j:
				r.below(p.node, Invalid(at, "%s is there already", quoteShort(name)), p.at)
			}
		}
	}
}

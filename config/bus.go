package config

import "slices"

// A Placement says where JetStream puts the streams.
type Placement struct {
	// Cluster is the name of a cluster of a super-cluster.
	Cluster string `yaml:"cluster"`
	// Tags are what each server must have.
	Tags []string `yaml:"tags"`
}

func (p *Placement) validate() error {
	if slices.Contains(p.Tags, "") {
		return Invalid("placement.tags", "there is an empty tag")
	}
	return nil
}

// remote returns what is set that has no meaning for an embedded bus.
func (b *Bus) remote() []error {
	var all []error
	for _, setting := range []struct {
		key string
		set bool
	}{
		{"auth", len(b.Auth.ways()) > 0},
		{"tls", b.TLS != TLS{}},
		{"placement", b.Placement.Cluster != "" || len(b.Placement.Tags) > 0},
	} {
		if setting.set {
			all = append(all, Invalid(setting.key, "it is for a bus elsewhere: remove this, or set url to the servers"))
		}
	}
	return all
}

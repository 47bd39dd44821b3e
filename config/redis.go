package config

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// A Redis says which servers of Redis are meant, and who sluice is to them. A
// section that connects to Redis embeds it.
type Redis struct {
	// URL has the servers, separated by commas: redis://host:6379/2, or rediss://
	// with TLS. The path is the number of the database. Several servers are those
	// of a cluster, or the sentinels.
	URL      string `yaml:"url"`
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	// Cluster says that one server is the way to a cluster.
	Cluster bool `yaml:"cluster"`
	// Sentinel says that the servers are sentinels.
	Sentinel *RedisSentinel `yaml:"sentinel"`
	TLS      TLS            `yaml:"tls"`
}

// A RedisSentinel is how sentinels are asked for the server.
type RedisSentinel struct {
	// Master is the name by which the sentinels know the servers.
	Master string `yaml:"master"`
	// User and Password are for the sentinels themselves.
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
}

// RedisServers are the servers of a URL.
type RedisServers struct {
	Addresses []string // host:port
	DB        int
	TLS       bool
	Cluster   bool
}

// Validate returns everything that is wrong, each problem with its key. It
// quotes no URL: there may be a password in it.
func (r *Redis) Validate() error {
	_, tlsErr := r.TLS.Load()
	servers, err := r.Servers()
	problems := []error{err, tlsErr}
	if err == nil && r.TLS != (TLS{}) && !servers.TLS {
		problems = append(problems, Invalid("tls", "it is for servers that speak TLS: write rediss:// in url, or leave tls out"))
	}
	if r.User != "" && r.Password.IsZero() {
		problems = append(problems, Invalid("password", "it is missing beside user"))
	}
	if s := r.Sentinel; s != nil {
		if s.Master == "" {
			problems = append(problems, Invalid("sentinel.master", "it is missing; write the name that the sentinels know the servers by, such as mymaster"))
		}
		if s.User != "" && s.Password.IsZero() {
			problems = append(problems, Invalid("sentinel.password", "it is missing beside user"))
		}
		if r.Cluster {
			problems = append(problems, Invalid("cluster", "sentinels do not lead to a cluster: leave cluster or sentinel out"))
		}
	}
	return errors.Join(problems...)
}

// Servers reads the URL.
func (r *Redis) Servers() (RedisServers, error) {
	var all RedisServers
	if strings.TrimSpace(r.URL) == "" {
		return all, Invalid("url", "it is missing; write the server, such as redis://127.0.0.1:6379")
	}
	for i, text := range strings.Split(r.URL, ",") {
		if err := all.add(strings.TrimSpace(text), i); err != nil {
			return all, err
		}
	}
	all.Cluster = r.Sentinel == nil && (r.Cluster || len(all.Addresses) > 1)
	if all.Cluster && all.DB != 0 {
		return all, Invalid("url", "a cluster has no database %d: leave /%d out", all.DB, all.DB)
	}
	return all, nil
}

// add reads the server at place i.
func (s *RedisServers) add(text string, i int) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Scheme != "redis" && u.Scheme != "rediss") || u.RawQuery != "" || u.Fragment != "" {
		return Invalid("url", "server %d is no address of Redis: write redis://host:6379, or rediss:// with TLS, several with commas between", i+1)
	}
	if u.User != nil {
		return Invalid("url", "server %d has a user in it: write user and password as keys of their own", i+1)
	}
	db := 0
	if path := strings.Trim(u.Path, "/"); path != "" {
		if db, err = strconv.Atoi(path); err != nil || db < 0 {
			return Invalid("url", "server %d has %q for the number of a database: write a whole number, as in redis://host:6379/2", i+1, path)
		}
	}
	secure := u.Scheme == "rediss"
	if i > 0 && (secure != s.TLS || db != s.DB) {
		return Invalid("url", "server %d differs from the first one in its scheme or its database: they have the same", i+1)
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	s.TLS, s.DB = secure, db
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	s.Addresses = append(s.Addresses, host+":"+port)
	return nil
}

package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Code returns the first word of what a server answers as an error, such as
// WRONGTYPE; "" for other errors.
func Code(err error) string {
	var answer redis.Error
	if err == nil || errors.Is(err, redis.Nil) || !errors.As(err, &answer) {
		return ""
	}
	word, _, _ := strings.Cut(answer.Error(), " ")
	return word
}

// The codes that callers decide by. Redis has no list of them: they stand where
// it answers them.
const (
	CodeWrongType = "WRONGTYPE" // the key holds another type
	CodeNoGroup   = "NOGROUP"   // no such consumer group, or no such stream
	CodeBusyGroup = "BUSYGROUP" // there is such a group already
	CodeOOM       = "OOM"       // over maxmemory
)

// meanings are what the user can do about a server's answers.
var meanings = [...]struct{ code, meaning string }{
	{"WRONGPASS", "the server refuses user and password: correct them"},
	{"NOAUTH", "the server asks for a password: write password, and user where it has users"},
	{"NOPERM", "the server does not allow it to this user: grant it by ACL SETUSER"},
	{CodeWrongType, "the key holds another type than is wanted: correct its name"},
	{"NOREPLICAS", "the server has too few replicas (min-replicas-to-write)"},
	{"READONLY", "the server is a replica: write the master in url, or sentinel"},
	{"LOADING", "the server is reading its files, and will be there"},
	{"MASTERDOWN", "the server is a replica whose master is away"},
	{"CLUSTERDOWN", "the cluster has slots that no server serves"},
	{"MOVED", "the server belongs to a cluster: write cluster: true"},
	{"CROSSSLOT", "the keys belong to different servers of the cluster: put the same {tag} into their names"},
	{"MISCONF", "the server cannot write its files, and takes no writes: see its log"},
	{CodeOOM, "the server has no memory left (maxmemory)"},
	{"NOSCRIPT", "the server has forgotten a script"},
}

// Explain adds to err what the user can do about it. It quotes no secret.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	code := Code(err)
	for _, m := range meanings {
		if m.code == code {
			return fmt.Errorf("%s: %w", m.meaning, err)
		}
	}
	var (
		network   net.Error
		handshake *handshakeError
	)
	text := err.Error()
	switch {
	case strings.Contains(text, "invalid password") || strings.Contains(text, "without any password configured"):
		return fmt.Errorf("the server refuses user and password: correct them, or leave them out where it has none: %w", err)
	case strings.Contains(text, "max number of clients"):
		return fmt.Errorf("the server has no room for another connection (maxclients): %w", err)
	case strings.Contains(text, "DB index is out of range"):
		return fmt.Errorf("the server does not have the database that url names: %w", err)
	case strings.Contains(text, "unknown command"):
		return fmt.Errorf("the server does not know the command: Redis 6.2 and later do: %w", err)
	case errors.As(err, &handshake) && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)):
		return fmt.Errorf("the server does not answer: does it speak TLS? else write redis:// in url: %w", err)
	case errors.As(err, &handshake):
		return fmt.Errorf("a connection with TLS cannot be made: check tls: %w", err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the server does not answer in time: %w", err)
	case errors.As(err, &network):
		return fmt.Errorf("the server cannot be reached: %w", err)
	}
	return err
}

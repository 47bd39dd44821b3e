package function_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/config"
	"sluice/sinks/function"
)

// load reads a file with one function, whose keys these are. Its folder has the
// executable worker, the text plain, and a module; PATH has a node.
func load(t *testing.T, keys string) (*config.File, error) {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"worker": 0o755, "plain": 0o644, "module.mjs": 0o644, "node": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	path := filepath.Join(dir, "f.yaml")
	text := "sources: {a: {none: {}}}\nfunctions:\n  f: {" + keys + "}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	none := func() config.Section { return &struct{}{} }
	return config.Load(path, config.Kinds{
		Sources: map[string]func() config.Section{"none": none}, Sinks: map[string]func() config.Section{"none": none}, Function: function.Kind(),
	}, func(string) (string, bool) { return "", false })
}

const noEngine = "no container engine answers at /nowhere/docker.sock (no such file or directory): start Docker or Podman (podman system service), or set DOCKER_HOST to the socket of one, such as unix:///run/podman/podman.sock"

func TestValidate(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	for keys, want := range map[string]string{
		"handler: worker": "",
		"handler: worker, runtime: custom, environment: {A: b}, timeout: 24h, init_timeout: 15m, memory: 16MiB, concurrency: 1000, per_worker: 1000, provisioned: 1, idle: 24h, max_calls: 7, shape: data, reply: publish, max_hops: 1": "",
		"handler: worker, landlock: {read: [a, /b], write: [c]}": "",

		"timeout: 3s, memory: 1GiB":        "3:3: functions.f.handler: it is empty: write the path of a file, such as functions/thumbnail.mjs",
		"handler: ''":                      "3:7: functions.f.handler: it is empty: write the path of a file, such as functions/thumbnail.mjs",
		"handler: [worker]":                "3:16: functions.f.handler: expected text, found a list",
		"handler: plain":                   `3:7: functions.f.handler: "plain" is not executable: run ` + "`chmod +x plain`",
		"handler: worker, runtime: nodejs": `3:24: functions.f.runtime: no runtime "nodejs": write node, python, go or custom; did you mean "node"?`,

		"handler: worker, timeout: 0s":                   "3:24: functions.f.timeout: expected 1ms to 24h, found 0s",
		"handler: worker, timeout: 25h":                  "3:24: functions.f.timeout: expected 1ms to 24h, found 25h",
		"handler: worker, init_timeout: 16m":             "3:24: functions.f.init_timeout: expected 1ms to 15m, found 16m",
		"handler: worker, memory: 1MiB":                  "3:24: functions.f.memory: expected 16MiB to 1TiB, found 1MiB",
		"handler: worker, memory: 128":                   `3:32: functions.f.memory: "128" is not a size: write a number with a unit, such as 512KiB, 64MiB or 10GiB`,
		"handler: worker, concurrency: 0":                "3:24: functions.f.concurrency: expected a whole number from 1 to 1000, found 0",
		"handler: worker, concurrency: many":             `3:37: functions.f.concurrency: expected a whole number, found "many"`,
		"handler: worker, per_worker: 0":                 "3:24: functions.f.per_worker: expected a whole number from 1 to 1000, found 0",
		"handler: module.mjs, per_worker: 2":             "3:28: functions.f.per_worker: a worker of node has one invocation at a time: leave it out",
		"handler: worker, provisioned: 11":               "3:24: functions.f.provisioned: expected a whole number from 0 to 10, found 11",
		"handler: worker, per_worker: 3, provisioned: 5": "3:39: functions.f.provisioned: expected a whole number from 0 to 4, found 5",
		"handler: worker, idle: 0s":                      "3:24: functions.f.idle: expected 1ms to 24h, found 0s",
		"handler: worker, max_calls: -1":                 "3:24: functions.f.max_calls: expected a whole number from 0 to 2147483647, found -1",
		"handler: worker, shape: json":                   `3:24: functions.f.shape: found "json"; write aws, cloudevent or data`,
		"handler: worker, reply: send":                   `3:24: functions.f.reply: found "send"; write publish, or leave it out`,
		"handler: worker, max_hops: 0":                   "3:24: functions.f.max_hops: found 0; write a whole number from 1 to 100",
		"handler: worker, environment: {_HANDLER: x}":    "3:38: functions.f.environment._HANDLER: _HANDLER is set by sluice itself: take another name",
		"handler: worker, environment: {A: {b: c}}":      "3:42: functions.f.environment.A.b: unknown key: there is file",
		"handler: worker, environment: {AWS_LAMBDA_LOG_LEVEL: debug, AWS_LAMBDA_LOG_FORMAT: JSON}": "",
		"handler: worker, environment: {AWS_LAMBDA_FUNCTION_NAME: x}":                              "3:38: functions.f.environment.AWS_LAMBDA_FUNCTION_NAME: AWS_LAMBDA_FUNCTION_NAME is set by sluice itself: take another name",
		"handler: worker, environment: [A]":                                                        "3:37: functions.f.environment: expected a mapping, found a list",
		"handler: worker, landlock: [a]":                                                           "3:34: functions.f.landlock: expected a mapping with read and write, found a list",
		"handler: worker, landlock: {reads: [a]}":                                                  `3:35: functions.f.landlock.reads: unknown key; did you mean "read"?`,
		"handler: worker, memry: 1GiB":                                                             `3:24: functions.f.memry: unknown key; did you mean "memory"?`,
		"handler: worker, immage: x":                                                               `3:24: functions.f.immage: unknown key; did you mean "image"?`,
		"handler: worker, image: x":                                                                "3:24: functions.f.image: it has handler too: its code is in a file or in an image; remove one of them",
		"handler: worker, image_config: {command: [a]}":                                            "3:24: functions.f.image_config: only a function with image has this: remove it",
		"image: x":  "3:7: functions.f.image: " + noEngine,
		"image: ''": "3:3: functions.f.handler: it is empty: write the path of a file, such as functions/thumbnail.mjs",
		"image: X, runtime: go, landlock: {read: [a]}": "3:7: functions.f.image: \"X\" is not the name of an image: invalid reference format: repository name (library/X) must be lowercase; it is like registry.example/team/resize:1.2\n" +
			"3:17: functions.f.runtime: an image has its own: remove it\n" +
			"3:30: functions.f.landlock: a container reaches nothing but its image: remove it",
		"image: x, image_config: {cmd: [a]}": "3:7: functions.f.image: " + noEngine + "\n" + `3:32: functions.f.image_config.cmd: unknown key: there is entry_point, command and working_directory`,
		"handler: plain, timeout: 0s, shape: x, max_hops: 0": "3:7: functions.f.handler: \"plain\" is not executable: run `chmod +x plain`\n" +
			"3:23: functions.f.timeout: expected 1ms to 24h, found 0s\n" +
			"3:36: functions.f.shape: found \"x\"; write aws, cloudevent or data\n" +
			"3:46: functions.f.max_hops: found 0; write a whole number from 1 to 100",
	} {
		file, err := load(t, keys)
		var got []string
		if problems, ok := errors.AsType[*config.Problems](err); ok {
			for _, p := range problems.List {
				_, text, _ := strings.Cut(p.Error(), "f.yaml:")
				got = append(got, text)
			}
		} else if err != nil || file == nil {
			t.Fatal(err)
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s:\n got %s\nwant %s", keys, strings.Join(got, "\n     "), want)
		}
	}
}

// TestUsers: whoever runs the tests, this user there is not.
func TestUsers(t *testing.T) {
	_, err := load(t, "handler: worker, user: no-such-user")
	if err == nil || !strings.Contains(err.Error(), "functions.f.user: user ") {
		t.Errorf("got %v", err)
	}
}

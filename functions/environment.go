package functions

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"sluice/functions/runtimes"
)

// environment is what a worker is told of itself: what the service sets ("Defined
// runtime environment variables" of its guide), what the program needs, and what
// the user declares.
func environment(s Spec, worker, api string, provisioned bool, now time.Time) map[string]string {
	kind := "on-demand"
	if provisioned {
		kind = "provisioned-concurrency"
	}
	env := map[string]string{
		"TZ":                 ":UTC",
		"AWS_REGION":         s.Region,
		"AWS_DEFAULT_REGION": s.Region,
	}
	maps.Copy(env, s.Program.Env)
	maps.Copy(env, s.Environment)
	maps.Copy(env, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_FUNCTION_NAME":        s.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.FormatInt(s.Memory>>20, 10),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + s.Name,
		streamVariable:                    streamName(worker, now),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  kind,
	})
	if s.PerWorker > 1 {
		env["AWS_LAMBDA_MAX_CONCURRENCY"] = strconv.Itoa(s.PerWorker)
	}
	return env
}

// onThisMachine adds what a process sees of its surroundings, and nothing else
// of sluice's own environment.
func onThisMachine(env map[string]string, p runtimes.Program, folder string) []string {
	all := map[string]string{
		"PATH":               os.Getenv("PATH"),
		"LANG":               "en_US.UTF-8",
		"LAMBDA_RUNTIME_DIR": p.Dir,
	}
	maps.Copy(all, env)
	maps.Copy(all, map[string]string{
		"HOME":             folder,
		"TMPDIR":           folder,
		"_HANDLER":         p.Handler,
		"LAMBDA_TASK_ROOT": p.Dir,
	})
	return list(all)
}

func list(env map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all
}

// streamVariable is by what the processes of a worker are known, since its name
// stands there.
const streamVariable = "AWS_LAMBDA_LOG_STREAM_NAME"

func streamName(worker string, now time.Time) string {
	return now.UTC().Format("2006/01/02") + "/[$LATEST]" + worker
}

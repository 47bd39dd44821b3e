package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"sluice/cmd/sluice/internal/admin"
)

// everyFunction is the key of what holds for all functions in a file for
// --env-vars.
const everyFunction = "Parameters"

// environment reads the variables for a function from the file that --env-vars
// names, in the form that "sam local invoke" takes. What stands below the
// function's name comes before what is for all.
func (f *invokeFlags) environment(name string) (map[string]string, error) {
	if f.envVars == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.envVars)
	if errors.Is(err, os.ErrNotExist) {
		return nil, exitWithf(exitNotFound, "--env-vars: there is no file %q", f.envVars)
	}
	if err != nil {
		return nil, err
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, exitWithf(exitUsage, `--env-vars: %s: %s: write {"%s": {"KEY": "value"}}`, f.envVars, admin.JSONText(err), name)
	}
	if all[name] == nil && all[everyFunction] == nil {
		return nil, exitWithf(exitUsage, "--env-vars: %s has nothing for %q, nor %s for all: it has %q", f.envVars, name, everyFunction, slices.Sorted(maps.Keys(all)))
	}
	variables := map[string]string{}
	for _, part := range []map[string]any{all[everyFunction], all[name]} {
		for key, value := range part {
			if variables[key], err = variable(value); err != nil {
				return nil, exitWithf(exitUsage, "--env-vars: %s: %s: %w", f.envVars, key, err)
			}
		}
	}
	return variables, nil
}

// variable writes a value as text.
func variable(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool, float64:
		text, err := json.Marshal(v)
		return string(text), err
	}
	found := "a list"
	if _, object := value.(map[string]any); object {
		found = "an object"
	}
	return "", fmt.Errorf("a variable is a text, a number, true or false, found %s", found)
}

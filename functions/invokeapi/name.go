package invokeapi

import (
	"net/url"
	"regexp"
	"strings"
)

// Paths are where the API is, below which nothing else may be.
var Paths = []string{"/2015-03-31/functions/*"}

const latest = "$LATEST"

// functionName is what FunctionName may be: a name, an ARN or a part of one, each
// with a qualifier or without.
var functionName = regexp.MustCompile(`^(?:(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z0-9-]{1,32}:)?\d{12}:)?(?:function:)?([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|[a-zA-Z0-9-_]{1,128}))?$`)

// maxName bounds a FunctionName with all that belongs to it.
const maxName = 512

// A target is the function that a request names.
type target struct{ name, qualifier string }

// parseTarget reads a path and the Qualifier of a query.
func parseTarget(path, qualifier string) (target, *failure) {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(Paths[0], "*"))
	escaped, invocations := strings.CutSuffix(rest, "/invocations")
	if !ok || !invocations || strings.Contains(escaped, "/") {
		return target{}, unknownOperation(path)
	}
	name, err := url.PathUnescape(escaped)
	match := functionName.FindStringSubmatch(name)
	if err != nil || len(name) > maxName || match == nil {
		return target{}, invalidName(name)
	}
	found := target{name: match[1], qualifier: match[2]}
	switch {
	case qualifier == "":
	case found.qualifier == "":
		found.qualifier = qualifier
	case found.qualifier != qualifier:
		return target{}, invalidParameter("The derived qualifier from the function name does not match the specified qualifier.")
	}
	return found, nil
}

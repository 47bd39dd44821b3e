// Package functions runs AWS Lambda functions as they are: it starts their
// worker processes by need, hands them invocations over the Lambda Runtime API,
// ends them when they are not needed, and says in the service's own words what
// became of each invocation.
//
// A worker is one process of a function, an invocation is one call. A Pool has
// the workers of one function.
package functions

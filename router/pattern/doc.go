// Package pattern is the language in which triggers say which events they want:
// the event patterns of Amazon EventBridge, with the same verdicts and the same
// refusals.
//
// A pattern is an object that has the shape of the events it matches. Its
// leaves are lists of what is allowed:
//
//	{"type": [{"prefix": "s3.object."}], "data": {"size": [{"numeric": [">", 0]}]}}
//
// All fields must match, and of each list one entry. An entry is a value
// (string, number, true, false, null) or an object with one operator: prefix,
// suffix, equals-ignore-case, wildcard, numeric, cidr, exists, exactly, or
// anything-but. "$or" holds a list of two or more objects, one of which must
// match beside the rest.
//
// # What follows the reference where its user guide is silent or differs
//
// The reference is the open-source matcher that the service itself runs. Where
// the guide of the service says something else, its verdicts were followed,
// because a pattern that is moved here must behave as it did:
//
//   - Numbers compare by value over the whole range of a 64-bit float, while the
//     guide still names ±5e9 and, elsewhere, a comparison of texts: 300, 300.0
//     and 3.0e2 are equal. A number that a float cannot hold exactly, such as
//     one of twenty digits, equals only its own spelling, is refused as an
//     operand, and lies in no range.
//   - A dot in a key is a step: {"a.b": …} and {"a": {"b": …}} are the same, in
//     patterns and in events.
//   - A string that is an IP address equals every spelling of that address.
//   - cidr takes masks below /32 and /128 only. Bits after the mask are ignored.
//   - An empty prefix or suffix matches every string, and nothing but strings;
//     below anything-but it is refused.
//   - In "$or", a field that is also asked for outside of it is asked for as
//     written last. A field that is written twice counts as written last.
//   - A "$or" that cannot be one is an ordinary field, if the whole pattern is
//     valid so: {"$or": [{"prefix": "a"}]} asks for a field named $or.
//   - Fields of one array must be found in the same element. {"exists": false}
//     looks at the element in which the fields before it, in the order of their
//     paths, were found; with none before it, at the whole array.
//   - Wildcards are limited by how many of their beginnings one text can match at
//     the same time: below ten for all wildcards of a field.
//   - equals-ignore-case allows each character in its upper and its lower case,
//     which is not symmetric: ß allows SS, but SS does not allow ß.
//
// # Limits
//
// A pattern has at most 256 KiB, 100 levels, 1000 combinations of "$or" and 256
// fields in each; the last two are those of the reference. Matching takes time
// in proportion to the event and the pattern. A pattern that asks for absent
// fields in nested lists could take more; a match is given up as failed after
// about a million steps.
//
// # What differs on purpose
//
// Three things do. Characters outside of the basic plane and
// titlecase characters equal themselves under equals-ignore-case. An empty list
// below anything-but with an operator is refused. A pattern that was read into
// a map (FromValue) may not ask for a field twice, since a map has no order.
package pattern

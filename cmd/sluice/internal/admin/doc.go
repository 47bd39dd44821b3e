// Package admin is the way in for operators: health, metrics, and the API that
// the commands use, as a server and as a client of it.
//
// # Who may ask
//
// The server listens on loopback unless it is told otherwise. There it answers
// only requests that name this machine as their host, so that no web page can
// reach it by a name of its own (DNS rebinding), and none that a browser sends
// for another site. With a token, everything but /livez and the short form of
// /readyz asks for it as a bearer token (RFC 6750).
//
// # Ready or not
//
// /livez says that the process answers. /readyz says that events are taken and
// carried: it fails when the bus, the router or the ingest listener does, and
// while sluice starts or stops. A source in error is shown as degraded, and does
// not make sluice unready: the others work on, and taking all of them away
// because a bucket cannot be reached would only lose more.
//
// # Answers
//
// Answers are JSON. What went wrong is a problem detail (RFC 9457) of the media
// type application/problem+json.
package admin

// Package invokeapi is the part of the AWS Lambda API by which SDKs invoke
// functions: Invoke of the version 2015-03-31, over HTTP.
//
// Requests are signed by Signature Version 4, and each key may invoke the
// functions that it names and no others. The signature covers the method, the
// path, the query, the body and the headers that it names: all that the API
// reads must be among them. A signed request can be sent again for five
// minutes, as with the service.
package invokeapi

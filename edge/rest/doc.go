// SPDX-License-Identifier: Apache-2.0

// Package rest reads HTTP requests as Janus does (src/transports/janus_http.c, and libmicrohttpd under it): which session
// and handle a path names, what a query asks for, which request body and path make together, and which pages may ask. It serves nobody: packages edge and admin do.
//
// Nothing here is stricter than Janus: "/janus/12abc" names the session 12, "?MAXEV=+3" asks for three events. What comes
// out is strict: ids are numbers, and a request is in the plain form of package janusjson.
package rest

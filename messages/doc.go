// SPDX-License-Identifier: Apache-2.0

// Package messages is the wire between the roles of the cluster: identifiers, subject names, heartbeats, records,
// analytics events and the errors that clients see. The roles (edge, session, media) meet nowhere else, so that they
// are the same program in one process or in thirty.
//
// The body of a request, reply or plugin event is the Janus JSON itself and is never decoded here: package janusjson
// scans and splices it. What a hop needs besides stands in the subject and the reply subject.
package messages

// SPDX-License-Identifier: Apache-2.0

package messages

import "fmt"

// Code is an error code of the Janus API (src/apierror.h).
type Code int

// The codes of src/apierror.h that the core of Janus uses.
const (
	CodeUnauthorized            Code = 403
	CodeUnauthorizedPlugin      Code = 405
	CodeTransportSpecific       Code = 450
	CodeMissingRequest          Code = 452
	CodeUnknownRequest          Code = 453
	CodeInvalidJSON             Code = 454
	CodeInvalidJSONObject       Code = 455
	CodeMissingMandatoryElement Code = 456
	CodeInvalidRequestPath      Code = 457
	CodeSessionNotFound         Code = 458
	CodeHandleNotFound          Code = 459
	CodePluginNotFound          Code = 460
	CodePluginAttach            Code = 461
	CodePluginMessage           Code = 462
	CodePluginDetach            Code = 463
	CodeJSEPUnknownType         Code = 464
	CodeJSEPInvalidSDP          Code = 465
	CodeTrickleInvalidStream    Code = 466
	CodeInvalidElementType      Code = 467
	CodeSessionConflict         Code = 468
	CodeUnexpectedAnswer        Code = 469
	CodeTokenNotFound           Code = 470
	CodeWebRTCState             Code = 471
	CodeNotAcceptingNewSessions Code = 472
	CodeUnknown                 Code = 490
)

// Error is a failure as the client of the Janus API sees it: a code and the reason that goes with it.
type Error struct {
	Code   Code
	Reason string // at most 511 bytes reach the client, as in Janus
}

func (e *Error) Error() string { return fmt.Sprintf("janus error %d: %s", e.Code, e.Reason) }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// The errors that several hops answer, with Janus's own wording (src/janus.c).

// ErrSessionNotFound is what a request for an unknown session gets.
func ErrSessionNotFound(session uint64) *Error {
	return Errorf(CodeSessionNotFound, "No such session %d", session)
}

// ErrHandleNotFound is what a request for an unknown handle gets.
func ErrHandleNotFound(handle, session uint64) *Error {
	return Errorf(CodeHandleNotFound, "No such handle %d in session %d", handle, session)
}

// ErrMissing is what a request without a mandatory element gets.
func ErrMissing(element string) *Error {
	return Errorf(CodeMissingMandatoryElement, "Missing mandatory element (%s)", element)
}

// ErrElementType is what a request gets whose element has another type than Janus wants ("a string", "a positive integer").
func ErrElementType(element, want string) *Error {
	return Errorf(CodeInvalidElementType, "Invalid element type (%s should be %s)", element, want)
}

// ErrUnhandled is what a request gets that has no meaning where it was sent.
func ErrUnhandled(verb string) *Error {
	return Errorf(CodeInvalidRequestPath, "Unhandled request '%s' at this path", verb)
}

// ErrUnknownRequest is what an unknown verb gets.
func ErrUnknownRequest(verb string) *Error {
	return Errorf(CodeUnknownRequest, "Unknown request '%s'", verb)
}

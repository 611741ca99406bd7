// SPDX-License-Identifier: Apache-2.0

// Package house holds the rules of this code base that no general linter knows, as a test: what may import what and why,
// how long a function may be, what must be documented, what must not exist. Each rule is a function of one parsed file
// (rules.go) or of the module (module.go); the test runs all of them over everything.
//
// Two comments at the end of a line make exceptions, and say why: //house:table for a package-level variable that nobody
// changes, //house:sleep for a test that has to sleep.
package house

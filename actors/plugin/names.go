// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/januscloud/januscloud/messages/janusjson"

// Names is a Router for a plugin whose handles are known by names: the keys are those names, and a name is where the handle is
// that has it. Names come and go without their owners being told, so that these look for them each time they are asked.
type Names interface {
	Router
	// Register is the body of the request for a name.
	Register(key string) []byte
	// Registered reads the name from the data of the event that gives it to a handle.
	Registered(data janusjson.Object) (key string, ok bool)
	// Taken is the data of the event for who asks for a name that another handle has.
	Taken(key string) []byte
}

// Local is a Names for a plugin that Janus does not have: session nodes serve it themselves, and keep its names.
type Local interface {
	Names
	// Version is what info tells of it.
	Version() string
}

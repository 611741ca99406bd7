// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/januscloud/januscloud/actors/plugin"
	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

const (
	// maxTwice is how many rooms that several Janus list are looked up for one list. There are as many as in a configuration that
	// all Janus share; files in a folder that they share are many more, and the same on all.
	maxTwice = 32
	// twiceTime bounds that.
	twiceTime = time.Second
)

// leaveToHomes takes the rooms that several Janus have in their lists out of all lists but that of the one that is the room's home:
// what the others tell may not be what has become of it. It blocks until the owners have answered or ctx ends.
func (n *Node) leaveToHomes(ctx context.Context, router plugin.Router, lists []janusjson.Object, from []messages.Member) {
	l, ok := router.(plugin.Lists)
	if !ok {
		return
	}
	twice := l.Twice(lists)
	if len(twice) == 0 || len(twice) > maxTwice {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, twiceTime)
	defer cancel()
	homes := make([]messages.Member, len(twice))
	var work sync.WaitGroup
	for i, key := range twice {
		if len(key) > maxRoomKey {
			continue
		}
		work.Go(func() {
			homes[i] = n.askRoom(ctx, messages.RoomName{Plugin: router.Plugin(), Key: key}, messages.RoomAsk{}).Server
		})
	}
	work.Wait()
	for i, list := range lists {
		var others []string
		for k, key := range twice {
			if homes[k] != from[i] && slices.Contains(from, homes[k]) {
				others = append(others, key)
			}
		}
		if len(others) > 0 {
			lists[i] = l.Without(list, others)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"encoding/json"
	"slices"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/janusjson"
)

// maxPartBytes bounds what is stored of rooms that share a home: NATS takes messages of 1 MiB.
const maxPartBytes = 512 << 10

// finishPart notes what a request did to one of many rooms that share this home, and answers it.
func (r *room) finishPart(job *roomJob, data janusjson.Object, answer messages.RoomAnswer) {
	parts := r.record.Parts
	key := job.route.Part
	switch {
	case job.route.Creates:
		made, ok := r.router.Made(data)
		if !ok {
			r.answer(job, answer)
			return
		}
		key = made
		parts = append(withoutPart(parts, key), messages.RoomPart{Key: key, Made: []json.RawMessage{r.router.Named(job.body, key)}})
	case job.route.Ends:
		parts = withoutPart(parts, key)
	case job.route.Keep:
		i := slices.IndexFunc(parts, func(p messages.RoomPart) bool { return p.Key == key })
		if i < 0 { // it is in the configuration of each Janus
			i = len(parts)
			parts = append(parts, messages.RoomPart{Key: key})
		}
		if parts[i].Made = append(parts[i].Made, job.ask.Body); len(parts[i].Made) > maxMade {
			parts[i].Made = slices.Delete(parts[i].Made, 1, 2)
		}
	default:
		r.answer(job, answer)
		return
	}
	r.record.Parts = r.bounded(parts)
	r.keep(func() { r.answer(job, answer) })
}

func withoutPart(parts []messages.RoomPart, key string) []messages.RoomPart {
	return slices.DeleteFunc(parts, func(p messages.RoomPart) bool { return p.Key == key })
}

// bounded leaves the oldest rooms out of what is stored, when it is too much.
func (r *room) bounded(parts []messages.RoomPart) []messages.RoomPart {
	total := 0
	for i, p := range slices.Backward(parts) {
		for _, body := range p.Made {
			total += len(body)
		}
		if total > maxPartBytes {
			r.node.Log.Warn("too many rooms share a home: the oldest could not be made again if its Janus were lost",
				"plugin", r.name.Plugin, "rooms", len(parts), "left out", i+1)
			return parts[i+1:]
		}
	}
	return parts
}

// all are the requests that make the room, or all rooms that share the home, again.
func (r *roomRecord) all() []json.RawMessage {
	all := slices.Clone(r.Made)
	for _, p := range r.Parts {
		all = append(all, p.Made...)
	}
	return all
}

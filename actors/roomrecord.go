// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// roomBucket holds the records of rooms, <partition>.<room>.<plugin>.
	roomBucket = "januscloud_rooms"
	// maxMade bounds the requests that a record keeps to make its room again; of more, the oldest edits are left out.
	maxMade = 64
)

// roomRecord is what is stored of a room, with its revision. Writes go one after the other: the room is busy meanwhile.
type roomRecord struct {
	messages.RoomRecord
	revision uint64
}

// storedRoom is a record as it was read; revision 0: there is none.
type storedRoom struct {
	record   messages.RoomRecord
	revision uint64
}

// adopt takes over what a predecessor stored, or what was stored last.
func (r *roomRecord) adopt(s storedRoom) {
	if s.revision > r.revision {
		r.RoomRecord, r.revision = s.record, s.revision
	}
}

// roomStored says that something was stored, or failed to be.
type roomStored struct {
	revision uint64
	err      error
	then     func()
}

// keep stores the record, and calls then when it is stored. Others wait until then; a store that takes too long does not
// keep the room from going on.
func (r *room) keep(then func()) {
	if len(r.record.Made) > maxMade {
		r.record.Made = append(r.record.Made[:1], r.record.Made[len(r.record.Made)-maxMade+1:]...)
	}
	r.record.Epoch, r.record.Plugin, r.record.Key = r.part.epoch, r.name.Plugin, r.name.Key
	if !r.home.IsZero() {
		r.record.Server, r.record.Reason, r.record.Since = r.home, r.reason, r.since
	}
	data, err := json.Marshal(r.record.RoomRecord)
	if err != nil {
		r.node.Log.Error("record does not marshal", "room", r.name.Key, "error", err)
		then()
		return
	}
	r.write(data, then)
}

// forget deletes the record.
func (r *room) forget(then func()) {
	revision := r.record.revision
	r.record = roomRecord{revision: revision}
	if revision == 0 {
		then()
		return
	}
	r.write(nil, then)
}

func (r *room) write(data []byte, then func()) {
	r.busy = true
	n, name, revision := r.node, r.name, r.record.revision
	r.node.errand(r.self, func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		at, err := n.store.writeRoom(ctx, name, revision, data)
		return roomStored{revision: at, err: err, then: then}
	})
}

func (r *room) onStored(m roomStored) {
	r.busy = false
	if m.revision > 0 {
		r.record.revision = m.revision
		r.node.metrics.writes.WithLabelValues("stored").Inc()
	}
	if m.err != nil {
		r.node.metrics.writes.WithLabelValues("failed").Inc()
		r.node.Log.Warn("room not stored: it could not be made again if its Janus were lost", "plugin", r.name.Plugin,
			"room", r.name.Key, "error", m.err)
	}
	m.then()
	r.pump()
}

func roomKey(name messages.RoomName) string {
	return strconv.Itoa(name.Partition()) + "." + name.Token() + "." + name.Plugin
}

const roomSubjects = "$KV." + roomBucket + "."

// openRooms makes the bucket of rooms, or finds it.
func openRooms(ctx context.Context, js jetstream.JetStream, replicas int) error {
	_, err := bus.OpenBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: roomBucket, Description: "januscloud: how to make rooms again whose Janus is lost",
		History: 1, Replicas: replicas, Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})
	return err
}

// readRoom reads a record. It blocks until there is an answer or ctx ends.
func (s *store) readRoom(ctx context.Context, name messages.RoomName) (storedRoom, error) {
	var m *bus.Msg
	err := s.patiently(ctx, func(try context.Context, _ func()) (err error) {
		m, err = s.bus.Request(try, "$JS.API.DIRECT.GET.KV_"+roomBucket+"."+roomSubjects+roomKey(name), nil)
		return err
	})
	if err != nil {
		return storedRoom{}, fmt.Errorf("records: %w", err)
	}
	a := readStored(m)
	out := storedRoom{revision: a.revision}
	if a.down {
		return out, fmt.Errorf("records: %w", bus.ErrNoResponders)
	}
	if len(a.value) > 0 {
		err = json.Unmarshal(a.value, &out.record)
	}
	return out, err
}

// errRoomStored says that the record of a room is not what it was.
var errRoomStored = errors.New("another owner has stored it")

// writeRoom stores a record, or deletes it (nil), if its revision is still the given one. A record that is in the way and
// older than ours is overwritten: it is of an owner who was deposed. It blocks until there is an answer or ctx ends.
func (s *store) writeRoom(ctx context.Context, name messages.RoomName, revision uint64, data []byte) (uint64, error) {
	for range 3 {
		m := nats.NewMsg(roomSubjects + roomKey(name))
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
		if m.Data = data; data == nil {
			m.Header.Set("KV-Operation", "PURGE")
			m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
			m.Header.Set(jetstream.MsgTTLHeader, markerTTL.String())
		}
		reply, err := s.bus.Conn().RequestMsgWithContext(ctx, m)
		if err != nil {
			return 0, fmt.Errorf("records: %w", err)
		}
		a := readStored(&bus.Msg{Data: reply.Data})
		switch {
		case a.down:
			return 0, errors.New("records: JetStream did not accept the write")
		case !a.conflict:
			return a.revision, nil
		}
		there, err := s.readRoom(ctx, name)
		if err != nil {
			return 0, err
		}
		var ours messages.RoomRecord
		if data != nil && json.Unmarshal(data, &ours) == nil && ours.Epoch.Less(there.record.Epoch) {
			return there.revision, errRoomStored
		}
		revision = there.revision
	}
	return 0, errRoomStored
}

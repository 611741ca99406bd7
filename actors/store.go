// SPDX-License-Identifier: Apache-2.0

package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/januscloud/januscloud/messages"
	"github.com/januscloud/januscloud/messages/bus"
)

const (
	// sessionBucket holds the records of sessions, <partition>.<session>, and of handles, <partition>.<session>.<handle>.
	sessionBucket = "januscloud_sessions"
	// markerTTL is how long the marker of a deleted record stays: longer than any repeat of what was deleted.
	markerTTL = time.Minute
	// proofKey is written to prove that this node reaches a majority of JetStream.
	proofKey = "proof"
	// loadBatch is how many records one direct get returns at most.
	loadBatch = 1000
	// loadAtOnce is how many partitions are read at once.
	loadAtOnce = 32
	// firstPageTime is how long a page may take to begin until it is asked for again. NATS draws the replica that answers, and knows
	// for long nothing of one that is frozen: of hundreds of pages some meet it four times in a row. So each later try may take but
	// a fifth longer, up to longestPageTime, which also bounds what is between two records of a page.
	firstPageTime   = 50 * time.Millisecond
	longestPageTime = 3 * time.Second
)

// store writes records to JetStream and reads them back. Writes are plain publishes with a revision as condition, whose
// acks come to the session's own subject like any other message: no actor ever waits.
type store struct {
	bus      *bus.Bus
	log      *slog.Logger
	replicas int
	made     time.Time // when the stream was made that was there at the start
	stream   string
	prefix   string // of a record's subject
}

// openRetry is the pause before JetStream is asked again for the buckets.
const openRetry = 500 * time.Millisecond

// openStore makes the buckets, or finds them. It blocks until they are there or ctx ends.
func openStore(ctx context.Context, b *bus.Bus, replicas int, log *slog.Logger) (*store, error) {
	s := &store{bus: b, log: log, replicas: replicas, stream: "KV_" + sessionBucket, prefix: "$KV." + sessionBucket + "."}
	for {
		var err error
		if s.made, err = s.make(ctx); err == nil {
			return s, nil
		}
		log.Info("waiting for JetStream", "error", err)
		if !bus.Pause(ctx, openRetry) {
			return nil, fmt.Errorf("records: %w (last: %w)", ctx.Err(), err)
		}
	}
}

// make makes the buckets, or has those that are there be as they should.
func (s *store) make(ctx context.Context) (made time.Time, err error) {
	js, err := jetstream.New(s.bus.Conn())
	if err != nil {
		return time.Time{}, err
	}
	kv, err := bus.OpenBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: sessionBucket, Description: "januscloud: records of sessions and handles",
		History: 1, Replicas: s.replicas, Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})
	if err == nil {
		err = openRooms(ctx, js, s.replicas)
	}
	if err != nil {
		return time.Time{}, err
	}
	return madeAt(ctx, kv)
}

// open looks again when the buckets were made, and makes them should they be gone. It blocks until they are there or ctx ends.
func (s *store) open(ctx context.Context) (made time.Time, err error) {
	js, err := jetstream.New(s.bus.Conn())
	if err != nil {
		return time.Time{}, fmt.Errorf("records: %w", err)
	}
	for {
		kv, err := js.KeyValue(ctx, sessionBucket)
		if err == nil {
			made, err = madeAt(ctx, kv)
		}
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			made, err = s.make(ctx)
		}
		if err == nil {
			return made, nil
		}
		s.log.Debug("records are not there", "error", err)
		if !bus.Pause(ctx, openRetry) {
			return time.Time{}, fmt.Errorf("records: %w (last: %w)", ctx.Err(), err)
		}
	}
}

// madeAt tells when a bucket was made.
func madeAt(ctx context.Context, kv jetstream.KeyValue) (time.Time, error) {
	status, err := kv.Status(ctx)
	if err != nil {
		return time.Time{}, err
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return time.Time{}, errors.New("the bucket is no stream")
	}
	return bucket.StreamInfo().Created, nil
}

func sessionKey(session uint64) string {
	return strconv.Itoa(messages.PartitionOf(session)) + "." + strconv.FormatUint(session, 10)
}

func handleKey(session, handle uint64) string {
	return sessionKey(session) + "." + strconv.FormatUint(handle, 10)
}

// put writes a record if its revision is still the given one (0: there is none). The ack goes to the subject ack.
func (s *store) put(key string, revision uint64, value []byte, ack string) error {
	return s.bus.PublishHeader(s.prefix+key, ack, nats.Header{
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)},
	}, value)
}

// purge deletes a record if its revision is still the given one.
func (s *store) purge(key string, revision uint64, ack string) error {
	return s.bus.PublishHeader(s.prefix+key, ack, nats.Header{
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)},
		"KV-Operation":                      {"PURGE"},
		jetstream.MsgRollup:                 {jetstream.MsgRollupSubject},
		jetstream.MsgTTLHeader:              {markerTTL.String()},
	}, nil)
}

// get asks for a record; it comes, or a status 404, to the subject answer.
func (s *store) get(key, answer string) error {
	return s.bus.Publish("$JS.API.DIRECT.GET."+s.stream+"."+s.prefix+key, answer, nil)
}

// stored is what JetStream answered to a put, purge or get.
type stored struct {
	revision uint64 // of the record now; 0: there is none
	conflict bool   // the condition did not hold
	down     bool   // nobody took the write
	value    []byte // of a get
}

// readStored reads an answer of JetStream.
func readStored(m *bus.Msg) stored {
	if m.NoResponders {
		return stored{down: true}
	}
	if m.Header != nil { // of a get
		if m.Header.Get("Status") == "404" {
			return stored{}
		}
		n, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		return stored{revision: n, value: m.Data, down: err != nil}
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			ErrCode int `json:"err_code"`
		} `json:"error"`
	}
	if json.Unmarshal(m.Data, &ack) != nil {
		return stored{down: true}
	}
	if ack.Error != nil {
		// The leader of a replicated stream has a code of its own for what it finds out before the others vote.
		conflict := ack.Error.ErrCode == int(jetstream.JSErrCodeStreamWrongLastSequence) ||
			ack.Error.ErrCode == int(jetstream.JSErrCodeStreamWrongLastSequenceConstant)
		return stored{conflict: conflict, down: !conflict}
	}
	return stored{revision: ack.Seq}
}

// prove blocks until JetStream has accepted a write, or ctx ends. JetStream accepts only with a majority of its
// servers, so of two halves of a cluster that lost each other at most one can prove itself.
func (s *store) prove(ctx context.Context, node string) error {
	m, err := s.bus.Request(ctx, s.prefix+proofKey, []byte(node))
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	if a := readStored(m); a.revision == 0 {
		return errors.New("records: JetStream did not accept a write")
	}
	return nil
}

// rawRecord is a record as it was read: a value, or the marker of a deletion.
type rawRecord struct {
	session, handle uint64 // handle 0: the session's own record
	revision        uint64
	value           []byte
	deleted         bool
}

// load reads all records of the partitions. It blocks until it has them or ctx ends, however long JetStream does not answer. It
// reads by direct get, which any replica answers, so that a leader that just died delays nothing.
func (s *store) load(ctx context.Context, set messages.PartitionSet) ([]rawRecord, error) {
	if set.Len() > messages.Partitions/4 {
		return s.loadFilter(ctx, s.prefix+">", set)
	}
	parts := slices.Collect(set.All())
	found := make([][]rawRecord, len(parts))
	var group errgroup.Group
	group.SetLimit(loadAtOnce)
	for i, p := range parts {
		group.Go(func() (err error) {
			found[i], err = s.loadFilter(ctx, s.prefix+strconv.Itoa(p)+".>", set)
			return err
		})
	}
	err := group.Wait() // before found is read
	return slices.Concat(found...), err
}

// loadFilter reads the records of one filter, page after page (ADR-31 of NATS: batched direct get).
func (s *store) loadFilter(ctx context.Context, filter string, set messages.PartitionSet) ([]rawRecord, error) {
	var all []rawRecord
	for seq := uint64(1); ; {
		ask, err := json.Marshal(map[string]any{"batch": loadBatch, "seq": seq, "next_by_subj": filter})
		if err != nil {
			return nil, fmt.Errorf("records: %w", err)
		}
		page, last, err := s.insist(ctx, ask)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if set.Has(messages.PartitionOf(r.session)) {
				all = append(all, r)
			}
		}
		if last == 0 {
			return all, nil
		}
		seq = last + 1
	}
}

// insist reads one page, again and again until it comes.
func (s *store) insist(ctx context.Context, ask []byte) (page []rawRecord, last uint64, err error) {
	err = s.patiently(ctx, func(try context.Context, comes func()) (err error) {
		page, last, err = s.loadPage(try, ask, comes)
		return err
	})
	return page, last, err
}

// patiently asks again and again until there is an answer or ctx ends: whoever was to answer may be frozen, or gone with the question.
// ask calls comes with each part of a long answer.
func (s *store) patiently(ctx context.Context, ask func(try context.Context, comes func()) error) error {
	for patience := firstPageTime; ; patience = min(patience+patience/5, longestPageTime) {
		try, cancel := context.WithCancel(ctx)
		timer := time.AfterFunc(patience, cancel)
		err := ask(try, func() { timer.Reset(longestPageTime) })
		if err != nil {
			<-try.Done() // who fails at once is not asked all the time
		}
		timer.Stop()
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// loadPage reads one page; last is the last sequence of a page that may have successors, else 0. comes is called with each record.
func (s *store) loadPage(ctx context.Context, ask []byte, comes func()) (page []rawRecord, last uint64, err error) {
	var failed error
	err = s.bus.RequestMany(ctx, "$JS.API.DIRECT.GET."+s.stream, ask, func(m *bus.Msg) bool {
		if m.NoResponders {
			failed = bus.ErrNoResponders
			return false
		}
		switch status := m.Header.Get("Status"); {
		case status == "404": // nothing (more)
			last = 0
			return false
		case status == "204": // end of batch
			if pending := m.Header.Get("Nats-Num-Pending"); pending == "" || pending == "0" {
				last = 0
			}
			return false
		case status != "":
			failed = fmt.Errorf("direct get: %s %s", status, m.Header.Get("Description"))
			return false
		}
		comes()
		if m.Header.Get(jetstream.SubjectHeader) == s.prefix+proofKey {
			return true
		}
		r, err := s.parseRecord(m)
		if err != nil {
			s.log.Error("record not understood", "error", err)
			return true
		}
		page, last = append(page, r), r.revision
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, 0, fmt.Errorf("records: %w", err)
	}
	return page, last, nil
}

func (s *store) parseRecord(m *bus.Msg) (rawRecord, error) {
	key, _ := strings.CutPrefix(m.Header.Get(jetstream.SubjectHeader), s.prefix)
	_, ids, _ := strings.Cut(key, ".")
	session, handle, _ := strings.Cut(ids, ".")
	r := rawRecord{value: m.Data, deleted: m.Header.Get("KV-Operation") != ""}
	var errs [3]error
	r.session, errs[0] = strconv.ParseUint(session, 10, 64)
	if handle != "" {
		r.handle, errs[1] = strconv.ParseUint(handle, 10, 64)
	}
	r.revision, errs[2] = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return r, fmt.Errorf("key %q: %w", key, err)
	}
	return r, nil
}

// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// copies is how often a bucket is kept where there are as many NATS servers.
const copies = 3

// OpenBucket finds a bucket, or makes it. Where c.Replicas is 0 it is kept three times if the NATS cluster has as many servers,
// else once; a bucket of a cluster that has grown since gets its copies, and none ever loses any. It blocks until JetStream has
// answered or ctx ends.
func OpenBucket(ctx context.Context, js jetstream.JetStream, c jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	if c.Replicas != 0 {
		return js.CreateOrUpdateKeyValue(ctx, c)
	}
	has, err := copiesOf(ctx, js, c.Bucket)
	if err != nil {
		return nil, err
	}
	if has < copies {
		c.Replicas = copies
		if kv, err := js.CreateOrUpdateKeyValue(ctx, c); err == nil {
			return kv, nil
		}
	}
	if has == 0 {
		c.Replicas = 1
		kv, err := js.CreateKeyValue(ctx, c)
		if !errors.Is(err, jetstream.ErrBucketExists) {
			return kv, err
		}
	}
	return js.KeyValue(ctx, c.Bucket) // somebody else may have given it its copies meanwhile
}

// copiesOf is how often a bucket is kept; 0: there is none.
func copiesOf(ctx context.Context, js jetstream.JetStream, bucket string) (int, error) {
	stream, err := js.Stream(ctx, "KV_"+bucket)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return stream.CachedInfo().Config.Replicas, nil
}

// Pause waits for d, and reports false where ctx ended first.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

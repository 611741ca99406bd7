// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages/bus"
	"github.com/januscloud/januscloud/messages/bus/bustest"
	"github.com/januscloud/januscloud/messages/bus/embedded"
)

// A bucket that was made once while there was one server, or while three were not ready, gets its copies later; what it holds
// stays.
func TestBucketGetsItsCopies(t *testing.T) {
	one := bustest.Start(t, embedded.Options{JetStream: true, StoreDir: t.TempDir()})
	three := bustest.Cluster(t, 3, func(o *embedded.Options) { o.JetStream = true })
	for want, at := range map[int]*embedded.Server{1: one, 3: three[0]} {
		nc, err := nats.Connect(at.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		open := func(replicas int) (kv jetstream.KeyValue) {
			c := jetstream.KeyValueConfig{Bucket: "b", Replicas: replicas, Storage: jetstream.MemoryStorage}
			for kv == nil { // a cluster elects its leader some seconds after its routes stand
				try, cancel := context.WithTimeout(ctx, 2*time.Second)
				kv, err = bus.OpenBucket(try, js, c)
				cancel()
				if ctx.Err() != nil {
					t.Fatalf("%d servers: %v", want, err)
				}
			}
			return kv
		}
		stream := func() *jetstream.StreamInfo {
			t.Helper()
			s, err := js.Stream(ctx, "KV_b")
			if err != nil {
				t.Fatal(err)
			}
			return s.CachedInfo()
		}
		if _, err := open(1).PutString(ctx, "a", "kept"); err != nil {
			t.Fatal(err)
		}
		made := stream().Created
		for range 2 {
			kv := open(0)
			if got := stream(); got.Config.Replicas != want || !got.Created.Equal(made) {
				t.Errorf("%d servers: %d copies, made %v, before %v", want, got.Config.Replicas, got.Created, made)
			}
			if e, err := kv.Get(ctx, "a"); err != nil || string(e.Value()) != "kept" {
				t.Errorf("%d servers: %v, %v", want, e, err)
			}
		}
	}
}

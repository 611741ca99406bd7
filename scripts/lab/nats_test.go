// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestNATSAlone stores a value, restarts the server and finds it.
func TestNATSAlone(t *testing.T) {
	cluster := NATS(t, 1)
	put(t, cluster, 1)
	cluster.Servers[0].Restart()
	cluster.WaitReady(t)
	if cluster.Leader() != cluster.Servers[0] {
		t.Error("a server of its own does not lead itself")
	}
	get(t, cluster)
}

// TestNATSCluster stores a value in three replicas, kills the leader, and finds the value when another leads.
func TestNATSCluster(t *testing.T) {
	cluster := NATS(t, 3)
	put(t, cluster, 3)
	leader := cluster.Leader()
	leader.Kill()
	WaitFor(t, electionTime, func() string {
		if next := cluster.Leader(); next == nil || next == leader {
			return "no new leader"
		}
		return ""
	})
	get(t, cluster)
	leader.Restart()
	cluster.WaitReady(t)
}

func connectNATS(t *testing.T, cluster *NATSCluster) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(cluster.URL(), nats.Timeout(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func put(t *testing.T, cluster *NATSCluster, replicas int) {
	t.Helper()
	ctx := testContext(t)
	config := jetstream.KeyValueConfig{Bucket: "lab", Replicas: replicas, Storage: jetstream.FileStorage}
	kv, err := connectNATS(t, cluster).CreateKeyValue(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(ctx, "key", "value"); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, cluster *NATSCluster) {
	t.Helper()
	js := connectNATS(t, cluster)
	WaitFor(t, electionTime, func() string {
		ctx := testContext(t)
		kv, err := js.KeyValue(ctx, "lab")
		if err != nil {
			return err.Error()
		}
		entry, err := kv.Get(ctx, "key")
		if err != nil || string(entry.Value()) != "value" {
			return "no value"
		}
		return ""
	})
}

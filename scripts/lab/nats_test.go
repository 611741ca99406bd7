// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/messages/bus/bustest"
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

// TestSeverableNATS cuts a server off from the two others, in both ways, and looks that it joins them again.
func TestSeverableNATS(t *testing.T) {
	cluster := SeverableNATS(t, 3)
	put(t, cluster, 3)
	conns := make([]*nats.Conn, 3)
	heard := make([]chan *nats.Msg, 3)
	for i, s := range cluster.Servers {
		conn, err := nats.Connect(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i], heard[i] = conn, make(chan *nats.Msg, 1000)
		if _, err := conn.ChanSubscribe("word", heard[i]); err != nil {
			t.Fatal(err)
		}
	}
	passes := func(from, to int) bool {
		for len(heard[to]) > 0 {
			<-heard[to]
		}
		if err := conns[from].Publish("word", nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-heard[to]:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	}
	wait := func(want bool, pairs ...[2]int) {
		t.Helper()
		WaitFor(t, electionTime, func() string {
			for _, p := range pairs {
				if passes(p[0], p[1]) != want {
					return fmt.Sprintf("from %d to %d passes what is said: %v", p[0], p[1], !want)
				}
			}
			return ""
		})
	}
	for _, cut := range []func(*bustest.Proxy){(*bustest.Proxy).Cut, (*bustest.Proxy).Freeze} {
		wait(true, [2]int{0, 1}, [2]int{1, 2}, [2]int{2, 0})
		cluster.Isolate(2, cut)
		wait(false, [2]int{0, 2}, [2]int{2, 0}, [2]int{1, 2}, [2]int{2, 1})
		wait(true, [2]int{0, 1}, [2]int{1, 0})
		cluster.Heal()
	}
	cluster.WaitReady(t)
	wait(true, [2]int{0, 2}, [2]int{2, 1})
	get(t, cluster)
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

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/januscloud/januscloud/mediactl/janusapi"
	"github.com/januscloud/januscloud/scripts/lab"
)

// metrics reads a role's metrics: samples of one name, whatever their labels, are added up.
func metrics(r *lab.RoleProcess) (map[string]float64, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(r.Ready.Fields["health"] + "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	sums := make(map[string]float64)
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		sample, value, found := cutLast(lines.Text(), " ")
		if !found || strings.HasPrefix(sample, "#") {
			continue
		}
		name, _, _ := strings.Cut(sample, "{")
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metrics of %s: %q", r.Ready.Name, lines.Text())
		}
		sums[name] += number
	}
	return sums, nil
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// metric reads one metric of a role that must have it.
func metric(t *testing.T, r *lab.RoleProcess, name string) float64 {
	t.Helper()
	all, err := metrics(r)
	if err != nil {
		t.Fatal(err)
	}
	value, there := all[name]
	if !there {
		t.Fatalf("%s has no metric %s", r.Ready.Name, name)
	}
	return value
}

// mismatch tells the first of the metrics that is not what it should be; "" when all are.
func mismatch(r *lab.RoleProcess, want map[string]float64) string {
	all, err := metrics(r)
	if err != nil {
		return err.Error()
	}
	for name, value := range want {
		if got, there := all[name]; !there || got != value {
			return fmt.Sprintf("%s: %s is %v (there: %v), want %v", r.Ready.Name, name, got, there, value)
		}
	}
	return ""
}

// admin asks a Janus something over its admin API.
func admin(j *lab.JanusServer, verb string, fields map[string]any, into any) error {
	a, err := janusapi.NewAdmin(j.Config.AdminWSURL(), j.Config.AdminSecret)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	reply, err := a.Do(ctx, verb, fields)
	if err != nil {
		return err
	}
	return json.Unmarshal(reply, into)
}

// janusSessions are the sessions that a Janus has.
func janusSessions(j *lab.JanusServer) ([]uint64, error) {
	var list struct {
		Sessions []uint64 `json:"sessions"`
	}
	err := admin(j, "list_sessions", nil, &list)
	return list.Sessions, err
}

// records are the keys of all records that the cluster keeps.
func (c *testCluster) records(ctx context.Context) ([]string, error) {
	conn, err := nats.Connect(c.nats.URL())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	bucket, err := js.KeyValue(ctx, "januscloud_sessions")
	if err != nil {
		return nil, err
	}
	keys, err := bucket.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, nil
	}
	return slices.DeleteFunc(keys, func(key string) bool { return !strings.Contains(key, ".") }), err // a node's proof is no record
}

// roles are all processes of the cluster that run.
func (c *testCluster) roles() []*lab.RoleProcess {
	var all []*lab.RoleProcess
	for _, group := range [][]*lab.RoleProcess{c.edges, c.nodes, c.media} {
		all = append(all, group...)
	}
	return slices.DeleteFunc(all, func(r *lab.RoleProcess) bool { return !r.Running() })
}

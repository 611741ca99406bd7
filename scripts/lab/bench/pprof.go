// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/januscloud/januscloud/scripts/lab/bench/drive"
)

// maxAnswer bounds what is read of a process's profile, in bytes.
const maxAnswer = 64 << 20

// get asks a process's health server.
func (p process) get(ctx context.Context, path string, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.health+path, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s%s: %s: %w", p.name, path, response.Status, err)
	}
	return body, nil
}

// collect has a process of ours collect its garbage and returns how many bytes its heap and stacks hold then; 0 for others.
func (p process) collect(ctx context.Context) (live int64, err error) {
	if p.health == "" {
		return 0, nil
	}
	text, err := p.get(ctx, "/debug/pprof/heap?gc=1&debug=1", settleTime)
	if err != nil {
		return 0, err
	}
	return parseLive(string(text))
}

// errStats says that a heap profile has not the expected figures.
var errStats = errors.New("heap profile without statistics")

// parseLive adds up HeapAlloc and the stacks in use of a heap profile in text form (runtime/pprof writeHeap).
func parseLive(text string) (int64, error) {
	var sum int64
	found := 0
	for line := range strings.Lines(text) {
		for _, prefix := range []string{"# HeapAlloc = ", "# Stack = "} {
			after, ok := strings.CutPrefix(line, prefix)
			if !ok {
				continue
			}
			number, _, _ := strings.Cut(strings.TrimSpace(after), " ")
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%w: %q", errStats, line)
			}
			sum += n
			found++
		}
	}
	if found != 2 {
		return 0, errStats
	}
	return sum, nil
}

// saveFailure saves what our processes tell of themselves after a failure: metrics, and what each goroutine does. What cannot
// be had is left out.
func (b *bench) saveFailure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	for _, p := range b.cluster.processes {
		if p.health == "" {
			continue
		}
		for what, path := range map[string]string{"metrics": "/metrics", "goroutines": "/debug/pprof/goroutine?debug=2"} {
			if data, err := p.get(ctx, path, settleTime); err == nil {
				_ = b.out.write(fmt.Sprintf("-%s-failure-%s.%s", b.layout, p.name, what), data)
			}
		}
	}
}

// saveHeaps saves what the heaps of our processes hold now.
func (b *bench) saveHeaps(ctx context.Context, s side) error {
	for _, p := range s.processes {
		if p.health == "" {
			continue
		}
		data, err := p.get(ctx, "/debug/pprof/heap?gc=1", settleTime)
		if err != nil {
			return err
		}
		if err := b.out.write(fmt.Sprintf("-%s-idle-%s.pprof", b.layout, p.name), data); err != nil {
			return err
		}
	}
	return nil
}

// profile runs one more turn of the cluster and saves CPU profiles of our processes meanwhile. The turn itself is not counted:
// profiling costs.
func (b *bench) profile(ctx context.Context, mode drive.Mode, clients int) (err error) {
	load, err := b.open(ctx, b.cluster, mode, clients)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLoad(ctx, load)) }()
	seconds := int(math.Ceil(b.Duration.Seconds()))
	var wait sync.WaitGroup
	var mu sync.Mutex // guards failures, for an append
	var failures []error
	run := drive.Window{Warm: b.Warm, Measure: time.Duration(seconds+1) * time.Second, Begin: func() {
		for _, p := range b.cluster.processes {
			if p.health == "" {
				continue
			}
			wait.Go(func() {
				data, err := p.get(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(seconds), time.Duration(seconds)*time.Second+settleTime)
				if err == nil {
					err = b.out.write(fmt.Sprintf("-%s-%s-%s.pprof", b.layout, mode, p.name), data)
				}
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			})
		}
	}}
	_, err = load.Run(ctx, run)
	wait.Wait()
	return errors.Join(append(failures, err)...)
}

// SPDX-License-Identifier: Apache-2.0

// Goclient is a client that uses github.com/notedit/janus-go as Debian packages it (golang-github-notedit-janus-go-dev), which
// is below a GOPATH of Debian's; so this is no part of the module:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run main.go URL SDP-FILE
//
// It ends with status 0 when all was as it should be.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	janus "github.com/notedit/janus-go"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// body is what a plugin is sent.
type body = map[string]any

func run(url, sdpFile string) error {
	sdp, err := os.ReadFile(sdpFile)
	if err != nil {
		return err
	}
	offer := map[string]string{"type": "offer", "sdp": strings.ReplaceAll(string(sdp), "\n", "\r\n")}
	gateway, err := janus.Connect(url)
	if err != nil {
		return err
	}
	defer gateway.Close()
	info, err := gateway.Info()
	if err != nil || info.Plugins["janus.plugin.echotest"].Name == "" {
		return fmt.Errorf("info: %+v, %v", info, err)
	}
	session, err := gateway.Create()
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if _, err := session.KeepAlive(); err != nil {
		return fmt.Errorf("keepalive: %w", err)
	}
	if _, err := session.Attach("janus.plugin.none"); err == nil || !strings.Contains(err.Error(), "No such plugin") {
		return fmt.Errorf("attached to nothing: %v", err)
	}
	if err := errors.Join(echo(session, offer), list(session), atOnce(session)); err != nil {
		return err
	}
	if _, err := session.Destroy(); err != nil {
		return fmt.Errorf("destroy: %w", err)
	}
	return nil
}

// echo negotiates with the echo test, and hangs up.
func echo(session *janus.Session, offer map[string]string) error {
	handle, err := session.Attach("janus.plugin.echotest")
	if err != nil {
		return err
	}
	event, err := handle.Message(body{"audio": true}, offer)
	if err != nil || event.Jsep["type"] != "answer" || event.Handle != handle.ID || event.Session != session.ID {
		return fmt.Errorf("offer: %+v, %v", event, err)
	}
	if _, err := handle.Trickle(body{"completed": true}); err != nil {
		return fmt.Errorf("trickle: %w", err)
	}
	if _, err := handle.Message(nil, nil); err == nil {
		return errors.New("a message without a body was taken")
	}
	if _, err := handle.Detach(); err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	return nil
}

// list asks a plugin what it answers at once.
func list(session *janus.Session) error {
	handle, err := session.Attach("janus.plugin.streaming")
	if err != nil {
		return err
	}
	success, err := handle.Request(body{"request": "list"})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if streams, ok := success.PluginData.Data["list"].([]any); !ok || len(streams) == 0 {
		return fmt.Errorf("list: %+v", success)
	}
	return nil
}

// atOnce uses many handles at once, each for several messages.
func atOnce(session *janus.Session) error {
	const handles, messages = 10, 10
	errs := make(chan error, handles)
	var all sync.WaitGroup
	for range handles {
		all.Add(1)
		go func() {
			defer all.Done()
			errs <- several(session, messages)
		}()
	}
	all.Wait()
	close(errs)
	var joined []error
	for err := range errs {
		joined = append(joined, err)
	}
	return errors.Join(joined...)
}

func several(session *janus.Session, messages int) error {
	handle, err := session.Attach("janus.plugin.echotest")
	if err != nil {
		return err
	}
	for n := range messages {
		event, err := handle.Message(body{"audio": n%2 == 0}, nil)
		if err != nil || event.Plugindata.Data["result"] != "ok" {
			return fmt.Errorf("message %d: %+v, %v", n, event, err)
		}
	}
	_, err = handle.Detach()
	return err
}

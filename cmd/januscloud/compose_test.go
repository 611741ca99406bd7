// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"

	"github.com/januscloud/januscloud/cmd/januscloud/config"
)

// service is the part of a service in docker-compose.yml that is looked at.
type service struct {
	Build       struct{ Dockerfile string }
	Image       string
	Command     []string
	Environment map[string]string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Ports       []string
	Restart     string
	StopGrace   time.Duration `yaml:"stop_grace_period"`
	Healthcheck any
}

const root = "../.."

func compose(t *testing.T) map[string]service {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]service
		Configs  map[string]struct{ File string }
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Configs {
		if _, err := os.Stat(filepath.Join(root, c.File)); err != nil {
			t.Error(err)
		}
	}
	return file.Services
}

// No container engine is needed to see that the file fits the program, and its parts one another.
func TestCompose(t *testing.T) {
	services := compose(t)
	kinds := map[string]int{}
	published := map[string]string{}
	for name, s := range services {
		kinds[regexp.MustCompile(`-\d+$`).ReplaceAllString(name, "")]++
		for on := range s.DependsOn {
			if _, known := services[on]; !known {
				t.Errorf("%s depends on %s, which is not there", name, on)
			}
		}
		for _, p := range s.Ports {
			outside, _, _ := strings.Cut(p, ":")
			if other := published[outside]; other != "" {
				t.Errorf("%s and %s publish %s", name, other, outside)
			}
			published[outside] = name
		}
		if s.Restart == "" {
			t.Errorf("%s is not restarted", name)
		}
		if s.Image == "januscloud" {
			usable(t, name, s)
		}
	}
	want := map[string]int{"nats": 3, "front": 1, "edge": 2, "session": 2, "media": 2, "janus": 2}
	if !maps.Equal(kinds, want) {
		t.Errorf("services %v, want %v", kinds, want)
	}
}

// usable checks that the program takes a service's arguments and environment.
func usable(t *testing.T, name string, s service) {
	t.Helper()
	var environ []string
	for k, v := range s.Environment {
		environ = append(environ, k+"="+v)
	}
	source := config.NewSource(environ)
	var c cli
	parser, err := kong.New(&c, kong.Resolvers(source), kong.Writers(io.Discard, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(s.Command)
	if err != nil || source.Err() != nil {
		t.Errorf("%s: %v, %v", name, err, source.Err())
	}
	role, _, _ := strings.Cut(name, "-")
	if least := max(c.Edge.LameDuck, c.Media.DrainTimeout, handOverTime) + stopBound + time.Second; s.StopGrace < least {
		t.Errorf("%s is killed %v after SIGTERM, but may take %v", name, s.StopGrace, least)
	}
	if len(s.Command) < 3 || s.Command[0] != role || s.Command[2] != name {
		t.Errorf("%s runs %q", name, s.Command)
	}
	for _, cluster := range []config.Cluster{c.Edge.Cluster, c.Session.Cluster, c.Media.Cluster} {
		if string(cluster.Name) == name && len(cluster.NATS) != 3 {
			t.Errorf("%s knows %v", name, cluster.NATS)
		}
	}
}

func TestDockerfiles(t *testing.T) {
	files := map[string]bool{}
	for name, s := range compose(t) {
		if s.Build.Dockerfile != "" {
			files[s.Build.Dockerfile] = true
		} else if !strings.HasPrefix(s.Image, "nats:") {
			t.Errorf("%s has nothing to be built from", name)
		}
	}
	copied := regexp.MustCompile(`(?m)^COPY (scripts/\S+) `)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range copied.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Error(err)
			}
		}
		if !strings.Contains(string(text), "\nHEALTHCHECK ") || !strings.Contains(string(text), "\nENTRYPOINT ") {
			t.Errorf("%s lacks a health check or an entry point", file)
		}
	}
	if len(files) != 3 {
		t.Errorf("Dockerfiles %v", files)
	}
}

// Every edge gets its share, and no client is kept to one of them.
func TestLoadBalancer(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "scripts/docker/nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range compose(t) {
		for _, port := range []string{"8188", "8088"} {
			if strings.HasPrefix(name, "edge-") && !strings.Contains(string(text), "server "+name+":"+port+" ") {
				t.Errorf("%s gets no clients on port %s", name, port)
			}
		}
	}
	if regexp.MustCompile(`(?m)^\s*(ip_hash|sticky|hash)\b`).Match(text) {
		t.Error("clients are kept to one edge")
	}
}

func TestNATSConfiguration(t *testing.T) {
	t.Setenv("SERVER_NAME", "nats-1")
	o, err := server.ProcessConfigFile(filepath.Join(root, "scripts/docker/nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	services := compose(t)
	if o.ServerName != "nats-1" || !o.JetStream || len(o.Routes) != 3 || o.Cluster.Name == "" {
		t.Errorf("%+v", o)
	}
	for _, r := range o.Routes {
		if _, known := services[r.Hostname()]; !known {
			t.Errorf("route to %s, which is not there", r.Hostname())
		}
	}
}

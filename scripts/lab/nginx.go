// SPDX-License-Identifier: Apache-2.0

package lab

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed nginx.conf.tmpl
var nginxConf string

// Behind is what a load balancer stands in front of: the addresses (host:port) of each service at every edge. A service
// without addresses is not served.
type Behind struct {
	WS, HTTP, AdminWS, AdminHTTP []string
	// Pages is a folder with the demo pages of Janus, to be served with settings that name the balancer; "" for none.
	Pages string
}

// Balancer is an nginx that gives each new WebSocket connection, and each HTTP request, to the next edge.
type Balancer struct {
	*Process
	// WSURL, HTTPURL (with /janus), AdminWSURL and AdminHTTPURL (with /admin) are what clients use in place of an edge's, and
	// PagesURL is where the demo pages are, with a slash at its end; "" for what is not served.
	WSURL, HTTPURL, AdminWSURL, AdminHTTPURL, PagesURL string

	accessLog string
	services  map[string]string // name by port
}

// Passage is a request that the balancer has passed on, and that has ended. A WebSocket connection is one.
type Passage struct {
	// Service is ws, http, admin_ws or admin_http; Edge the address of the last edge that was tried.
	Service, Edge, Method, Path string
	Status                      int
}

// nginxService is one server block.
type nginxService struct {
	Name      string
	Edges     []string
	Port      int
	WebSocket bool
}

// nginxSettings fill the template.
type nginxSettings struct {
	Folder, MimeTypes, Pages string
	PagesPort                int
	Services                 []nginxService
}

// Nginx starts a real nginx and returns when it listens.
func Nginx(tb TB, behind Behind) *Balancer {
	tb.Helper()
	const tries = 3
	for try := 1; ; try++ {
		b, err := tryNginx(tb, behind)
		if err == nil {
			return b
		}
		if try == tries {
			tb.Fatalf("nginx: %v", err)
		}
		// A port drawn for it was taken by somebody else meanwhile.
		tb.Logf("nginx: %v, starting again", err)
		b.Kill()
	}
}

func tryNginx(tb TB, behind Behind) (*Balancer, error) {
	tb.Helper()
	binary, err := nginxBinary()
	if err != nil {
		tb.Fatalf("nginx: %v", err)
	}
	ports := freePorts(tb, 5)
	b := &Balancer{services: make(map[string]string)}
	s := nginxSettings{Folder: tb.TempDir(), MimeTypes: "/etc/nginx/mime.types", Pages: behind.Pages, PagesPort: ports[4]}
	b.accessLog = filepath.Join(s.Folder, "access.log")
	for n, x := range []struct {
		name, scheme, path string
		edges              []string
		url                *string
	}{
		{"ws", "ws", "", behind.WS, &b.WSURL},
		{"http", "http", "/janus", behind.HTTP, &b.HTTPURL},
		{"admin_ws", "ws", "", behind.AdminWS, &b.AdminWSURL},
		{"admin_http", "http", "/admin", behind.AdminHTTP, &b.AdminHTTPURL},
	} {
		if len(x.edges) == 0 {
			continue
		}
		s.Services = append(s.Services, nginxService{x.name, x.edges, ports[n], x.scheme == "ws"})
		b.services[strconv.Itoa(ports[n])] = x.name
		*x.url = fmt.Sprintf("%s://127.0.0.1:%d%s", x.scheme, ports[n], x.path)
	}
	if behind.Pages != "" {
		b.PagesURL = fmt.Sprintf("http://127.0.0.1:%d/", ports[4])
	}
	if err := b.write(s); err != nil {
		tb.Fatalf("nginx: %v", err)
	}
	b.Process = startProcess(tb, "nginx", []string{binary, "-p", s.Folder, "-c", filepath.Join(s.Folder, "nginx.conf"), "-e", "stderr"}, nil)
	return b, b.waitListening(s)
}

// nginxBinary finds nginx, which Debian keeps where only root's path leads.
func nginxBinary() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("not installed: scripts/lab/install.sh nginx-light")
}

// write writes the configuration, and two files in place of those of the demo pages: settings.js (WebSockets first, then HTTP)
// and adminconfig.js.
func (b *Balancer) write(s nginxSettings) error {
	t, err := template.New("nginx.conf").Parse(nginxConf)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := t.Execute(&text, s); err != nil {
		return err
	}
	settings := fmt.Sprintf("var server = [%q, %q];\nvar iceServers = [];\nvar token = \"\", apisecret = \"\";\n", b.WSURL, b.HTTPURL)
	administration := fmt.Sprintf("var server = %q;\nvar secret = \"\";\n", b.AdminHTTPURL)
	return errors.Join(
		os.WriteFile(filepath.Join(s.Folder, "nginx.conf"), []byte(text.String()), 0o600),
		os.WriteFile(filepath.Join(s.Folder, "settings.js"), []byte(settings), 0o600),
		os.WriteFile(filepath.Join(s.Folder, "adminconfig.js"), []byte(administration), 0o600),
	)
}

func (b *Balancer) waitListening(s nginxSettings) error {
	ports := make([]int, 0, len(s.Services)+1)
	for _, service := range s.Services {
		ports = append(ports, service.Port)
	}
	if s.Pages != "" {
		ports = append(ports, s.PagesPort)
	}
	deadline := time.Now().Add(bootTime)
	for _, port := range ports {
		for {
			conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-b.Done():
				return fmt.Errorf("ended; its log: %s", b.Log())
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("does not listen: %w; its log: %s", err, b.Log())
			}
		}
	}
	return nil
}

// Passages are the requests passed on so far, in the order in which they ended.
func (b *Balancer) Passages() ([]Passage, error) {
	content, err := os.ReadFile(b.accessLog)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Passage
	for line := range strings.Lines(string(content)) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		p, err := b.parsePassage(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// parsePassage reads a line of the access log, whose fields are separated by tabs: port, the edges tried with commas between
// them, status, method, target.
func (b *Balancer) parsePassage(line string) (Passage, error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 5 {
		return Passage{}, fmt.Errorf("nginx: access log: %q", line)
	}
	service, known := b.services[fields[0]]
	status, err := strconv.Atoi(fields[2])
	if !known || err != nil {
		return Passage{}, fmt.Errorf("nginx: access log: %q", line)
	}
	tried := strings.Split(fields[1], ", ")
	return Passage{Service: service, Edge: tried[len(tried)-1], Method: fields[3], Path: fields[4], Status: status}, nil
}

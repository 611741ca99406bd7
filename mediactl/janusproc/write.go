// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"bytes"
	"embed"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

//go:embed templates/*.jcfg
var templates embed.FS

const (
	debianStreams    = "/usr/share/janus/streams"
	debianRecordings = "/usr/share/janus/recordings"
)

// Write makes the configuration folder of one Janus, with the rooms and mountpoints that the stock demos expect (videoroom 1234
// and 5678, audiobridge 1234, textroom 1234, streaming 1, 2, 3 and 123, the sample recording), and returns c with every default
// filled in and every port chosen. Files of an earlier Write are replaced, recordings stay.
func Write(c Config) (Config, error) {
	c, err := c.complete()
	if err != nil {
		return c, err
	}
	for _, sub := range []string{"recordings", "voicemail", "streams"} {
		if err := os.MkdirAll(filepath.Join(c.Folder, sub), 0o755); err != nil {
			return c, fmt.Errorf("janusproc: folder: %w", err)
		}
	}
	files, err := render(c)
	if err != nil {
		return c, err
	}
	for name, content := range files {
		// Secrets stand in it.
		if err := os.WriteFile(filepath.Join(c.Folder, name), content, 0o600); err != nil {
			return c, fmt.Errorf("janusproc: write configuration: %w", err)
		}
	}
	return c, c.writeSamples()
}

// render gives the files of a completed configuration by name.
func render(c Config) (map[string][]byte, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		"q":       quote,
		"join":    func(parts ...string) string { return strings.Join(parts, "/") },
		"seconds": seconds,
	}).ParseFS(templates, "templates/*.jcfg")
	if err != nil {
		return nil, fmt.Errorf("janusproc: templates: %w", err)
	}
	files := make(map[string][]byte)
	for _, file := range t.Templates() {
		var b bytes.Buffer
		if err := file.Execute(&b, c); err != nil {
			return nil, fmt.Errorf("janusproc: %s: %w", file.Name(), err)
		}
		files[file.Name()] = b.Bytes()
	}
	return files, nil
}

// seconds is a time-out as Janus counts it; 0 stands for never.
func seconds(d time.Duration) int { return int(max(d, 0) / time.Second) }

// quote writes a libconfig string. Control characters are refused: none belongs into a name, a secret or a path.
func quote(s string) (string, error) {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return "", fmt.Errorf("control character %#x in %q", c, s)
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}

// writeSamples links Debian's sample streams and recording into the folder. Without the package that brings them, a tone
// stands in for the streams: the mountpoints are there all the same.
func (c Config) writeSamples() error {
	for _, name := range []string{"radio.alaw", "music.mulaw"} {
		if err := c.link(filepath.Join(debianStreams, name), "streams"); err == nil {
			continue
		}
		law := muLaw
		if strings.HasSuffix(name, ".alaw") {
			law = aLaw
		}
		if err := os.WriteFile(filepath.Join(c.Folder, "streams", name), tone(law), 0o644); err != nil {
			return fmt.Errorf("janusproc: sample stream: %w", err)
		}
	}
	for _, name := range []string{"1234.nfo", "rec-sample-audio.mjr", "rec-sample-video.mjr"} {
		// The sample recording is a courtesy to the demo page: nothing depends on it.
		_ = c.link(filepath.Join(debianRecordings, name), "recordings")
	}
	return nil
}

func (c Config) link(file, sub string) error {
	if _, err := os.Stat(file); err != nil {
		return err
	}
	link := filepath.Join(c.Folder, sub, filepath.Base(file))
	if _, err := os.Stat(link); err == nil {
		return nil
	}
	return os.Symlink(file, link)
}

// tone is four seconds of a quiet 440 Hz sine, 8,000 samples a second, one byte each: a whole number of periods, so that it
// plays in a loop without a click.
func tone(law func(int) byte) []byte {
	const rate, length = 8000, 4 * 8000
	out := make([]byte, length)
	for i := range out {
		out[i] = law(int(4000 * math.Sin(2*math.Pi*440*float64(i)/rate)))
	}
	return out
}

// muLaw encodes a 16-bit sample (ITU-T G.711).
func muLaw(sample int) byte {
	sign := byte(0)
	if sample < 0 {
		sample, sign = -sample, 0x80
	}
	sample = min(sample, 32635) + 132
	exponent := 7
	for mask := 0x4000; sample&mask == 0 && exponent > 0; mask >>= 1 {
		exponent--
	}
	mantissa := byte(sample>>(exponent+3)) & 0x0f
	return ^(sign | byte(exponent)<<4 | mantissa)
}

// aLaw encodes a 16-bit sample (ITU-T G.711).
func aLaw(sample int) byte {
	sign := byte(0x80)
	if sample < 0 {
		sample, sign = -sample-1, 0
	}
	sample = min(sample, 32767)
	exponent := 7
	for mask := 0x4000; sample&mask == 0 && exponent > 0; mask >>= 1 {
		exponent--
	}
	mantissa := byte(sample>>4) & 0x0f
	if exponent > 0 {
		mantissa = byte(sample>>(exponent+3)) & 0x0f
	}
	return (sign | byte(exponent)<<4 | mantissa) ^ 0x55
}

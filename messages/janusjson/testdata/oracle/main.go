// SPDX-License-Identifier: Apache-2.0

// Command oracle writes the corpus of this package's tests: inputs, and what the
// real jansson makes of them. It runs the binary built from oracle.c.
//
//	cc -O2 -o /tmp/oracle oracle.c -ljansson
//	go run ./messages/janusjson/testdata/oracle -oracle /tmp/oracle >corpus.txt
//
// With -compare it invents inputs for that long instead, and reports where the
// package and jansson differ. With -ws and -http it asks a running Janus 1.1.2
// instead, and writes janus-1.1.2.txt.
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	path := flag.String("oracle", "", "binary built from oracle.c")
	compare := flag.Duration("compare", 0, "compare on invented inputs for that long")
	wsURL := flag.String("ws", "", "compare with the Janus 1.1.2 at this URL")
	httpURL := flag.String("http", "", "the same Janus over HTTP")
	seed := flag.Uint64("seed", 1, "seed of the invented inputs")
	flag.Parse()
	random := rand.New(rand.NewPCG(*seed, 2))
	if *wsURL != "" {
		g, err := dial(*wsURL, *httpURL)
		if err != nil {
			return err
		}
		return g.converse(inputs(random), os.Stdout)
	}
	oracle, err := start(*path)
	if err != nil {
		return err
	}
	if *compare > 0 {
		return differ(oracle, random, time.Now().Add(*compare))
	}
	return corpus(oracle, random, os.Stdout)
}

// jansson is the running oracle.
type jansson struct {
	in  *bufio.Writer
	out *bufio.Reader
}

func start(path string) (*jansson, error) {
	cmd := exec.Command(path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &jansson{bufio.NewWriter(in), bufio.NewReader(out)}, cmd.Start()
}

// ask returns the verdict in the form that it has in the corpus.
func (j *jansson) ask(mode byte, input string) (string, error) {
	if err := binary.Write(j.in, binary.LittleEndian, uint32(len(input)+1)); err != nil {
		return "", err
	}
	j.in.WriteByte(mode)
	j.in.WriteString(input)
	if err := j.in.Flush(); err != nil {
		return "", err
	}
	var n uint32
	if err := binary.Read(j.out, binary.LittleEndian, &n); err != nil {
		return "", err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(j.out, b); err != nil {
		return "", err
	}
	return verdict(string(b)), nil
}

func verdict(reply string) string {
	switch reply[0] {
	case 'a':
		return "array"
	case 'e':
		f := strings.SplitN(reply[1:], " ", 4)
		return fmt.Sprintf("error %s %s %s %q", f[0], f[1], f[2], f[3])
	}
	texts := strings.Split(reply[1:], "\x00")[1:]
	for i, s := range texts {
		texts[i] = fmt.Sprintf("%q", s)
	}
	return "ok " + strings.Join(texts, " ")
}

// verdicts are those on one input by the three readers, in corpus order.
func (j *jansson) verdicts(input string) (v [3]string, err error) {
	for i, mode := range []byte("moh") {
		if v[i], err = j.ask(mode, input); err != nil {
			return v, err
		}
	}
	return v, nil
}

// corpus writes a line per input: the input quoted, then the verdicts of the
// WebSocket transport today, that of 1.1.2 and the HTTP transport, all separated
// by tabs; "=" stands for the same as the first.
func corpus(oracle *jansson, random *rand.Rand, w io.Writer) error {
	out := bufio.NewWriter(w)
	seen := map[string]bool{}
	for _, input := range inputs(random) {
		if seen[input] {
			continue
		}
		seen[input] = true
		v, err := oracle.verdicts(input)
		if err != nil {
			return err
		}
		for i := range v[1:] {
			if v[i+1] == v[0] {
				v[i+1] = "="
			}
		}
		fmt.Fprintf(out, "%q\t%s\t%s\t%s\n", input, v[0], v[1], v[2])
	}
	return out.Flush()
}

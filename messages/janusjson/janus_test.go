// SPDX-License-Identifier: Apache-2.0

package janusjson

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestRealJanus holds the reasons to what a Janus 1.1.2 answered over WebSocket
// and HTTP: see testdata/oracle.
func TestRealJanus(t *testing.T) {
	file, err := os.Open("testdata/janus-1.1.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	refused := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		column := strings.Split(lines.Text(), "\t")
		input := []byte(unquoteAll(t, column[0])[0])
		overWS := unquoteAll(t, strings.Trim(column[1], "[]"))
		overHTTP, err := strconv.Unquote(column[2])
		if err != nil {
			t.Fatal(err)
		}
		var syntax *SyntaxError
		texts, err := Decode(input, Quirks{TrailingSpaceBroken: true})
		if errors.As(err, &syntax) {
			refused++
			if want := code454(syntax.Reason()); len(overWS) != 1 || overWS[0] != want {
				t.Errorf("%q: Janus says %q, want %q", input, overWS, want)
			}
		} else if len(overWS) != len(texts) {
			t.Errorf("%q: Janus says %q, want %d replies", input, overWS, len(texts))
		}
		if len(input) == 0 {
			continue // no answer to an empty POST
		}
		_, err = DecodeOne(input)
		want := ""
		if errors.As(err, &syntax) {
			want = code454(syntax.HTTPReason())
		} else if errors.Is(err, ErrNotObject) {
			want = "455 JSON error: not an object"
		}
		if want != "" && overHTTP != want || strings.HasPrefix(overHTTP, "454") && want == "" {
			t.Errorf("%q: Janus says %q over HTTP, want %q", input, overHTTP, want)
		}
	}
	if refused < 200 {
		t.Errorf("only %d messages were refused", refused)
	}
}

func code454(reason string, ok bool) string {
	if !ok {
		return "454"
	}
	return "454 " + reason
}

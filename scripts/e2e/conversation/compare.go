// SPDX-License-Identifier: Apache-2.0

package conversation

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Compare tells in what two servers' streams differ, for a person to read; "" when they do not. Lines that only want has begin
// with -, lines that only got has with +.
func Compare(want, got Streams) string {
	names := make(map[string]bool)
	for name := range want {
		names[name] = true
	}
	for name := range got {
		names[name] = true
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !slices.Equal(want[name], got[name]) {
			fmt.Fprintf(&b, "%s:\n", name)
			writeDiff(&b, want[name], got[name])
		}
	}
	return b.String()
}

// writeDiff writes the shortest way from want to got, by their longest common subsequence.
func writeDiff(b *strings.Builder, want, got []string) {
	// common[i][j] is its length for want[i:] and got[j:].
	common := make([][]int, len(want)+1)
	for i := range common {
		common[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if want[i] == got[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		if i < len(want) && j < len(got) && want[i] == got[j] {
			writeLine(b, "    ", want[i])
			i, j = i+1, j+1
			continue
		}
		gone, come := i, j
		for i < len(want) && (j == len(got) || want[i] != got[j] && common[i+1][j] >= common[i][j+1]) {
			i++
		}
		for j < len(got) && (i == len(want) || want[i] != got[j] && common[i+1][j] < common[i][j+1]) {
			j++
		}
		writeChange(b, want[gone:i], got[come:j])
	}
}

// writeChange writes lines that were replaced by others, and in what the pairs among them differ.
func writeChange(b *strings.Builder, gone, come []string) {
	for _, line := range gone {
		writeLine(b, "  - ", line)
	}
	for i, line := range come {
		writeLine(b, "  + ", line)
		if len(gone) == len(come) {
			headWas, was := parts(gone[i])
			headIs, is := parts(line)
			writeParts(b, "head", headWas, headIs)
			writeParts(b, "", was, is)
		}
	}
}

// parts takes a line apart: what an answer over HTTP has before its body, and the JSON.
func parts(line string) (head string, body any) {
	i := max(strings.IndexAny(line, "{["), 0)
	_ = json.Unmarshal([]byte(line[i:]), &body)
	return line[:i], body
}

// writeParts tells which parts of two values differ.
func writeParts(b *strings.Builder, path string, was, is any) {
	wasObject, isObject := object(was), object(is)
	if wasObject == nil || isObject == nil {
		if !reflect.DeepEqual(was, is) {
			fmt.Fprintf(b, "      %s: %s, not %s\n", path, short(string(mustMarshal(is))), short(string(mustMarshal(was))))
		}
		return
	}
	keys := maps.Clone(wasObject)
	maps.Copy(keys, isObject)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		w, wasThere := wasObject[key]
		v, isThere := isObject[key]
		at := strings.TrimPrefix(path+"."+key, ".")
		switch {
		case !wasThere:
			fmt.Fprintf(b, "      %s: %s too much\n", at, short(string(mustMarshal(v))))
		case !isThere:
			fmt.Fprintf(b, "      %s: %s is missing\n", at, short(string(mustMarshal(w))))
		default:
			writeParts(b, at, w, v)
		}
	}
}

func object(v any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return v
	case []any:
		o := make(map[string]any)
		for i, element := range v {
			o[strconv.Itoa(i)] = element
		}
		return o
	}
	return nil
}

func writeLine(b *strings.Builder, mark, line string) {
	b.WriteString(mark + short(line) + "\n")
}

// short cuts a text to what a person reads.
func short(text string) string {
	const enough = 500
	if len(text) <= enough {
		return text
	}
	return text[:enough] + "…"
}

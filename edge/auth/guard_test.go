// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/januscloud/januscloud/messages/janusjson"
	"github.com/januscloud/januscloud/scripts/lab"
)

const (
	echotest  = "janus.plugin.echotest"
	videoroom = "janus.plugin.videoroom"
)

// credentials are what requests of a test carry, by name.
func credentials() map[string]string {
	signed := func(data string) string { return `"token":"` + sign("signing", data) + `"` }
	const late = "4102444800" // 2100
	return map[string]string{
		"nothing":              "",
		"secret":               `"apisecret":"secret"`,
		"secret escaped":       `"apisecret":"\u0073ecret"`,
		"secret wrong":         `"apisecret":"secreT"`,
		"secret longer":        `"apisecret":"secret2"`,
		"secret empty":         `"apisecret":""`,
		"secret a number":      `"apisecret":5`,
		"secret as token":      `"token":"secret"`,
		"token":                `"token":"for all"`,
		"token escaped":        `"token":"for\u0020all"`,
		"token for one":        `"token":"for one"`,
		"token for none":       `"token":"for none"`,
		"token empty":          `"token":""`,
		"token wrong":          `"token":"for All"`,
		"token a number":       `"token":5`,
		"token null":           `"token":null`,
		"token an object":      `"token":{"a":"for all"}`,
		"token as secret":      `"apisecret":"for all"`,
		"both":                 `"apisecret":"secret","token":"for all"`,
		"both, for one":        `"apisecret":"secret","token":"for one"`,
		"both, secret wrong":   `"apisecret":"x","token":"for all"`,
		"both, token wrong":    `"apisecret":"secret","token":"x"`,
		"both, token a number": `"apisecret":"secret","token":5`,
		"both, token null":     `"apisecret":"secret","token":null`,
		"both wrong":           `"apisecret":"x","token":"x"`,
		"signed":               signed(late + ",janus," + echotest + "," + videoroom),
		"signed for one":       signed(late + ",janus," + videoroom),
		"signed for none":      signed(late + ",janus"),
		"signed, expired":      signed("1000,janus," + echotest),
		"signed, negative":     signed("-1,janus," + echotest),
		"signed, for ever":     signed("99999999999999999999,janus," + echotest),
		"signed, other realm":  signed(late + "," + videoroom + "," + echotest),
		"signed, no realm":     signed(late),
		"signed, empty":        signed(""),
		"signed, odd expiry":   signed(` +` + late + `x,janus,` + echotest),
		"signed, extra colon":  signed(late + ",janus,a:b," + echotest),
		"forged":               `"token":"` + sign("guessed", late+",janus,"+echotest) + `"`,
		"forged, cut":          `"token":"` + strings.TrimRight(sign("signing", late+",janus,"+echotest), "=") + `"`,
		"forged, unsigned":     `"token":"` + late + `,janus"`,
		"signed, two":          `"token":"x",` + signed(late+",janus,"+echotest),
		"signed and secret":    `"apisecret":"secret",` + signed(late+",janus,"+videoroom),
		"expired and secret":   `"apisecret":"secret",` + signed("1000,janus,"+echotest),
	}
}

// setup is what a server asks for.
type setup struct {
	name           string
	secret         string
	stored, signed bool
}

func setups() []setup {
	return []setup{
		{"open", "", false, false}, {"secret", "secret", false, false}, {"stored", "", true, false}, {"signed", "", false, true},
		{"secret or stored", "secret", true, false}, {"secret or signed", "secret", false, true},
	}
}

func (s setup) guard() Guard {
	g := NewGuard(s.secret)
	if s.signed {
		return g.WithSigned("signing")
	}
	if !s.stored {
		return g
	}
	stored := &Tokens{table: table{entries: make(map[string]entry)}}
	for i, r := range []record{{Token: "for all", All: true}, {Token: "for one", Plugins: []string{videoroom}}, {Token: "for none"}} {
		stored.table.apply(keyOf([]byte(r.Token)), uint64(i+1), &r)
	}
	return g.WithStored(stored)
}

// TestJanus has a real Janus and a guard judge the same requests.
func TestJanus(t *testing.T) {
	for _, s := range setups() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			janus := lab.Janus(t, func(c *lab.JanusConfig) {
				c.APISecret, c.TokenAuth, c.AdminSecret = s.secret, s.stored || s.signed, "admin"
				if s.signed {
					c.TokenAuthSecret = "signing"
				}
			})
			if s.stored {
				store(t, janus)
			}
			c := must[*lab.Client](t)(lab.Dial(testContext(t), janus.WSURL()))
			t.Cleanup(func() { _ = c.Close() })
			pass := map[bool]string{true: "signed", false: "both"}[s.signed]
			session := ask(t, c, `{"janus":"create"`, credentials()[pass]).Number("data", "id")
			judge(t, c, s.guard(), session)
		})
	}
}

// store adds the tokens of setup.guard to a Janus.
func store(t *testing.T, janus *lab.JanusServer) {
	t.Helper()
	admin := must[*lab.Client](t)(lab.DialAs(testContext(t), janus.Config.AdminWSURL(), "janus-admin-protocol"))
	defer func() { _ = admin.Close() }()
	for token, plugins := range map[string][]any{"for all": nil, "for one": {videoroom}, "for none": {5}} {
		request := map[string]any{"janus": "add_token", "admin_secret": "admin", "token": token}
		if plugins != nil {
			request["plugins"] = plugins
		}
		if m := must[lab.Message](t)(admin.Request(testContext(t), request)); m.Error != nil {
			t.Fatal(m.Error)
		}
	}
}

// ask sends a request that begins so and carries these credentials.
func ask(t *testing.T, c *lab.Client, begin, with string) lab.Message {
	t.Helper()
	return must[lab.Message](t)(c.Request(testContext(t), frame(begin, with)))
}

func frame(begin, with string) string {
	if with != "" {
		with = "," + with
	}
	return begin + with + `,"transaction":"t"}`
}

func judge(t *testing.T, c *lab.Client, g Guard, session uint64) {
	alive := fmt.Sprintf(`{"janus":"keepalive","session_id":%d`, session)
	attach := fmt.Sprintf(`{"janus":"attach","session_id":%d,"plugin":"%s"`, session, echotest)
	for name, with := range credentials() {
		var m janusjson.Message
		for _, begin := range []string{alive, attach} {
			said := 0
			if e := ask(t, c, begin, with).Error; e != nil {
				said = e.Code
			}
			scan(t, frame(begin, with), &m)
			want := 0
			switch {
			case !g.Admits(&m):
				want = 403
			case begin == attach && !g.MayAttach(&m):
				want = 405
			}
			if said != want {
				t.Errorf("%s: %s\nJanus says %d, we say %d", name, frame(begin, with), said, want)
			}
		}
	}
}

// scan reads a request as the edge does.
func scan(t *testing.T, frame string, m *janusjson.Message) {
	t.Helper()
	texts, err := janusjson.Decode([]byte(frame), janusjson.Quirks{})
	if err == nil {
		err = janusjson.Scan(texts[0], m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestKnows are long polls, which show secret and token in the query.
func TestKnows(t *testing.T) {
	signed := sign("signing", "4102444800,janus")
	for _, x := range []struct{ secret, token, want string }{
		{"", "", "open"}, {"secret", "", "open secret secret or stored secret or signed"}, {"x", "x", "open"},
		{"", "for none", "open stored secret or stored"}, {"x", "for all", "open stored secret or stored"},
		{"", signed, "open signed secret or signed"}, {"secret", "x", "open secret secret or stored secret or signed"},
	} {
		var pass []string
		for _, s := range setups() {
			if s.guard().Knows(x.secret, x.token) {
				pass = append(pass, s.name)
			}
		}
		expect(t, fmt.Sprintf("%q %q", x.secret, x.token), strings.Join(pass, " "), x.want)
	}
}

// TestNothingToAttach are attaches that fail for other reasons than their token.
func TestNothingToAttach(t *testing.T) {
	for _, plugin := range []string{"", `,"plugin":5`, `,"plugin":null`} {
		var m janusjson.Message
		scan(t, frame(`{"janus":"attach"`+plugin, `"token":"for one"`), &m)
		expect(t, "may attach"+plugin, setup{stored: true}.guard().MayAttach(&m), true)
	}
}

// TestNow is the clock of a guard in use.
func TestNow(t *testing.T) {
	var m janusjson.Message
	for expiry, want := range map[int64]bool{unixNow() + 60: true, unixNow() - 1: false, math.MaxInt64: true} {
		scan(t, frame(`{"janus":"create"`, fmt.Sprintf(`"token":"%s"`, sign("k", fmt.Sprintf("%d,janus", expiry)))), &m)
		expect(t, fmt.Sprint(expiry), NewGuard("").WithSigned("k").Admits(&m), want)
	}
}

// FuzzGuard holds every guard to what a request says in plain JSON, however it is written: who shows nothing good never
// passes, who does always.
func FuzzGuard(f *testing.F) {
	for _, with := range credentials() {
		f.Add([]byte(frame(`{"janus":"attach","plugin":"`+echotest+`"`, with)))
	}
	for _, s := range []string{`{"apisecret":"x","apisecret":"secret"}`, `{"token":"for one","tok\u0065n":"for all"}`, `{"Token":"for all"}`, `{"token":"for all\u0000"}`, `{}{}`} {
		f.Add([]byte(s))
	}
	good := map[string]func(token string) bool{
		"":       func(string) bool { return false },
		"stored": func(token string) bool { return token == "for all" || token == "for one" || token == "for none" },
		"signed": func(token string) bool { return signer{key: []byte("signing"), now: unixNow}.valid([]byte(token)) },
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		texts, err := janusjson.Decode(data, janusjson.Quirks{})
		if err != nil {
			return
		}
		for _, text := range texts {
			var m janusjson.Message
			if janusjson.Scan(text, &m) != nil {
				continue
			}
			var plain map[string]any
			if err := json.Unmarshal(text, &plain); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			secret, _ := plain["apisecret"].(string)
			token, shown := plain["token"].(string)
			for _, s := range setups() {
				kind := map[bool]string{s.stored: "stored", s.signed: "signed"}[true]
				want := s.name == "open" || s.secret != "" && secret == s.secret || shown && good[kind](token)
				if got := s.guard().Admits(&m); got != want {
					t.Errorf("%s: %q passes: %v, want %v", s.name, text, got, want)
				}
				plugin, named := plain["plugin"].(string)
				if !s.guard().MayAttach(&m) && (kind == "" || !shown || !named) || kind == "stored" && shown && named && token == "for one" &&
					s.guard().MayAttach(&m) != (plugin == videoroom) {
					t.Errorf("%s: %q may attach: %v", s.name, text, s.guard().MayAttach(&m))
				}
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EnvPrefix begins the name of every environment variable of ours.
const EnvPrefix = "JANUSCLOUD_"

// Field is one setting.
type Field struct {
	Name string // of the flag, and key of the file
	Env  string // environment variable
	Uses []Use  // usually one; several when commands mean different things by the same flag
}

// Use is what a setting means to the commands of one group.
type Use struct {
	Group    string // title of the group in Config
	Commands string // that use it
	Help     string
	Default  string
	Enum     []string // allowed values; nil for any
	Sep      string   // of several values in one text; empty for a single value
	Secret   bool
	typ      reflect.Type
}

// errConfigInFile says that --config stands inside the file that it names.
var errConfigInFile = errors.New("a file cannot name another one")

// Fields lists every setting in the order of Config.
func Fields() []Field {
	var fields []Field
	groups := reflect.TypeFor[Config]()
	for i := range groups.NumField() {
		group := groups.Field(i)
		for j := range group.Type.NumField() {
			f := group.Type.Field(j)
			name := f.Tag.Get("name")
			use := newUse(group.Tag, f)
			if k := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name }); k >= 0 {
				fields[k].Uses = append(fields[k].Uses, use)
				continue
			}
			fields = append(fields, Field{Name: name, Env: envOf(name), Uses: []Use{use}})
		}
	}
	return fields
}

func newUse(group reflect.StructTag, f reflect.StructField) Use {
	u := Use{
		Group: group.Get("title"), Commands: group.Get("commands"), Default: f.Tag.Get("default"), Sep: f.Tag.Get("sep"),
		Secret: f.Type == reflect.TypeFor[Secret](), typ: f.Type,
	}
	if enum := f.Tag.Get("enum"); enum != "" {
		u.Enum = strings.Split(enum, ",")
	}
	u.Help = strings.ReplaceAll(f.Tag.Get("help"), "${enum}", strings.Join(u.Enum, ", "))
	if u.Default == "" && f.Type.Kind() == reflect.Bool {
		u.Default = "false"
	}
	return u
}

func envOf(name string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// sep separates several values in one text; empty where there is only one.
func (f Field) sep() string {
	for _, u := range f.Uses {
		if u.Sep != "" {
			return u.Sep
		}
	}
	return ""
}

// unset reports whether text says no more than that the setting is not set.
func (f Field) unset(text string) bool {
	return text == "" && !slices.ContainsFunc(f.Uses, func(u Use) bool { return u.Default != "" })
}

// Check reports why text cannot be the value of the setting; nil if some command can use it.
func (f Field) Check(text string) error {
	var errs []error
	for _, u := range f.Uses {
		err := u.check(text)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (u Use) check(text string) error {
	target := reflect.New(u.typ).Elem()
	texts := []string{text}
	if u.Sep != "" {
		texts = splitList(text, u.Sep)
		target = reflect.New(u.typ.Elem()).Elem()
	}
	for _, t := range texts {
		if err := parse(target, t); err != nil {
			return err
		}
		if u.Enum != nil && !slices.Contains(u.Enum, t) {
			return fmt.Errorf("%q is none of %s", t, strings.Join(u.Enum, ", "))
		}
	}
	return nil
}

func splitList(text, sep string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, sep)
}

// parse reads text into target as the command line would.
func parse(target reflect.Value, text string) error {
	if u, ok := target.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch target.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a duration (want 30s, 1m30s, 500ms)", text)
		}
	case bool:
		if !slices.Contains([]string{"true", "false", "yes", "no", "1", "0"}, strings.ToLower(text)) {
			return fmt.Errorf("%q is neither true nor false", text)
		}
	case int:
		if n, err := strconv.Atoi(text); err != nil || n < 0 {
			return fmt.Errorf("%q is not a number", text)
		}
	case string:
	default:
		return fmt.Errorf("settings cannot be of type %v", target.Type())
	}
	return nil
}

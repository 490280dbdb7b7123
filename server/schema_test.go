package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// A schema is what a client demands of a JSON value, written as in these
// examples:
//
//	s i f b t u         string, integer, number, boolean, RFC 3339 time, UUID
//	(red|green)         one of these strings
//	[]T  {s:T}          list, object with any keys
//	{id u, name s?}     object with these fields; ? says that one may be absent
//	T~                  T or null; a field of it may be absent
//	User                the schema of that name
//
// Fields that it does not name are nobody's business.
type schema struct {
	kind   string // s i f b t u, or one of list, map, object, enum, name
	name   string
	null   bool
	words  []string
	of     *schema // of a list or map
	fields []field
}

type field struct {
	name   string
	absent bool // may be
	schema
}

// schemaParser reads a schema. What is wrong with one is the test's fault.
type schemaParser struct {
	text string
}

func parseSchema(text string) schema {
	p := schemaParser{strings.Join(strings.Fields(text), " ")}
	s := p.schema()
	if p.text != "" {
		panic("schema: left over: " + p.text)
	}
	return s
}

func (p *schemaParser) eat(prefix string) bool {
	rest, ok := strings.CutPrefix(p.text, prefix)
	if ok {
		p.text = strings.TrimLeft(rest, " ")
	}
	return ok
}

func (p *schemaParser) must(prefix string) {
	if !p.eat(prefix) {
		panic(fmt.Sprintf("schema: want %q before %.40q", prefix, p.text))
	}
}

func (p *schemaParser) word() string {
	end := strings.IndexFunc(p.text, func(r rune) bool { return strings.ContainsRune(" ,|(){}[]?~:", r) })
	if end < 0 {
		end = len(p.text)
	}
	w := p.text[:end]
	p.text = strings.TrimLeft(p.text[end:], " ")
	return w
}

func (p *schemaParser) schema() (s schema) {
	switch {
	case p.eat("("):
		s.kind = "enum"
		for {
			s.words = append(s.words, p.word())
			if p.eat(")") {
				break
			}
			p.must("|")
		}
	case p.eat("[]"):
		of := p.schema()
		s.kind, s.of = "list", &of
	case p.eat("{s:"):
		of := p.schema()
		p.must("}")
		s.kind, s.of = "map", &of
	case p.eat("{"):
		s.kind = "object"
		for !p.eat("}") {
			f := field{name: p.word()}
			f.schema = p.schema()
			f.absent = p.eat("?")
			s.fields = append(s.fields, f)
			p.eat(",")
		}
	default:
		w := p.word()
		if s.kind = w; len(w) > 1 {
			s.kind, s.name = "name", w
		}
	}
	s.null = p.eat("~")
	return s
}

// schemas are those that have names.
type schemas map[string]schema

// check returns what is wrong with a value, each with its path.
func (all schemas) check(path string, s schema, v any) (wrong []string) {
	if s.kind == "name" {
		named, ok := all[s.name]
		if !ok {
			panic("schema: no " + s.name)
		}
		named.null = s.null
		s = named
	}
	if v == nil && s.null {
		return nil
	}
	switch s.kind {
	case "list":
		list, ok := v.([]any)
		if !ok {
			break
		}
		for i, item := range list {
			wrong = append(wrong, all.check(path+"."+strconv.Itoa(i), *s.of, item)...)
		}
		return wrong
	case "map":
		object, ok := v.(map[string]any)
		if !ok {
			break
		}
		for key, item := range object {
			wrong = append(wrong, all.check(path+"."+key, *s.of, item)...)
		}
		return wrong
	case "object":
		object, ok := v.(map[string]any)
		if !ok {
			break
		}
		for _, f := range s.fields {
			item, has := object[f.name]
			if !has && f.absent {
				continue
			}
			wrong = append(wrong, all.check(path+"."+f.name, f.schema, item)...)
		}
		return wrong
	default:
		if isPlain(s, v) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s = %.80s, want %s", path, asJSON(v), s)}
}

// isPlain reports whether v is of a kind without parts.
func isPlain(s schema, v any) bool {
	text, isText := v.(string)
	number, isNumber := v.(json.Number)
	switch s.kind {
	case "s":
		return isText
	case "enum":
		return isText && slices.Contains(s.words, text)
	case "u":
		_, err := uuid.Parse(text)
		return isText && err == nil && len(text) == 36
	case "t":
		_, err := time.Parse(time.RFC3339Nano, text)
		return isText && err == nil
	case "b":
		_, ok := v.(bool)
		return ok
	case "i":
		_, err := number.Int64()
		return isNumber && err == nil
	case "f":
		return isNumber
	}
	panic("schema: no kind " + s.kind)
}

func (s schema) String() string {
	switch s.kind {
	case "enum":
		return strings.Join(s.words, " or ")
	case "name":
		return s.name
	}
	names := map[string]string{"s": "text", "i": "an integer", "f": "a number", "b": "true or false", "t": "a time", "u": "a UUID", "list": "a list", "map": "an object", "object": "an object"}
	return names[s.kind]
}

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// decodeStrictly decodes JSON with its numbers as they are written.
func decodeStrictly(text []byte) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

func TestSchema(t *testing.T) {
	all := schemas{"User": parseSchema("{id u, name s?}")}
	s := parseSchema("{users []User, kind (a|b), at t~, count i, by {s:f}}")
	good := `{"users":[{"id":"0190b0f0-0000-7000-8000-000000000000"}],"kind":"a","at":null,"count":3,"by":{"x":1.5},"more":1}`
	v, err := decodeStrictly([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if wrong := all.check("", s, v); wrong != nil {
		t.Errorf("check(%s) = %q, want nothing wrong", good, wrong)
	}
	bad := `{"users":[{"id":"","name":null}],"kind":"c","count":1.5,"by":[]}`
	if v, err = decodeStrictly([]byte(bad)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`.users.0.id = "", want a UUID`, `.users.0.name = null, want text`, `.kind = "c", want a or b`,
		`.count = 1.5, want an integer`, `.by = [], want an object`,
	}
	if wrong := all.check("", s, v); !slices.Equal(wrong, want) {
		t.Errorf("check(%s) = %q, want %q", bad, wrong, want)
	}
}

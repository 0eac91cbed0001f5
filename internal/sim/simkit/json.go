package simkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

const maxJSONDepth = 16

// JSONError says where a JSON text breaks a rule. Path is a JSON pointer, "" for the text as a whole.
type JSONError struct{ Path, Issue string }

func (e *JSONError) Error() string { return fmt.Sprintf("%q: %s", e.Path, e.Issue) }

// ParseObject reads exactly one JSON object and refuses what lenient readers let two programs read differently:
// a name twice in one object, bytes that are not UTF-8, nesting beyond 16. Values are map[string]any, []any, string,
// json.Number, bool or nil; what null or an unknown name means is the caller's rule. Errors are *JSONError.
func ParseObject(raw []byte) (map[string]any, error) {
	if !utf8.Valid(raw) {
		return nil, &JSONError{Issue: "not UTF-8"}
	}
	if !json.Valid(raw) {
		return nil, &JSONError{Issue: "not JSON"}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := parseValue(d, "", 0)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, &JSONError{Issue: "not a JSON object"}
	}
	return object, nil
}

func parseValue(d *json.Decoder, path string, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, &JSONError{Path: path, Issue: fmt.Sprintf("nested deeper than %d", maxJSONDepth)}
	}
	token, err := d.Token()
	if err != nil {
		return nil, &JSONError{Path: path, Issue: "not JSON"}
	}
	switch token {
	case json.Delim('{'):
		return parseMembers(d, path, depth)
	case json.Delim('['):
		return parseElements(d, path, depth)
	}
	return token, nil
}

func parseMembers(d *json.Decoder, path string, depth int) (any, error) {
	object := map[string]any{}
	for d.More() { // bounded by the text's length, as is the next loop
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, &JSONError{Path: path, Issue: "not JSON"}
		}
		at := path + "/" + name
		if _, twice := object[name]; twice {
			return nil, &JSONError{Path: at, Issue: "the name occurs twice"}
		}
		if object[name], err = parseValue(d, at, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

func parseElements(d *json.Decoder, path string, depth int) (any, error) {
	array := []any{}
	for d.More() {
		v, err := parseValue(d, fmt.Sprintf("%s/%d", path, len(array)), depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	_, err := d.Token()
	return array, err
}

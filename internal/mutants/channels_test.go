package mutants

var ofChannels = []source{
	{"internal/strict/json.go", []mutant{
		{"JSON name twice", "if bytes.Equal(old, name) {", "if bytes.Equal(old, name) && false {", "TestDecode"},
		{"JSON name in another case", "if strings.EqualFold(known, string(name)) {", "if strings.EqualFold(known, string(name)) && false {", "TestDecode"},
		{"JSON null for a value", "if t != nil {\n\t\t\treturn \"null for a value\"", "if t != nil && false {\n\t\t\treturn \"null for a value\"", "TestDecode"},
		{"JSON without a depth", "if depth > MaxJSONDepth {", "if depth > 9*MaxJSONDepth {", "TestDecode"},
		{"JSON without a length", "if len(data) > MaxJSON {", "if len(data) > 9*MaxJSON {", "TestDecode"},
		{"JSON integer as a float", "if bytes.ContainsAny(digits, \".eE\") ||", "if", "TestDecode"},
		{"JSON lone surrogate", "!c.surrogates() {", "!c.surrogates() && false {", "TestDecode"},
		{"JSON name that nobody knows", "if !extra {\n\t\treturn nil, \"unknown name\"", "if !extra && false {\n\t\treturn nil, \"unknown name\"", "TestDecodeStrictRefusesUnknownNames"},
		{"JSON names without a number", "if len(seen) == MaxJSONNames {", "if len(seen) == 9*MaxJSONNames {", "TestDecode"},
	}},
	{"internal/strict/xml.go", []mutant{
		{"XML element twice", "if form[i].Name == field.Name {", "if form[i].Name == field.Name && false {", "TestParseXMLRefuses"},
		{"XML directive before the root", "if x.markup() {\n\t\treturn nil, ErrXMLMarkup", "if x.markup() && false {\n\t\treturn nil, ErrXMLMarkup", "TestParseXMLRefuses"},
		{"XML second root", "if x.rest != \"\" {\n\t\treturn nil, ErrXMLRoot", "if false {\n\t\treturn nil, ErrXMLRoot", "TestParseXMLRefuses"},
		{"XML elements without a number", "case len(form) == MaxFields:", "case len(form) == 9*MaxFields:", "TestParseXML|TestA45KnownAttacksOnXML"},
		{"XML without a length", "case len(raw) > MaxXML:", "case len(raw) > 9*MaxXML:", "TestParseXMLRefuses"},
		{"XML that is not UTF-8", "case !utf8.Valid(raw):", "case !utf8.Valid(raw) && false:", "TestParseXMLRefuses"},
		{"XML end tag of another name", "case x.name() != name || !x.take(\">\"):", "case x.name() == \"\" || !x.take(\">\"):", "TestParseXMLRefuses"},
		{"XML end of CDATA in text", "if strings.Contains(text, \"]]>\") {", "if false {", "TestParseXMLRefuses"},
	}},
	{"internal/strict/form.go", []mutant{
		{"form name twice", "case form.has(name):", "case form.has(name) && false:", "TestParseForm"},
		{"form fields without a number", "if fields > MaxFields {\n\t\treturn nil, ErrFormFields\n\t}", "if fields > MaxFields {\n\t\tfields = MaxFields\n\t}", "TestParseForm"},
		{"form with a broken escape", "if high > 15 || low > 15 {", "if high > 15 {", "TestParseForm"},
		{"form with a semicolon", "|| c > '~' || c == ';':", "|| c > '~':", "TestParseForm"},
		{"form with NUL", "if c == 0 {", "if c == 0 && false {", "TestParseForm"},
		{"form that is not UTF-8", "case !utf8.ValidString(name) || !utf8.ValidString(value):", "case !utf8.ValidString(name):", "TestParseForm"},
	}},
	{"internal/secret/secret.go", []mutant{
		{"secret printed", "func (Text) String() string { return masked }", "func (t Text) String() string { return t.Reveal() }", "TestMasked"},
		{"secret formatted", "func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }", "func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.Reveal())) }", "TestMasked"},
		{"secret logged", "func (Text) LogValue() slog.Value { return slog.StringValue(masked) }", "func (t Text) LogValue() slog.Value { return slog.StringValue(t.Reveal()) }", "TestMasked"},
		{"secret in JSON", "func (Text) MarshalJSON() ([]byte, error) { return json.Marshal(masked) }", "func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(t.Reveal()) }", "TestMasked"},
		{"secret as text", "func (Text) MarshalText() ([]byte, error) { return []byte(masked), nil }", "func (t Text) MarshalText() ([]byte, error) { return []byte(t.Reveal()), nil }", "TestMasked"},
	}},
}

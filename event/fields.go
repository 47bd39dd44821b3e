package event

// A Field is one header of a message.
type Field struct{ Name, Value string }

// Fields are the headers of a stored message. Names are compared as they stand;
// of several fields of one name the first counts.
type Fields []Field

// FieldsOf returns the headers of a map as fields.
func FieldsOf(header map[string][]string) Fields {
	fields := make(Fields, 0, len(header))
	for name, values := range header {
		for _, value := range values {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}

// Get returns the value of a field, or "" when there is none.
func (f Fields) Get(name string) string {
	value, _ := f.lookup(name)
	return value
}

// Map returns the fields as a map of headers.
func (f Fields) Map() map[string][]string {
	header := make(map[string][]string, len(f))
	for _, field := range f {
		header[field.Name] = append(header[field.Name], field.Value)
	}
	return header
}

// lookup returns the value of a field, and how many there are of its name.
func (f Fields) lookup(name string) (value string, n int) {
	for i := range f {
		if f[i].Name != name {
			continue
		}
		if n++; n == 1 {
			value = f[i].Value
		}
	}
	return value, n
}

func (f Fields) has(name string) bool {
	for i := range f {
		if f[i].Name == name {
			return true
		}
	}
	return false
}

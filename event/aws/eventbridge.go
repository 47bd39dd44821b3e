package aws

import "sluice/event"

// eventBridge writes an event of the service's bus. The resources are the
// event's subject.
func (w *writer) eventBridge(e *event.Event) error {
	w.open('{')
	w.text("version", "0")
	w.text("id", e.ID)
	w.text("detail-type", e.Type)
	w.text("source", e.Source)
	w.text("account", w.Account)
	w.time("time", layoutSeconds, e)
	w.text("region", w.Region)
	w.name("resources")
	w.open('[')
	if e.Subject != "" {
		w.buffer = event.AppendQuoted(w.buffer, e.Subject)
	}
	w.close(']')
	w.name("detail")
	w.detail(e)
	w.close('}')
	return nil
}

// detail writes the data of an event: JSON as it stands, text as a string,
// none as an empty object. Anything else becomes an object that says what it is.
func (w *writer) detail(e *event.Event) {
	switch e.Form() {
	case event.FormNone:
		w.raw("{}")
	case event.FormJSON:
		w.buffer = append(w.buffer, e.Data...)
	case event.FormText:
		w.buffer = event.AppendQuoted(w.buffer, e.Data)
	default:
		w.open('{')
		w.text("datacontenttype", e.DataContentType)
		w.name("data_base64")
		w.base64(e.Data)
		w.close('}')
	}
}

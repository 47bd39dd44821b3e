package aws

import "sluice/event"

// eventBridge writes an event of the service's bus. A tick of a schedule is the
// service's scheduled event; the resources of all others are their subject.
func (w *writer) eventBridge(e *event.Event) {
	kind, source, resource := e.Type, e.Source, e.Subject
	if e.Type == TypeTick {
		kind, source, resource = "Scheduled Event", "aws.events", w.arn(e, serviceEvents)
	}
	w.open('{')
	w.text("version", "0")
	w.text("id", e.ID)
	w.text("detail-type", kind)
	w.text("source", source)
	w.text("account", w.Account)
	w.time("time", layoutSeconds, e)
	w.text("region", w.Region)
	w.array("resources")
	if resource != "" {
		w.buffer = event.AppendQuoted(w.buffer, resource)
	}
	w.close(']')
	w.name("detail")
	w.detail(e)
	w.close('}')
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

// mqtt writes the payload of a message as a rule of AWS IoT hands it on: JSON as
// it stands, anything else as the rule's encode(*, 'base64') AS data.
func (w *writer) mqtt(e *event.Event) {
	if e.Form() == event.FormJSON {
		w.buffer = append(w.buffer, e.Data...)
		return
	}
	w.open('{')
	w.name("data")
	w.base64(e.Data)
	w.close('}')
}

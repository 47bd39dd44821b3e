package event

import (
	"fmt"
	"net/http"
)

func ExampleDecodeHTTP() {
	header := http.Header{}
	header.Set("ce-specversion", "1.0")
	header.Set("ce-id", "42")
	header.Set("ce-source", "/shop")
	header.Set("ce-type", "order.placed")
	header.Set("ce-subject", "B%C3%BCro")
	header.Set("Content-Type", "application/json")

	events, _, err := DecodeHTTP(header, []byte(`{"total": 12.50}`))
	if err == nil {
		err = events[0].Validate()
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(events[0].AppendJSON(nil)))
	// Output: {"specversion":"1.0","id":"42","source":"/shop","type":"order.placed","subject":"Büro","datacontenttype":"application/json","data":{"total": 12.50}}
}

func ExampleEvent_HTTPHeaders() {
	e := Event{ID: "42", Source: "/shop", Type: "order.placed", Subject: "Büro", DataContentType: "application/json"}
	e.HTTPHeaders(func(name, value string) { fmt.Printf("%s: %s\n", name, value) })
	// Output:
	// ce-specversion: 1.0
	// ce-id: 42
	// ce-source: /shop
	// ce-type: order.placed
	// ce-subject: B%C3%BCro
	// Content-Type: application/json
}

func ExampleEvent_Validate() {
	e := Event{ID: "42", Source: "/my shop"}
	fmt.Println(e.Validate())
	// Output:
	// source: "/my shop" is not a URI reference: ' ' at byte 3 must be percent-encoded
	// type: missing: every event needs a non-empty type
}

package sinks

import "sluice/event"

// OneByOne is Deliver for a sink that takes one delivery at a time. The response
// to several is that to the last one.
func OneByOne(a *Attempt, deliver func(*Delivery) (Response, error)) (Response, error) {
	if len(a.Deliveries) == 1 {
		return deliver(&a.Deliveries[0])
	}
	var response Response
	failed, replies := map[int]error{}, map[int][]event.Event{}
	for i := range a.Deliveries {
		var err error
		if response, err = deliver(&a.Deliveries[i]); err != nil {
			failed[i] = err
		} else if all := response.Replies[0]; len(all) > 0 {
			replies[i] = all
		}
	}
	response.Replies = replies
	if len(failed) > 0 {
		return response, &PartialError{Failed: failed}
	}
	return response, nil
}

package mqttconn

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxTopic is the longest topic, in bytes (MQTT 5, section 4.7.3).
const maxTopic = 65535

// Shared tells whether a filter is one of a shared subscription.
func Shared(filter string) bool { return strings.HasPrefix(filter, "$share/") }

// CheckFilter returns an error when a topic filter breaks the rules of MQTT 5,
// section 4.7, or those of shared subscriptions, section 4.8.2.
func CheckFilter(filter string) error {
	topic := filter
	if Shared(filter) {
		group, rest, found := strings.Cut(strings.TrimPrefix(filter, "$share/"), "/")
		if group == "" || strings.ContainsAny(group, "+#") {
			return errors.New("a shared subscription has the name of a group after $share/, without + and #: write $share/sluice/sensors/#")
		}
		if !found || rest == "" {
			return errors.New("a shared subscription has a topic filter after its group: write $share/sluice/sensors/#")
		}
		topic = rest
	}
	if err := checkText(topic); err != nil {
		return err
	}
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		switch {
		case level == "#" && i < len(levels)-1:
			return errors.New("# stands for all levels below, and only at the end")
		case level != "#" && level != "+" && strings.ContainsAny(level, "#+"):
			return fmt.Errorf("the level %s has a wildcard beside something else: + and # are levels of their own", quote(level))
		}
	}
	return nil
}

// CheckTopic returns an error when nothing can be published to a topic (section
// 4.7.3).
func CheckTopic(topic string) error {
	if err := checkText(topic); err != nil {
		return err
	}
	switch {
	case strings.ContainsAny(topic, "+#"):
		return errors.New("it has + or # in it, which are wildcards: a message has one topic")
	case strings.HasPrefix(topic, "$"):
		return errors.New("it begins with $, which belongs to the server")
	}
	return nil
}

// checkText applies the rules of the protocol's strings (section 1.5.4).
func checkText(topic string) error {
	switch {
	case topic == "":
		return errors.New("it is empty")
	case len(topic) > maxTopic:
		return fmt.Errorf("it has %d bytes, at most %d", len(topic), maxTopic)
	case !utf8.ValidString(topic):
		return errors.New("it is not UTF-8")
	}
	for i, r := range topic {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return fmt.Errorf("it has the control character %q at byte %d", r, i)
		}
	}
	return nil
}

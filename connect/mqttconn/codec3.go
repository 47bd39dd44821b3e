package mqttconn

import (
	"bytes"
	"fmt"
	"math"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// codec3 is that of version 3.1.1.
type codec3 struct{}

func (codec3) connect(w *bytes.Buffer, o *Options) error {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion = "MQTT", 4
	p.ClientIdentifier, p.CleanSession = o.ClientID, o.CleanStart
	p.Keepalive = uint16(seconds(o.KeepAlive, math.MaxUint16))
	p.UsernameFlag, p.Username = o.User != "", o.User
	p.PasswordFlag, p.Password = o.User != "" && o.Password != "", []byte(o.Password)
	return p.Write(w)
}

func (codec3) publish(w *bytes.Buffer, m *Message, id uint16) error {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Payload, p.Qos, p.Retain, p.MessageID = m.Topic, m.Payload, m.QoS, m.Retain, id
	return p.Write(w)
}

func (codec3) acknowledge(w *bytes.Buffer, k kind, id uint16) error {
	return codec5{}.acknowledge(w, k, id) // without a reason they are the same
}

func (codec3) subscribe(w *bytes.Buffer, filters []Filter, id uint16) error {
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID = id
	for _, f := range filters {
		p.Topics, p.Qoss = append(p.Topics, f.Topic), append(p.Qoss, f.QoS)
	}
	return p.Write(w)
}

func (codec3) unsubscribe(w *bytes.Buffer, topics []string, id uint16) error {
	p := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	p.MessageID, p.Topics = id, topics
	return p.Write(w)
}

func (codec3) ping(w *bytes.Buffer) error {
	return packets.NewControlPacket(packets.Pingreq).Write(w)
}

func (codec3) disconnect(w *bytes.Buffer) error {
	return packets.NewControlPacket(packets.Disconnect).Write(w)
}

func (codec3) decode(f frame) (packet, error) {
	read, err := packets.NewControlPacketWithHeader(packets.FixedHeader{
		MessageType: f.head >> 4, Dup: f.head&8 != 0, Qos: f.head >> 1 & 3, Retain: f.head&1 != 0, RemainingLength: len(f.body),
	})
	if err == nil {
		err = read.Unpack(bytes.NewReader(f.body))
	}
	if err != nil {
		return packet{}, err
	}
	k := f.kind()
	switch p := read.(type) {
	case *packets.ConnackPacket:
		return packet{kind: k, reason: connackReason(p.ReturnCode), welcome: welcome{session: p.SessionPresent, receiveMaximum: math.MaxUint16, maxQoS: 2}}, nil
	case *packets.PublishPacket:
		return packet{kind: k, message: Message{Topic: p.TopicName, Payload: p.Payload, QoS: p.Qos, Retain: p.Retain, Duplicate: p.Dup, ID: p.MessageID}}, nil
	case *packets.SubackPacket:
		return packet{kind: k, id: p.MessageID, reasons: p.ReturnCodes}, nil
	case *packets.PubackPacket, *packets.PubrecPacket, *packets.PubrelPacket, *packets.PubcompPacket, *packets.UnsubackPacket:
		return packet{kind: k, id: read.Details().MessageID}, nil
	case *packets.PingrespPacket:
		return packet{kind: k}, nil
	}
	return packet{}, fmt.Errorf("no server sends it")
}

// connackReason returns the reason of version 5 for a return code of 3.1.1
// (section 3.2.2.3 there).
func connackReason(code byte) byte {
	switch code {
	case packets.Accepted:
		return 0
	case packets.ErrRefusedBadProtocolVersion:
		return UnsupportedVersion
	case packets.ErrRefusedIDRejected:
		return 0x85
	case packets.ErrRefusedServerUnavailable:
		return 0x88
	case packets.ErrRefusedBadUsernameOrPassword:
		return BadUserOrPassword
	case packets.ErrRefusedNotAuthorised:
		return NotAuthorized
	}
	return max(code, Unspecified)
}

package mqttconn

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// codec5 is that of version 5.
type codec5 struct{}

func (codec5) connect(w *bytes.Buffer, o *Options) error {
	maxPacket := uint32(o.MaxPacket)
	properties := &packets.Properties{MaximumPacketSize: &maxPacket}
	if !o.CleanStart {
		expiry := seconds(o.SessionExpiry, math.MaxUint32)
		properties.SessionExpiryInterval = &expiry
	}
	if o.ReceiveMaximum > 0 {
		properties.ReceiveMaximum = &o.ReceiveMaximum
	}
	p := packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: o.ClientID, CleanStart: o.CleanStart, Properties: properties,
		KeepAlive:    uint16(seconds(o.KeepAlive, math.MaxUint16)),
		UsernameFlag: o.User != "", Username: o.User,
		PasswordFlag: o.User != "" && o.Password != "", Password: []byte(o.Password),
	}
	_, err := p.WriteTo(w)
	return err
}

// seconds returns d in whole seconds, up to most.
func seconds(d time.Duration, most uint32) uint32 {
	return uint32(min(max(int64(d/time.Second), 0), int64(most)))
}

func (codec5) publish(w *bytes.Buffer, m *Message, id uint16) error {
	properties := &packets.Properties{
		ContentType: m.Properties.ContentType, ResponseTopic: m.Properties.ResponseTopic, CorrelationData: m.Properties.CorrelationData,
	}
	if m.Properties.UTF8 {
		text := byte(1)
		properties.PayloadFormat = &text
	}
	if m.Properties.Expiry > 0 {
		properties.MessageExpiry = &m.Properties.Expiry
	}
	for _, p := range m.Properties.User {
		properties.User = append(properties.User, packets.User{Key: p.Name, Value: p.Value})
	}
	p := packets.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, PacketID: id, Properties: properties}
	_, err := p.WriteTo(w)
	return err
}

func (codec5) acknowledge(w *bytes.Buffer, k kind, id uint16) error {
	head := byte(k) << 4
	if k == pubrel {
		head |= 2
	}
	// Without a reason code it is success (section 3.4.2.1).
	_, err := w.Write([]byte{head, 2, byte(id >> 8), byte(id)})
	return err
}

func (codec5) subscribe(w *bytes.Buffer, filters []Filter, id uint16) error {
	p := packets.Subscribe{PacketID: id, Properties: &packets.Properties{}}
	for _, f := range filters {
		p.Subscriptions = append(p.Subscriptions, packets.SubOptions{Topic: f.Topic, QoS: f.QoS, RetainHandling: byte(f.Retained), RetainAsPublished: true})
	}
	_, err := p.WriteTo(w)
	return err
}

func (codec5) unsubscribe(w *bytes.Buffer, topics []string, id uint16) error {
	p := packets.Unsubscribe{PacketID: id, Topics: topics, Properties: &packets.Properties{}}
	_, err := p.WriteTo(w)
	return err
}

func (codec5) ping(w *bytes.Buffer) error {
	_, err := (&packets.Pingreq{}).WriteTo(w)
	return err
}

func (codec5) disconnect(w *bytes.Buffer) error {
	_, err := (&packets.Disconnect{Properties: &packets.Properties{}}).WriteTo(w)
	return err
}

func (codec5) decode(f frame) (packet, error) {
	if f.kind() == connack && len(f.body) == 2 {
		return codec3{}.decode(f) // a server that does not know version 5 answers so
	}
	if f.kind() == goodbye && len(f.body) == 0 {
		return packet{kind: goodbye}, nil
	}
	read := packets.NewControlPacket(f.head >> 4)
	if read == nil {
		return packet{}, fmt.Errorf("there is no such type")
	}
	if p, is := read.Content.(*packets.Publish); is {
		p.QoS, p.Duplicate, p.Retain = f.head>>1&3, f.head&8 != 0, f.head&1 != 0
	}
	if err := read.Content.Unpack(bytes.NewBuffer(f.body)); err != nil {
		return packet{}, err
	}
	return from5(f.kind(), read)
}

func from5(k kind, read *packets.ControlPacket) (packet, error) {
	switch p := read.Content.(type) {
	case *packets.Connack:
		return packet{kind: k, reason: p.ReasonCode, text: p.Properties.ReasonString, welcome: welcome5(p)}, nil
	case *packets.Publish:
		return packet{kind: k, message: message5(p)}, nil
	case *packets.Puback:
		return packet{kind: k, id: p.PacketID, reason: p.ReasonCode, text: p.Properties.ReasonString}, nil
	case *packets.Pubrec:
		return packet{kind: k, id: p.PacketID, reason: p.ReasonCode, text: p.Properties.ReasonString}, nil
	case *packets.Pubrel:
		return packet{kind: k, id: p.PacketID, reason: p.ReasonCode, text: p.Properties.ReasonString}, nil
	case *packets.Pubcomp:
		return packet{kind: k, id: p.PacketID, reason: p.ReasonCode, text: p.Properties.ReasonString}, nil
	case *packets.Suback:
		return packet{kind: k, id: p.PacketID, reasons: p.Reasons, text: p.Properties.ReasonString}, nil
	case *packets.Unsuback:
		return packet{kind: k, id: p.PacketID, reasons: p.Reasons, text: p.Properties.ReasonString}, nil
	case *packets.Pingresp:
		return packet{kind: k}, nil
	case *packets.Disconnect:
		return packet{kind: k, reason: p.ReasonCode, text: p.Properties.ReasonString}, nil
	}
	return packet{}, fmt.Errorf("no server sends it")
}

func welcome5(p *packets.Connack) welcome {
	w := welcome{session: p.SessionPresent, receiveMaximum: math.MaxUint16, maxQoS: 2, keepAlive: p.Properties.ServerKeepAlive}
	if most := p.Properties.ReceiveMaximum; most != nil && *most > 0 {
		w.receiveMaximum = *most
	}
	if most := p.Properties.MaximumPacketSize; most != nil {
		w.maxPacket = *most
	}
	if most := p.Properties.MaximumQOS; most != nil {
		w.maxQoS = *most
	}
	w.noRetain = p.Properties.RetainAvailable != nil && *p.Properties.RetainAvailable == 0
	return w
}

func message5(p *packets.Publish) Message {
	m := Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Duplicate: p.Duplicate, ID: p.PacketID}
	m.Properties = Properties{
		ContentType: p.Properties.ContentType, ResponseTopic: p.Properties.ResponseTopic, CorrelationData: p.Properties.CorrelationData,
		UTF8: p.Properties.PayloadFormat != nil && *p.Properties.PayloadFormat == 1,
	}
	if p.Properties.MessageExpiry != nil {
		m.Properties.Expiry = *p.Properties.MessageExpiry
	}
	for _, u := range p.Properties.User {
		m.Properties.User = append(m.Properties.User, Property{Name: u.Key, Value: u.Value})
	}
	return m
}

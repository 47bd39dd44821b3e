package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/connect/mqttconn"
)

// keepLinked keeps a connection until ctx ends. Topics are those that the session
// subscribes to, as far as the source knows.
func (r *run) keepLinked(ctx context.Context, topics map[string]int) {
	pause := newBackoff()
	l := &link{run: r, topics: topics, client: r.memory.Client}
	for {
		start := time.Now()
		err := l.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		r.health.set(ofConnection, r.cfg.Explain(err, l.client))
		if time.Since(start) > stable {
			pause.Reset()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// A link is what is known of the session beside its messages.
type link struct {
	*run

	client string
	topics map[string]int
}

// connect opens a connection, subscribes, and returns when it has ended.
func (l *link) connect(ctx context.Context) error {
	ready := make(chan struct{})
	o := l.options
	o.ClientID = l.client
	o.Take = func(conn context.Context, m mqttconn.Message) { l.tell(ctx, conn, ready, item{message: &m}) }
	o.Release = func(conn context.Context, id uint16) { l.tell(ctx, conn, ready, item{release: id}) }
	conn, err := mqttconn.Connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if ctx.Err() != nil {
			<-l.over // loop has something to acknowledge
		}
		conn.Close()
	}()
	if err := l.introduce(ctx, conn); err != nil {
		return err
	}
	close(ready)
	return l.serve(ctx, conn)
}

// tell gives an item to loop, after the connection that it came by.
func (l *link) tell(ctx, conn context.Context, ready <-chan struct{}, i item) {
	select {
	case <-ready:
	case <-conn.Done():
		return
	case <-ctx.Done():
		return
	}
	select {
	case l.in <- i:
	case <-conn.Done():
	case <-ctx.Done():
	}
}

// introduce tells loop of a connection. When the server has no session it waits
// until that is durable.
func (l *link) introduce(ctx context.Context, conn *mqttconn.Conn) error {
	i := item{linked: conn}
	if !conn.SessionPresent() {
		i.fresh = make(chan struct{})
		if len(l.topics) > 0 {
			l.env.Logger.Warn("the server has not kept the session: what came while the source was away is lost", slog.String("client_id", l.client))
		}
		l.topics = nil
	}
	select {
	case l.in <- i:
	case <-ctx.Done():
		return ctx.Err()
	}
	if i.fresh == nil {
		return nil
	}
	select {
	case <-i.fresh:
		return nil
	case <-conn.Done():
		return conn.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve subscribes, and again to what was refused, until the connection ends.
func (l *link) serve(ctx context.Context, conn *mqttconn.Conn) error {
	if err := l.unsubscribe(ctx, conn); err != nil {
		return err
	}
	missing := l.filters()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-conn.Done():
			return conn.Err()
		case <-timer.C:
		}
		var err error
		if missing, err = l.subscribe(ctx, conn, missing); err != nil {
			return err
		}
		l.health.set(ofConnection, nil)
		if len(missing) > 0 {
			timer.Reset(resubscribe)
		}
	}
}

// unsubscribe ends the session's subscriptions that the file does not have any
// more.
func (l *link) unsubscribe(ctx context.Context, conn *mqttconn.Conn) error {
	var gone []string
	for topic := range l.topics {
		if !slices.Contains(l.cfg.Topics, topic) {
			gone = append(gone, topic)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	var refused *mqttconn.ReasonError
	if err := conn.Unsubscribe(ctx, gone); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("unsubscribing: %w", err)
	}
	return nil
}

// filters returns what is to be subscribed to. Version 3.1.1 brings the retained
// messages with each subscription: there a session keeps the ones it has.
func (l *link) filters() []mqttconn.Filter {
	retained := map[string]mqttconn.Retained{
		retainedNew: mqttconn.RetainedNew, retainedAlways: mqttconn.RetainedAlways, retainedNever: mqttconn.RetainedNever,
	}[l.cfg.Retained]
	var filters []mqttconn.Filter
	for _, topic := range l.cfg.Topics {
		qos, has := l.topics[topic]
		if has && qos == l.cfg.QoS && l.cfg.Version == mqttconn.V311 && l.cfg.Retained != retainedAlways {
			continue
		}
		filters = append(filters, mqttconn.Filter{Topic: topic, QoS: byte(l.cfg.QoS), Retained: retained})
	}
	return filters
}

// subscribe asks for topics, and returns those that were refused.
func (l *link) subscribe(ctx context.Context, conn *mqttconn.Conn, filters []mqttconn.Filter) (refused []mqttconn.Filter, err error) {
	var grants []mqttconn.Grant
	if len(filters) > 0 {
		if grants, err = conn.Subscribe(ctx, filters); err != nil {
			return nil, fmt.Errorf("subscribing: %w", err)
		}
	}
	topics := map[string]int{}
	for _, topic := range l.cfg.Topics {
		if qos, has := l.topics[topic]; has {
			topics[topic] = qos
		}
	}
	var problems []string
	for i, g := range grants {
		f := filters[i]
		switch {
		case g.Err != nil:
			refused = append(refused, f)
			delete(topics, f.Topic)
			problems = append(problems, fmt.Sprintf("the server refuses the subscription %q: %v", f.Topic, g.Err))
		case g.QoS < f.QoS:
			topics[f.Topic] = int(f.QoS)
			problems = append(problems, fmt.Sprintf("the server grants QoS %d to the subscription %q, not %d: messages may be lost; write qos: %d if that is meant", g.QoS, f.Topic, f.QoS, g.QoS))
		default:
			topics[f.Topic] = int(f.QoS)
		}
	}
	l.health.set(ofTopics, joined(problems))
	if maps.Equal(topics, l.topics) {
		return refused, nil
	}
	l.topics = topics
	select {
	case l.in <- item{topics: topics}:
	case <-conn.Done():
	case <-ctx.Done():
	}
	return refused, nil
}

// joined returns one error of all problems; the first ones, when there are many.
func joined(problems []string) error {
	const most = 3
	switch n := len(problems); {
	case n == 0:
		return nil
	case n > most:
		return fmt.Errorf("%s; and %d more", strings.Join(problems[:most], "; "), n-most)
	}
	return errors.New(strings.Join(problems, "; "))
}

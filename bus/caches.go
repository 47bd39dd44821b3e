package bus

import (
	"fmt"
	"reflect"
	"sync"
	"time"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"
)

// cacheFor is for how long the embedded server keeps a block of the log in memory
// after it was last written or read: 60 MB of a log of 30 MB/s. It is long enough
// for whoever reads on in a block. A write after a longer pause reads the last
// block in again, which takes 4 ms when that is full.
const cacheFor = 2 * time.Second

// forgetBlocks has the server keep those blocks of streams that it begins from now
// on in memory for a time only. By itself it keeps each for ten seconds after it
// was last written or read: 300 MB of a log of 30 MB/s, and as much again for the
// collector. It has a setting for that (FileStoreConfig.CacheExpire), and no option
// by which a stream would get it (nats-io/nats-server#5740), so it is set where the
// server has it, under the server's own locks. Streams that do not exist are left
// out; a server that has the setting elsewhere is left as it is.
func forgetBlocks(s *server.Server, after time.Duration, streams ...string) error {
	for _, name := range streams {
		stream, err := streamOf(s, name)
		if err != nil {
			return err
		}
		if !stream.IsValid() {
			continue
		}
		store, err := find(stream, "store")
		if err != nil {
			return err
		}
		if err := forgetBlocksOf(store, after); err != nil {
			return err
		}
	}
	return nil
}

// streamOf returns what the server has of a stream, or no value.
func streamOf(s *server.Server, name string) (stream reflect.Value, err error) {
	account, err := find(reflect.ValueOf(s.GlobalAccount()), "js")
	if err != nil {
		return stream, err
	}
	lock, err := setting[sync.RWMutex](account, "mu")
	if err != nil {
		return stream, err
	}
	lock.RLock()
	defer lock.RUnlock()
	streams, err := find(account, "streams")
	if err != nil {
		return stream, err
	}
	if t := streams.Type(); t.Kind() != reflect.Map || t.Key() != reflect.TypeFor[string]() {
		return stream, fmt.Errorf("the server has its streams in a %v, not by their names", t)
	}
	return streams.MapIndex(reflect.ValueOf(name)), nil
}

// forgetBlocksOf does so for the store of one stream.
func forgetBlocksOf(store reflect.Value, after time.Duration) error {
	lock, err := setting[sync.RWMutex](store, "mu")
	if err != nil {
		return err
	}
	config, err := find(store, "fcfg")
	if err != nil {
		return err
	}
	expire, err := setting[time.Duration](config, "CacheExpire")
	if err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	*expire = after
	return nil
}

// find returns a field of what v is, or points to.
func find(v reflect.Value, name string) (reflect.Value, error) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct {
		if field := v.FieldByName(name); field.IsValid() {
			return field, nil
		}
	}
	return v, fmt.Errorf("the server has no field %q in %v", name, v.Kind())
}

// setting returns where a field is, which must have the type T.
func setting[T any](v reflect.Value, name string) (*T, error) {
	field, err := find(v, name)
	if err != nil {
		return nil, err
	}
	if field.Type() != reflect.TypeFor[T]() || !field.CanAddr() {
		return nil, fmt.Errorf("the server's field %q is a %v, not a %v", name, field.Type(), reflect.TypeFor[T]())
	}
	return (*T)(unsafe.Pointer(field.UnsafeAddr())), nil
}

package bus

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"sluice/event"
)

// The server's error codes that the client library has no names for.
const (
	codeResources        jetstream.ErrorCode = 10023
	codeAccountResources jetstream.ErrorCode = 10002
	codeStorageResources jetstream.ErrorCode = 10047
	codeWrongLastMsgID   jetstream.ErrorCode = 10070
	codeStoreFailed      jetstream.ErrorCode = 10077
	codeHeaderTooLarge   jetstream.ErrorCode = 10097
)

// codeOf returns the server's error code, or 0 when err did not come from the
// server: what became of the request is then unknown.
func codeOf(err error) jetstream.ErrorCode {
	var js jetstream.JetStreamError
	if errors.As(err, &js) && js.APIError() != nil {
		return js.APIError().ErrorCode
	}
	return 0
}

// storeError says in this project's errors why the log has not stored.
func storeError(err error) error {
	if err == nil {
		return nil
	}
	if reason := reasonOf(err); reason != nil {
		return fmt.Errorf("%w: %w", reason, err)
	}
	return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
}

// reasonOf returns the error of package event that err amounts to, or nil.
func reasonOf(err error) error {
	for _, known := range []error{event.ErrUnavailable, event.ErrFull, event.ErrTooLarge, event.ErrFenced} {
		if errors.Is(err, known) {
			return nil
		}
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return event.ErrTooLarge
	}
	switch codeOf(err) {
	case codeResources, codeAccountResources, codeStorageResources:
		return event.ErrFull
	case codeStoreFailed:
		if strings.Contains(err.Error(), "maximum bytes") {
			return event.ErrFull
		}
	case jetstream.JSErrCodeStreamMessageExceedsMaximum, codeHeaderTooLarge:
		return event.ErrTooLarge
	case jetstream.JSErrCodeStreamWrongLastSequence:
		return event.ErrFenced
	default:
	}
	return event.ErrUnavailable
}

// isDuplicate tells whether a batch was refused because an id in it is stored
// already.
func isDuplicate(err error) bool {
	return codeOf(err) == jetstreamext.JSErrCodeBatchPublishDuplicateMsgID
}

// isBusy tells whether a fenced write was refused because another one of the
// same subject is under way.
func isBusy(err error) bool {
	return codeOf(err) == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

// isFenced tells whether the subject's last sequence was not the expected one.
func isFenced(err error) bool { return codeOf(err) == jetstream.JSErrCodeStreamWrongLastSequence }

package functions

import (
	"context"
	"errors"
	"time"

	"sluice/functions/runtimeapi"
)

// A verdict is what has become of an invocation.
type verdict struct {
	begun   bool
	keep    bool // the worker can serve others
	outcome Outcome
	err     error // nil, a *FunctionError, ErrClosed or ctx's
}

// call gives an invocation to the worker. When it was not begun, the error is
// ctx's, or says why another worker should have it.
func (w *worker) call(ctx context.Context, in Invocation) (result Result, v verdict) {
	spec := &w.pool.spec
	report := Report{Function: spec.Name, RequestID: in.RequestID, Memory: spec.Memory}
	single := spec.PerWorker == 1
	if single {
		w.output.begin(in.RequestID)
	}
	w.output.platform(in.RequestID, startLine(in.RequestID))
	report.Start = time.Now()
	limited, cancel := context.WithDeadline(ctx, report.Start.Add(spec.Timeout))
	defer cancel()
	answer, err := w.api.Invoke(limited, runtimeapi.Invocation{
		RequestID: in.RequestID, Deadline: report.Start.Add(spec.Timeout), TraceID: in.TraceID,
		ClientContext: in.ClientContext, Payload: in.Payload,
	})
	report.Duration = min(time.Since(report.Start), spec.Timeout)
	v = w.judge(ctx, in.RequestID, err)
	if !v.keep {
		w.process.Kill()
	}
	if v.begun {
		result = w.report(report, v)
		if !single {
			result.LogTail = nil
		}
	}
	if v.err == nil && answer != nil {
		result.Payload, result.ContentType = answer.Payload, answer.ContentType
	}
	w.pool.finished(w, v)
	return result, v
}

// report completes the report, and writes it.
func (w *worker) report(r Report, v verdict) Result {
	r.Outcome = v.outcome
	r.Init = time.Duration(w.init.Swap(0))
	r.Billed = billed(r.Duration + r.Init)
	r.MaxMemory = w.process.MaxMemory()
	w.process.Settle()
	w.output.drain()
	var kind string
	if failed, ok := errors.AsType[*FunctionError](v.err); ok {
		kind = failed.Type
	}
	lines := []string{endLine(r.RequestID), reportLine(r, kind)}
	if v.outcome == OutcomeTimeout {
		lines = append([]string{timeoutLine(time.Now(), r.RequestID, w.pool.spec.Timeout)}, lines...)
	}
	tail := w.output.finish(r.RequestID, lines...)
	w.pool.report(r)
	return Result{Report: r, LogTail: tail}
}

// judge says what an answer of the Runtime API means. ctx is the caller's.
func (w *worker) judge(ctx context.Context, requestID string, err error) verdict {
	prefix := "RequestId: " + requestID + " Error: "
	reported, isReported := errors.AsType[*runtimeapi.Error](err)
	switch {
	case err == nil:
		return verdict{begun: true, keep: true, outcome: OutcomeSuccess}
	case errors.Is(err, runtimeapi.ErrNotBegun):
		return notBegun(ctx, err)
	case isReported:
		return verdict{true, true, OutcomeError, handled(reported)}
	case errors.Is(err, runtimeapi.ErrTooLarge):
		return verdict{true, true, OutcomeTooLarge, failure(OutcomeTooLarge, TypeTooLarge, err.Error())}
	case errors.Is(err, runtimeapi.ErrClosed) && w.pool.isClosed():
		return verdict{begun: true, outcome: OutcomeCanceled, err: ErrClosed}
	case errors.Is(err, runtimeapi.ErrClosed):
		kind, message := w.exit.words()
		return verdict{begun: true, outcome: OutcomeExit, err: failure(OutcomeExit, kind, prefix+message)}
	case ctx.Err() != nil:
		return verdict{begun: true, outcome: OutcomeCanceled, err: ctx.Err()}
	}
	return verdict{begun: true, outcome: OutcomeTimeout, err: failure(OutcomeTimeout, TypeTimeout, prefix+timedOut(w.pool.spec.Timeout))}
}

// notBegun: a worker that was there for a whole timeout and did not take the
// invocation is of no use.
func notBegun(ctx context.Context, err error) verdict {
	v := verdict{err: err, keep: errors.Is(err, runtimeapi.ErrBusy)}
	if ctx.Err() != nil {
		v = verdict{err: ctx.Err(), keep: true}
	}
	return v
}

// handled is what the function itself has reported.
func handled(e *runtimeapi.Error) *FunctionError {
	f := failure(OutcomeError, e.Type, e.Message)
	if len(e.Payload) > 0 {
		f.Payload = e.Payload
	}
	f.Handled = true
	return f
}

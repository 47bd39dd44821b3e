package service

import (
	"context"
	"errors"

	"sluice/cmd/sluice/internal/admin"
)

// checks are what /readyz shows. A source or function never fails it; see
// package admin.
func (s *Service) checks(ctx context.Context) []admin.Check {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	all := []admin.Check{
		check("service", s.phaseError()),
		check("bus", s.bus.Healthy(ctx)),
		check("router", s.router.Health()), // with the ledger
		check("ingest", s.ingestError()),
	}
	for _, source := range s.sources.list() {
		seen := admin.Check{Name: "source " + source.Name, State: source.State, Error: source.Error}
		if seen.State == admin.StateFailed {
			seen.State = admin.StateDegraded
		}
		all = append(all, seen)
	}
	for _, f := range s.Functions() {
		seen := check("function "+f.Name, f.Err)
		if f.Err != nil {
			seen.State = admin.StateDegraded
		}
		all = append(all, seen)
	}
	return all
}

func check(name string, err error) admin.Check {
	if err != nil {
		return admin.Check{Name: name, State: admin.StateFailed, Error: err.Error()}
	}
	return admin.Check{Name: name, State: admin.StateOK}
}

func (s *Service) ingestError() error {
	if !s.taking.Load() {
		return errors.New("the ingest listener takes no requests")
	}
	return nil
}

func (s *Service) phaseError() error {
	switch s.phase.Load() {
	case starting:
		return errors.New("sluice is starting")
	case stopping:
		return errors.New("sluice is stopping")
	}
	return nil
}

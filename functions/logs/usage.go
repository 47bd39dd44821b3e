package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/functions"
)

const (
	usageFolder = "usage"
	usageSuffix = ".json"
	usageFormat = 1
	// usageKept is how many days of usage are kept.
	usageKept = 400
)

// Usage is what one function has used on one day.
type Usage struct {
	// Requests is how many invocations there were, repeated ones among them, and
	// Errors how many of them have failed.
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	// BilledMS is their billed time in milliseconds, and MiBMS the sum of each
	// one's billed milliseconds times its function's memory in MiB.
	BilledMS uint64 `json:"billed_ms"`
	MiBMS    uint64 `json:"mib_ms"`
}

// GBSeconds is the memory and time in the unit that the service bills: 1,024 MB
// for a second.
func (u *Usage) GBSeconds() float64 { return float64(u.MiBMS) / 1024 / 1000 }

// Add adds other.
func (u *Usage) Add(other Usage) {
	u.Requests += other.Requests
	u.Errors += other.Errors
	u.BilledMS += other.BilledMS
	u.MiBMS += other.MiBMS
}

// A Day is what functions, by name, have used on a day of UTC.
type Day struct {
	Date      string           `json:"date"` // 2006-01-02
	Functions map[string]Usage `json:"functions"`
}

// usage holds the sums that are not written yet.
type usage struct {
	root *os.Root
	now  func() time.Time

	writing sync.Mutex // held while files are changed
	mu      sync.Mutex
	fresh   map[string]map[string]Usage // by date and function
}

func newUsage(root *os.Root, now func() time.Time) *usage {
	return &usage{root: root, now: now, fresh: map[string]map[string]Usage{}}
}

func (u *usage) add(report *functions.Report) {
	one := Usage{Requests: 1, BilledMS: uint64(max(0, report.Billed.Milliseconds()))}
	if report.Outcome != functions.OutcomeSuccess {
		one.Errors = 1
	}
	one.MiBMS = one.BilledMS * uint64((max(0, report.Memory)+1<<20-1)>>20)
	date := report.Start.UTC().Format(time.DateOnly)
	u.mu.Lock()
	defer u.mu.Unlock()
	merge(u.fresh, date, map[string]Usage{report.Function: one})
}

// merge adds the usage of a day to those of others.
func merge(into map[string]map[string]Usage, date string, more map[string]Usage) {
	if into[date] == nil {
		into[date] = map[string]Usage{}
	}
	for name, one := range more {
		sum := into[date][name]
		sum.Add(one)
		into[date][name] = sum
	}
}

// write adds what is fresh to the files. What cannot be written stays fresh.
func (u *usage) write() error {
	u.writing.Lock()
	defer u.writing.Unlock()
	u.mu.Lock()
	fresh := u.fresh
	u.fresh = map[string]map[string]Usage{}
	u.mu.Unlock()
	var failures []error
	for date, more := range fresh {
		if err := u.writeDay(date, more); err != nil {
			failures = append(failures, err)
			u.mu.Lock()
			merge(u.fresh, date, more)
			u.mu.Unlock()
		}
	}
	return errors.Join(failures...)
}

func (u *usage) writeDay(date string, more map[string]Usage) error {
	day, err := u.read(date)
	if err != nil {
		return err
	}
	merge(map[string]map[string]Usage{date: day}, date, more)
	return u.replace(path.Join(usageFolder, date+usageSuffix), usageFile{Format: usageFormat, Functions: day})
}

// A usageFile is the file of a day.
type usageFile struct {
	Format    int              `json:"format"`
	Functions map[string]Usage `json:"functions"`
}

// read returns the usage of a day; empty when there is none.
func (u *usage) read(date string) (map[string]Usage, error) {
	name := path.Join(usageFolder, date+usageSuffix)
	text, err := fs.ReadFile(u.root.FS(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Usage{}, nil
	}
	if err != nil {
		return nil, err
	}
	var file usageFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	if file.Format != usageFormat || file.Functions == nil {
		return nil, fmt.Errorf("%s has the format %d, and this version of sluice knows %d", name, file.Format, usageFormat)
	}
	return file.Functions, nil
}

// replace puts a file in the place of another one, at once or not at all.
func (u *usage) replace(name string, content usageFile) (err error) {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	fresh := name + ".new"
	file, err := u.root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return errors.Join(err, u.root.Remove(fresh))
	}
	return u.root.Rename(fresh, name)
}

// dates returns the days that have a file, the oldest first.
func (u *usage) dates() ([]string, error) {
	entries, err := fs.ReadDir(u.root.FS(), usageFolder)
	if err != nil {
		return nil, err
	}
	var dates []string
	for _, entry := range entries {
		date, ok := strings.CutSuffix(entry.Name(), usageSuffix)
		if _, err := time.Parse(time.DateOnly, date); ok && err == nil {
			dates = append(dates, date)
		}
	}
	return dates, nil
}

// clean removes the days that are too old.
func (u *usage) clean() error {
	u.writing.Lock()
	defer u.writing.Unlock()
	dates, err := u.dates()
	oldest := u.now().UTC().AddDate(0, 0, -usageKept).Format(time.DateOnly)
	failures := []error{err}
	for _, date := range dates {
		if date < oldest {
			failures = append(failures, u.root.Remove(path.Join(usageFolder, date+usageSuffix)))
		}
	}
	return errors.Join(failures...)
}

// Usage returns what was used from the day of since to that of until, in UTC, by
// day, the oldest first. Days without any are left out.
func (s *Store) Usage(since, until time.Time) ([]Day, error) {
	first, last := since.UTC().Format(time.DateOnly), until.UTC().Format(time.DateOnly)
	all, err := s.usage.between(first, last)
	if err != nil {
		return nil, fmt.Errorf("the usage of functions: %w", err)
	}
	days := make([]Day, 0, len(all))
	for _, date := range slices.Sorted(maps.Keys(all)) {
		days = append(days, Day{Date: date, Functions: all[date]})
	}
	return days, nil
}

// between returns what was used from one date to another, by date.
func (u *usage) between(first, last string) (map[string]map[string]Usage, error) {
	u.writing.Lock()
	defer u.writing.Unlock()
	dates, err := u.dates()
	if err != nil {
		return nil, err
	}
	all := u.unwritten(first, last)
	for _, date := range dates {
		if date < first || date > last {
			continue
		}
		stored, err := u.read(date)
		if err != nil {
			return nil, err
		}
		merge(all, date, stored)
	}
	return all, nil
}

// unwritten returns a copy of what is fresh between two dates.
func (u *usage) unwritten(first, last string) map[string]map[string]Usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := map[string]map[string]Usage{}
	for date, more := range u.fresh {
		if first <= date && date <= last {
			merge(all, date, more)
		}
	}
	return all
}

package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Schedule is when a workspace starts by itself: once a day at most, at a time
// of day in a zone, on some days of the week. Its text is that of a crontab,
//
//	CRON_TZ=<IANA name> <minute> <hour> * * <days>
//
// where days are *, or numbers (0 and 7 are Sunday), names of three letters and
// ranges of both, between commas. Without CRON_TZ the zone is UTC.
type Schedule struct {
	Hour, Minute int
	Days         Days
	Zone         string // IANA name, like Europe/Berlin
}

// Days are days of the week, by time.Weekday. A schedule has one at least.
type Days [7]bool

const everyDay = "*"

// dayNames are those of crontabs, by time.Weekday.
var dayNames = strings.Fields("Sun Mon Tue Wed Thu Fri Sat")

// validZone is what the names of zones are made of; whether there is one of that
// name is for the database of zones to say.
var validZone = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+/-]{0,63}$`)

// ParseSchedule reads the text of a schedule. It does not look the zone up, which
// Next does.
func ParseSchedule(text string) (Schedule, error) {
	s := Schedule{Zone: "UTC"}
	fields := strings.Fields(text)
	if len(fields) > 0 {
		if zone, given := strings.CutPrefix(fields[0], "CRON_TZ="); given {
			s.Zone, fields = zone, fields[1:]
		}
	}
	if !validZone.MatchString(s.Zone) || s.Zone == "Local" {
		return Schedule{}, fmt.Errorf("%q is not the name of a time zone", s.Zone)
	}
	if len(fields) != 5 || fields[2] != everyDay || fields[3] != everyDay {
		return Schedule{}, errors.New("want CRON_TZ=<zone> <minute> <hour> * * <days of the week>")
	}
	var err error
	if s.Minute, err = number(fields[0], 59); err != nil {
		return Schedule{}, fmt.Errorf("minute: %w", err)
	}
	if s.Hour, err = number(fields[1], 23); err != nil {
		return Schedule{}, fmt.Errorf("hour: %w", err)
	}
	s.Days, err = ParseDays(fields[4])
	return s, err
}

func number(text string, largest int) (int, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || int(n) > largest {
		return 0, fmt.Errorf("%q is not a number from 0 to %d", text, largest)
	}
	return int(n), nil
}

// ParseDays reads days of the week as in a schedule. A range may lead over the
// end of a week, as Sat-Mon does.
func ParseDays(text string) (days Days, err error) {
	if text == everyDay {
		return Days{true, true, true, true, true, true, true}, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := weekday(from)
		if err != nil {
			return Days{}, err
		}
		last := first
		if isRange {
			if last, err = weekday(to); err != nil {
				return Days{}, err
			}
		}
		for d := first; ; d = (d + 1) % 7 {
			days[d] = true
			if d == last {
				break
			}
		}
	}
	return days, nil
}

func weekday(text string) (int, error) {
	for i, name := range dayNames {
		if strings.EqualFold(text, name) {
			return i, nil
		}
	}
	n, err := number(text, 7)
	if err != nil {
		return 0, fmt.Errorf("%q is not a day of the week", text)
	}
	return n % 7, nil
}

// String is the text of a schedule, as ParseSchedule reads it.
func (s Schedule) String() string {
	days := s.Days.join(func(d int) string { return strconv.Itoa(d) })
	return fmt.Sprintf("CRON_TZ=%s %d %d * * %s", s.Zone, s.Minute, s.Hour, days)
}

// Words is a schedule for people, like 9:30AM Mon-Fri (Europe/Berlin).
func (s Schedule) Words() string {
	clock := time.Date(2000, 1, 1, s.Hour, s.Minute, 0, 0, time.UTC).Format(time.Kitchen)
	days := s.Days.join(func(d int) string { return dayNames[d] })
	if days == everyDay {
		days = "daily"
	}
	return fmt.Sprintf("%s %s (%s)", clock, days, s.Zone)
}

// join writes days from Sunday on, three or more in a row as a range.
func (d Days) join(name func(int) string) string {
	if d == (Days{true, true, true, true, true, true, true}) {
		return everyDay
	}
	var parts []string
	for i := 0; i < len(d); i++ {
		if !d[i] {
			continue
		}
		last := i
		for last+1 < len(d) && d[last+1] {
			last++
		}
		if last < i+2 {
			parts = append(parts, name(i))
			continue
		}
		parts = append(parts, name(i)+"-"+name(last))
		i = last
	}
	return strings.Join(parts, ",")
}

// Next is the first start after a time. A time of day that a change of clocks
// leaves out is moved by that change; one that there is twice counts once. It
// fails for a zone that is not known here.
func (s Schedule) Next(after time.Time) (time.Time, error) {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return time.Time{}, err
	}
	y, m, d := after.In(zone).Date()
	for i := range 8 {
		t := time.Date(y, m, d+i, s.Hour, s.Minute, 0, 0, zone)
		if s.Days[t.Weekday()] && t.After(after) {
			return t, nil
		}
	}
	return time.Time{}, errors.New("the schedule has no days")
}

// UpdateAutostartRequest says when a workspace starts by itself; nil and empty
// are never.
type UpdateAutostartRequest struct {
	Schedule *string `json:"schedule"`
}

// UpdateAutostart sets when a workspace starts by itself; the zero Schedule is
// never.
func (c *Client) UpdateAutostart(ctx context.Context, workspace uuid.UUID, s Schedule) error {
	req := UpdateAutostartRequest{}
	if s != (Schedule{}) {
		text := s.String()
		req.Schedule = &text
	}
	return c.call(ctx, http.MethodPut, "/api/v2/workspaces/"+workspace.String()+"/autostart", req, nil)
}

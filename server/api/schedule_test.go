package api

import (
	"testing"
	"time"
)

func TestParseSchedule(t *testing.T) {
	for text, want := range map[string]struct{ text, words string }{
		"CRON_TZ=Europe/Berlin 30 9 * * 1-5":     {"CRON_TZ=Europe/Berlin 30 9 * * 1-5", "9:30AM Mon-Fri (Europe/Berlin)"},
		"CRON_TZ=Europe/Berlin 30 9 * * MON-fri": {"CRON_TZ=Europe/Berlin 30 9 * * 1-5", "9:30AM Mon-Fri (Europe/Berlin)"},
		"0 0 * * *":                              {"CRON_TZ=UTC 0 0 * * *", "12:00AM daily (UTC)"},
		" 05  17 * *  7,3 ":                      {"CRON_TZ=UTC 5 17 * * 0,3", "5:05PM Sun,Wed (UTC)"},
		"5 17 * * 0-7":                           {"CRON_TZ=UTC 5 17 * * 0", "5:05PM Sun (UTC)"},
		"5 17 * * 0-6":                           {"CRON_TZ=UTC 5 17 * * *", "5:05PM daily (UTC)"},
		"5 17 * * sat-mon":                       {"CRON_TZ=UTC 5 17 * * 0,1,6", "5:05PM Sun,Mon,Sat (UTC)"},
		"5 17 * * 5-7,2":                         {"CRON_TZ=UTC 5 17 * * 0,2,5,6", "5:05PM Sun,Tue,Fri,Sat (UTC)"},
		"CRON_TZ=Etc/GMT+5 59 23 * * 6":          {"CRON_TZ=Etc/GMT+5 59 23 * * 6", "11:59PM Sat (Etc/GMT+5)"},
		"CRON_TZ=No/Where 59 23 * * 1,2":         {"CRON_TZ=No/Where 59 23 * * 1,2", "11:59PM Mon,Tue (No/Where)"},
	} {
		got, err := ParseSchedule(text)
		if err != nil || got.String() != want.text || got.Words() != want.words {
			t.Errorf("ParseSchedule(%q) = %s, %q, %v, want %s, %q", text, got, got.Words(), err, want.text, want.words)
		}
	}
	for _, text := range []string{
		"", "9:30AM", "@daily", "30 9 * *", "30 9 * * 1 2", "60 9 * * 1", "30 24 * * 1", "-1 9 * * 1", "*/5 9 * * 1", "30 9,10 * * 1",
		"30 9 1 * 1", "30 9 * 1 1", "30 9 * * 8", "30 9 * * 1-", "30 9 * * ,", "30 9 * * 5L", "30 9 * * Monday", "CRON_TZ=30 9 * * 1",
		"CRON_TZ= 30 9 * * 1", "CRON_TZ=../etc 30 9 * * 1", "CRON_TZ=Local 30 9 * * 1", "CRON_TZ=a\x00b 30 9 * * 1", "TZ=UTC 30 9 * * 1",
	} {
		if got, err := ParseSchedule(text); err == nil {
			t.Errorf("ParseSchedule(%q) = %s, want an error", text, got)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add("CRON_TZ=Europe/Berlin 30 9 * * 1-5")
	f.Add("5 17 * * sat-mon,3")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil {
			return
		}
		if again, err := ParseSchedule(s.String()); err != nil || again != s {
			t.Errorf("ParseSchedule(%q) = %s, and that is read as %s, %v", text, s, again, err)
		}
		if s.Days == (Days{}) || s.Words() == "" {
			t.Errorf("ParseSchedule(%q) = %+v, want one day or more, and words", text, s)
		}
	})
}

func TestNextStart(t *testing.T) {
	for _, tc := range []struct{ schedule, after, want string }{
		{"30 9 * * 1-5", "2026-11-27T09:29:59Z", "2026-11-27T09:30:00Z"}, // a Friday
		{"30 9 * * 1-5", "2026-11-27T09:30:00Z", "2026-11-30T09:30:00Z"},
		{"30 9 * * 5", "2026-11-27T09:30:00Z", "2026-12-04T09:30:00Z"},
		{"CRON_TZ=Asia/Tokyo 0 8 * * 1", "2026-11-29T22:00:00Z", "2026-11-29T23:00:00Z"}, // Monday there
		{"CRON_TZ=America/New_York 0 23 * * 0", "2026-11-30T02:00:00Z", "2026-11-30T04:00:00Z"},
		// Clocks go forward at 2:00 and back at 3:00.
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T01:30:00Z"},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"},
		{"CRON_TZ=Europe/Berlin 0 9 * * *", "2026-10-24T12:00:00Z", "2026-10-25T08:00:00Z"},
	} {
		s, err := ParseSchedule(tc.schedule)
		if err != nil {
			t.Fatal(err)
		}
		after, err := time.Parse(time.RFC3339, tc.after)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Next(after); err != nil || got.UTC().Format(time.RFC3339) != tc.want {
			t.Errorf("%s after %s is %s, %v, want %s", tc.schedule, tc.after, got.UTC().Format(time.RFC3339), err, tc.want)
		}
	}
	if got, err := (Schedule{Zone: "No/Where", Days: Days{true}}).Next(time.Now()); err == nil {
		t.Errorf("next start in a zone that there is not = %v, want an error", got)
	}
	if got, err := (Schedule{Zone: "UTC"}).Next(time.Now()); err == nil {
		t.Errorf("next start on no day = %v, want an error", got)
	}
}

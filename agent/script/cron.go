package script

import (
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// clockStep is how often a schedule looks at the wall clock, which may jump.
const clockStep = time.Minute

// schedule returns the expression of a script for its library, or what is wrong
// with it. Fields are those of Script.Cron.
func schedule(cron string) (string, error) {
	fields := strings.Fields(cron)
	if len(fields) == 5 {
		fields = append(fields, "*")
	}
	expr := strings.Join(fields, " ")
	if len(fields) != 6 || !gronx.IsValid(expr) {
		return "", fmt.Errorf("cron %q: want 5 or 6 fields: second, minute, hour, day of month, month, day of week", cron)
	}
	return expr, nil
}

// CheckCron returns what is wrong with a Script.Cron.
func CheckCron(cron string) error {
	_, err := schedule(cron)
	return err
}

// next is when a schedule is due after now; the zero time is never.
func next(expr string, now time.Time) time.Time {
	at, err := gronx.NextTickAfter(expr, now, false)
	if err != nil {
		return time.Time{}
	}
	return at
}

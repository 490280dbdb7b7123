package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// TestTemplateLimits has an administrator say how long leases last and use keeps
// a workspace up, and others try.
func TestTemplateLimits(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ctx := t.Context()
	ws := d.workspace(c, "blue")
	ms := func(d time.Duration) *int64 { m := d.Milliseconds(); return &m }
	got, err := c.UpdateTemplate(ctx, store.BYOTemplateID, api.UpdateTemplateRequest{MaxLeaseMillis: ms(2 * time.Hour)})
	if err != nil || got.MaxLeaseMillis != *ms(2 * time.Hour) || got.ActivityBumpMillis != *ms(time.Hour) {
		t.Fatalf("UpdateTemplate = %+v, %v, want leases of two hours and the bump of an hour that was", got, err)
	}
	lease, err := c.WorkspaceLeases(ws.ID).Create(ctx, api.LeaseRequest{Seconds: 24 * 3600})
	if err != nil || time.Until(lease.ExpiresAt) > 2*time.Hour || time.Until(lease.ExpiresAt) < 119*time.Minute {
		t.Errorf("lease of a day = %+v, %v, want two hours of it", lease, err)
	}

	if _, err := c.UpdateTemplate(ctx, store.BYOTemplateID, api.UpdateTemplateRequest{ActivityBumpMillis: ms(0)}); err != nil {
		t.Fatal(err)
	}
	green := d.workspace(c, "green")
	if err := c.UpdateTTL(ctx, green.ID, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := c.ReportUsage(ctx, green.ID, api.UsageRequest{}); err != nil {
		t.Fatal(err)
	}
	if activity, err := c.Activity(ctx, green.ID); err != nil || len(activity.Extensions) != 0 {
		t.Errorf("extensions after use without a bump = %+v, %v, want none", activity.Extensions, err)
	}

	_, err = d.member("eve").UpdateTemplate(ctx, store.BYOTemplateID, api.UpdateTemplateRequest{MaxLeaseMillis: ms(time.Hour)})
	if api.StatusCode(err) != http.StatusForbidden {
		t.Errorf("UpdateTemplate by a member = %v, want 403", err)
	}
	for what, req := range map[string]api.UpdateTemplateRequest{
		"no lease":           {MaxLeaseMillis: ms(0)},
		"a lease of a year":  {MaxLeaseMillis: ms(366 * 24 * time.Hour)},
		"a negative bump":    {ActivityBumpMillis: ms(-time.Hour)},
		"a bump of a second": {ActivityBumpMillis: ms(time.Second)},
	} {
		if _, err := c.UpdateTemplate(ctx, store.BYOTemplateID, req); api.StatusCode(err) != http.StatusBadRequest {
			t.Errorf("UpdateTemplate with %s = %v, want 400", what, err)
		}
	}
}

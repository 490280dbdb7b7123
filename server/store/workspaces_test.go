package store_test

import (
	"testing"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestCreateWorkspaceSetsEverything(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		u := newUser(t, s, "ann")
		made := newWorkspace(t, s, u, "Blue")
		got := must(s.WorkspaceByName(t.Context(), u.ID, "blue", false))(t)
		t.Logf("%+v", made)
		if got.Owner.Username != "ann" || got.Template.Name != "byo" || !got.Organization.IsDefault {
			t.Errorf("owner, template, organization = %v, %v, %v", got.Owner.Username, got.Template.Name, got.Organization)
		}
		if b := got.LatestBuild; b.Status() != store.StatusRunning || b.Number != 1 || len(b.Resources) != 1 || len(b.Resources[0].Agents) != 1 {
			t.Fatalf("latest build = %+v", b)
		}
		a := got.LatestBuild.Resources[0].Agents[0]
		if a.Name != "main" || a.Environment["A"] != `it's "1"` || a.ConnectionTimeoutSeconds != 120 {
			t.Errorf("agent = %+v", a)
		}
	})
}

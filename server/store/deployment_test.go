package store_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestDeploymentValueRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var wg sync.WaitGroup
		got := make([]string, 20)
		for i := range got {
			wg.Go(func() {
				v, err := s.DeploymentValue(t.Context(), "key", func() ([]byte, error) { return []byte(uuid.NewString()), nil })
				if err != nil {
					t.Errorf("DeploymentValue: %v", err)
				}
				got[i] = string(v)
			})
		}
		wg.Wait()
		for _, v := range got {
			if v != got[0] || v == "" {
				t.Fatalf("values = %q, want the same", got)
			}
		}
		broken := errors.New("broken")
		if _, err := s.DeploymentValue(t.Context(), "other", func() ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
			t.Errorf("DeploymentValue with a broken maker = %v", err)
		}
		v := must(s.DeploymentValue(t.Context(), "key", func() ([]byte, error) { return nil, broken }))(t)
		if string(v) != got[0] {
			t.Errorf("later: %q, want %q", v, got[0])
		}
	})
}

func TestBuiltInRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		org := must(s.DefaultOrganization(ctx))(t)
		if list := must(s.Organizations(ctx))(t); len(list) != 1 || list[0] != org || org.Name != "default" || !org.IsDefault {
			t.Errorf("organizations = %+v", list)
		}
		if must(s.OrganizationByID(ctx, org.ID))(t) != org || must(s.OrganizationByName(ctx, "DEFAULT"))(t) != org {
			t.Error("the organization by id or name is another")
		}
		tpl := must(s.TemplateByName(ctx, org.ID, "BYO"))(t)
		if tpl.ID != store.BYOTemplateID || tpl.Provisioner != store.ProvisionerBYO || tpl.Organization.Name != "default" || tpl.CreatedBy != nil {
			t.Errorf("template = %+v", tpl)
		}
		if got := must(s.TemplateByID(ctx, tpl.ID))(t); got.Name != "byo" {
			t.Errorf("template by id = %+v", got)
		}
		v := must(s.TemplateVersionByID(ctx, tpl.ActiveVersionID))(t)
		if v.Job.Status != store.JobSucceeded || v.Template.ID != tpl.ID || !v.HasExternalAgent {
			t.Errorf("version = %+v", v)
		}
		if list := must(s.TemplateVersions(ctx, tpl.ID))(t); len(list) != 1 || list[0].ID != v.ID {
			t.Errorf("versions = %+v", list)
		}
		for _, err := range []error{
			second(s.OrganizationByID(ctx, uuid.New())), second(s.OrganizationByName(ctx, "x")), second(s.TemplateByID(ctx, uuid.New())),
			second(s.TemplateByName(ctx, org.ID, "x")), second(s.TemplateVersionByID(ctx, uuid.New())),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("unknown: %v, want ErrNotFound", err)
			}
		}
	})
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name                   string
		user, workspace, agent bool
	}{
		{"a", true, true, true},
		{"Ab-9", true, true, true},
		{"9", true, true, true},
		{strings.Repeat("g", 32), true, true, true},
		{strings.Repeat("g", 33), false, false, true},
		{strings.Repeat("g", 64), false, false, true},
		{strings.Repeat("g", 65), false, false, false},
		{"", false, false, false},
		{"-a", false, false, false},
		{"a-", false, false, false},
		{"a--b", false, false, false},
		{"a_b", false, false, true},
		{"a.b", false, false, false},
		{"a b", false, false, false},
		{"a\n", false, false, false},
		{"é", false, false, false},
		{"a\x00", false, false, false},
		{"$(x)", false, false, false},
		{"me", false, true, true},
		{"Me", false, true, true},
		{"new", false, false, true},
		{"Create", false, false, true},
		{"0123456789abcdef0123456789abcdef", false, false, true},
	} {
		for kind, check := range map[string]struct {
			err  error
			want bool
		}{
			"user":      {store.CheckUsername(c.name), c.user},
			"workspace": {store.CheckWorkspaceName(c.name), c.workspace},
			"agent":     {store.CheckAgentName(c.name), c.agent},
		} {
			if (check.err == nil) != check.want || check.err != nil && !errors.Is(check.err, store.ErrInvalid) {
				t.Errorf("%s name %q: %v, want good: %v", kind, c.name, check.err, check.want)
			}
		}
	}
}

// Security rule 5: what passes needs no quoting in a shell, a host name, a
// path or an SSH configuration.
func FuzzNames(f *testing.F) {
	f.Add("a-b")
	f.Add("a_b;c")
	f.Fuzz(func(t *testing.T, name string) {
		harmless := func(extra string) bool {
			return !strings.ContainsFunc(name, func(r rune) bool {
				return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"+extra, r)
			}) && !strings.HasPrefix(name, "-") && !strings.Contains(name, "--") && name != ""
		}
		if store.CheckUsername(name) == nil && !harmless("") || store.CheckWorkspaceName(name) == nil && !harmless("") || store.CheckAgentName(name) == nil && !harmless("_") {
			t.Errorf("name %q passes", name)
		}
	})
}

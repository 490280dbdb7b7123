package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

func templateJSON(t store.Template) api.Template {
	out := api.Template{
		ID: t.ID, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
		OrganizationID: t.OrganizationID, OrganizationName: t.Organization.Name,
		OrganizationDisplayName: t.Organization.DisplayName, OrganizationIcon: t.Organization.Icon,
		Name: t.Name, DisplayName: t.DisplayName, Description: t.Description, Icon: t.Icon,
		// The word for the one that other clients know: they fail on new words.
		Provisioner:     string(store.ProvisionerTerraform),
		ActiveVersionID: t.ActiveVersionID, ActiveUserCount: -1,
		BuildTimeStats: map[api.Transition]api.Percentiles{
			api.TransitionStart: {}, api.TransitionStop: {}, api.TransitionDelete: {},
		},
		Deprecated: t.DeprecationMessage != "", DeprecationMessage: t.DeprecationMessage,
		ActivityBumpMillis: t.Limits().ActivityBump.Milliseconds(), MaxLeaseMillis: t.Limits().MaxLease.Milliseconds(),
		AutostopRequirement:  api.AutostopRequirement{DaysOfWeek: []string{}, Weeks: 1},
		AutostartRequirement: api.AutostartRequirement{DaysOfWeek: []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}},
		CreatedByID:          t.CreatedByID, AllowUserAutostart: true, AllowUserAutostop: true,
		AllowUserCancelWorkspaceJobs: true, MaxPortShareLevel: "owner", CORSBehavior: "simple",
		UseClassicParameterFlow: true, AgentsAllowed: true,
	}
	if t.CreatedBy != nil {
		out.CreatedByName = t.CreatedBy.Username
	}
	return out
}

func (s *Server) listTemplates(w http.ResponseWriter, r *http.Request) error {
	if err := require(callerOf(r), auth.Read, auth.Any(auth.KindTemplate)); err != nil {
		return err
	}
	keep, err := templateFilter(r.URL.Query().Get("q"))
	if err != nil {
		return err
	}
	list, err := s.store.Templates(r.Context())
	if err != nil {
		return err
	}
	out := make([]api.Template, 0, len(list))
	for _, t := range list {
		if keep(t) {
			out = append(out, templateJSON(t))
		}
	}
	return ok(w, out)
}

// templateFilter reads the search of templates. There are few, so the filter
// works on what was read.
func templateFilter(q string) (keep func(store.Template) bool, err error) {
	terms, err := parseQuery(q, "name", "exact_name", "ids", "organization", "deprecated", "deleted", "has-ai-task", "author")
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"deprecated", "deleted", "has-ai-task"} {
		if v, given := terms[key]; given {
			if _, err := strconv.ParseBool(v); err != nil {
				return nil, badQuery("wants true or false for %q", key)
			}
		}
	}
	return func(t store.Template) bool {
		for key, want := range terms {
			if !templateMatches(t, key, want) {
				return false
			}
		}
		return true
	}, nil
}

// templateMatches reports whether a template is what one term of a search
// wants; want is lower-case.
func templateMatches(t store.Template, key, want string) bool {
	is := func(value bool) bool {
		b, err := strconv.ParseBool(want)
		return err == nil && b == value
	}
	switch key {
	case "name":
		return strings.Contains(strings.ToLower(t.Name), want) || strings.Contains(strings.ToLower(t.DisplayName), want)
	case "exact_name":
		return strings.EqualFold(t.Name, want)
	case "organization":
		return strings.EqualFold(t.Organization.Name, want) || t.Organization.ID.String() == want
	case "author":
		return t.CreatedBy != nil && strings.EqualFold(t.CreatedBy.Username, want)
	case "ids":
		return slices.Contains(strings.Split(want, ","), t.ID.String())
	case "deprecated":
		return is(t.DeprecationMessage != "")
	default: // deleted, has-ai-task: none is
		return is(false)
	}
}

func (s *Server) getTemplate(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "template")
	if err != nil {
		return err
	}
	t, err := s.store.TemplateByID(r.Context(), id)
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Read, auth.Any(auth.KindTemplate)); err != nil {
		return err
	}
	return ok(w, templateJSON(t))
}

// listOrganizationTemplates lists all templates when the organization is there:
// there is one.
func (s *Server) listOrganizationTemplates(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.pathOrganization(r); err != nil {
		return err
	}
	return s.listTemplates(w, r)
}

func (s *Server) getTemplateByName(w http.ResponseWriter, r *http.Request) error {
	o, err := s.pathOrganization(r)
	if err != nil {
		return err
	}
	t, err := s.store.TemplateByName(r.Context(), o.ID, chi.URLParam(r, "template"))
	if err != nil {
		return err
	}
	return ok(w, templateJSON(t))
}

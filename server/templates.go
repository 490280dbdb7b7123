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
		is := func(key, value string) bool {
			want, given := terms[key]
			return !given || strings.EqualFold(want, value)
		}
		has := func(key string, value bool) bool {
			want, given := terms[key]
			b, _ := strconv.ParseBool(want)
			return !given || b == value
		}
		author := ""
		if t.CreatedBy != nil {
			author = t.CreatedBy.Username
		}
		ids, byID := terms["ids"]
		return is("exact_name", t.Name) && is("organization", t.Organization.Name) && is("author", author) &&
			has("deprecated", t.DeprecationMessage != "") && has("deleted", false) && has("has-ai-task", false) &&
			(strings.Contains(strings.ToLower(t.Name), terms["name"]) || strings.Contains(strings.ToLower(t.DisplayName), terms["name"])) &&
			(!byID || slices.Contains(strings.Split(ids, ","), t.ID.String()))
	}, nil
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

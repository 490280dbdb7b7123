package server

import (
	"net/http"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// builtIn is who made what is part of every server.
var builtIn = api.MinimalUser{Username: "berth"}

func versionJSON(v store.TemplateVersion) api.TemplateVersion {
	out := api.TemplateVersion{
		ID: v.ID, OrganizationID: v.OrganizationID, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
		Name: v.Name, Message: v.Message, Readme: v.Readme, Archived: v.Archived,
		Job: jobJSON(*v.Job), CreatedBy: builtIn, Warnings: []string{}, HasExternalAgent: v.HasExternalAgent,
	}
	if v.CreatedBy != nil {
		out.CreatedBy = api.MinimalUser{
			ID: v.CreatedBy.ID, Username: v.CreatedBy.Username, Name: v.CreatedBy.Name, AvatarURL: v.CreatedBy.AvatarURL,
		}
	}
	out.Job.Input.TemplateVersionID = &v.ID
	out.Job.Metadata.TemplateVersionName = v.Name
	if v.Template != nil {
		out.TemplateID = &v.TemplateID
		out.Job.Metadata.TemplateID = &v.TemplateID
		out.Job.Metadata.TemplateName = v.Template.Name
		out.Job.Metadata.TemplateDisplayName = v.Template.DisplayName
		out.Job.Metadata.TemplateIcon = v.Template.Icon
	}
	return out
}

// pathVersion is the version of the path.
func (s *Server) pathVersion(r *http.Request) (store.TemplateVersion, error) {
	id, err := pathID(r, "version")
	if err != nil {
		return store.TemplateVersion{}, err
	}
	if err := require(callerOf(r), auth.Read, auth.Any(auth.KindTemplate)); err != nil {
		return store.TemplateVersion{}, err
	}
	return s.store.TemplateVersionByID(r.Context(), id)
}

func (s *Server) getTemplateVersion(w http.ResponseWriter, r *http.Request) error {
	v, err := s.pathVersion(r)
	if err != nil {
		return err
	}
	return ok(w, versionJSON(v))
}

// listParameters lists the parameters of a version of the built-in template,
// the only kind there is.
func (s *Server) listParameters(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.pathVersion(r); err != nil {
		return err
	}
	return ok(w, byoParameters())
}

// listNothing answers for what such a version has none of: presets and
// variables.
func (s *Server) listNothing(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.pathVersion(r); err != nil {
		return err
	}
	return ok(w, []struct{}{})
}

// listVersionResources lists what a start would make, for clients that look at
// the agents of a workspace that is stopped.
func (s *Server) listVersionResources(w http.ResponseWriter, r *http.Request) error {
	v, err := s.pathVersion(r)
	if err != nil {
		return err
	}
	spec, err := byoAgent(nil)
	if err != nil {
		return err
	}
	resource := api.Resource{
		CreatedAt: v.CreatedAt, JobID: v.JobID, WorkspaceTransition: api.TransitionStart,
		Type: byoResourceType, Name: byoResourceName, Metadata: []api.ResourceMetadata{},
		Agents: []api.Agent{s.agentJSON(store.Agent{
			CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt, AgentSpec: spec,
			AgentState: store.AgentState{LifecycleState: store.LifecycleCreated, Subsystems: []string{}},
		})},
	}
	return ok(w, []api.Resource{resource})
}

func (s *Server) listTemplateVersions(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "template")
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Read, auth.Any(auth.KindTemplate)); err != nil {
		return err
	}
	if _, err := s.store.TemplateByID(r.Context(), id); err != nil {
		return err
	}
	list, err := s.store.TemplateVersions(r.Context(), id)
	if err != nil {
		return err
	}
	out := make([]api.TemplateVersion, 0, len(list))
	for _, v := range list {
		out = append(out, versionJSON(v))
	}
	return ok(w, out)
}

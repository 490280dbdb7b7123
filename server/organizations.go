package server

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

func organizationJSON(o store.Organization) api.Organization {
	return api.Organization{
		ID: o.ID, Name: o.Name, DisplayName: o.DisplayName, Description: o.Description, Icon: o.Icon,
		CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, IsDefault: o.IsDefault,
	}
}

func (s *Server) listOrganizations(w http.ResponseWriter, r *http.Request) error {
	if err := require(callerOf(r), auth.Read, auth.Any(auth.KindOrganization)); err != nil {
		return err
	}
	list, err := s.store.Organizations(r.Context())
	if err != nil {
		return err
	}
	out := make([]api.Organization, 0, len(list))
	for _, o := range list {
		out = append(out, organizationJSON(o))
	}
	return ok(w, out)
}

// listUserOrganizations lists all: everybody belongs to them.
func (s *Server) listUserOrganizations(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.pathUser(r); err != nil {
		return err
	}
	return s.listOrganizations(w, r)
}

func (s *Server) getOrganization(w http.ResponseWriter, r *http.Request) error {
	o, err := s.pathOrganization(r)
	if err != nil {
		return err
	}
	return ok(w, organizationJSON(o))
}

// pathOrganization is the organization that the path names by id or by name;
// "default" is the default one, whatever its name.
func (s *Server) pathOrganization(r *http.Request) (store.Organization, error) {
	if err := require(callerOf(r), auth.Read, auth.Any(auth.KindOrganization)); err != nil {
		return store.Organization{}, err
	}
	text := chi.URLParam(r, "organization")
	if id, err := uuid.Parse(text); err == nil {
		return s.store.OrganizationByID(r.Context(), id)
	}
	if strings.EqualFold(text, "default") {
		return s.store.DefaultOrganization(r.Context())
	}
	return s.store.OrganizationByName(r.Context(), text)
}

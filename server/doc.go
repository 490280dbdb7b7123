// Package server joins the parts of a deployment: it listens, routes requests,
// decides what each caller may do (with package auth), keeps the sessions of
// agents and clients, and stops everything in order. There is one file per
// resource of the REST interface.
//
// It keeps this: what a caller may not read does not exist for it (404 with
// one text); an answer that is not a success is always the JSON body of
// package api; tokens reach neither logs nor URLs; everything that a caller
// can make big is bounded; an idle deployment writes nothing to its database.
//
// REST types are those of package api, all SQL is in store, what passes
// between peers in coordinator, packets of the relay in derp.
package server
